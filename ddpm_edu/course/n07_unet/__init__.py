"""Beside notebooks/07_unet.ipynb: the checks of its exercises, and what it alone draws."""
