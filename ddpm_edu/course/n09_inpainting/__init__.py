"""Beside notebooks/09_inpainting.ipynb: the checks of its exercises, and what it alone draws."""
