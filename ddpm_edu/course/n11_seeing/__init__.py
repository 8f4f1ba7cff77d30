"""Beside notebooks/11_seeing.ipynb: the checks of its exercises, and what it alone draws."""
