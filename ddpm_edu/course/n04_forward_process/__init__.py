"""Beside notebooks/04_forward_process.ipynb: the checks of its exercises, and what it alone draws."""
