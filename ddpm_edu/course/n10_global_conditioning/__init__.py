"""Beside notebooks/10_global_conditioning.ipynb: the checks of its exercises, and what it alone draws."""
