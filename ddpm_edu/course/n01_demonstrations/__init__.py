"""Beside notebooks/01_demonstrations.ipynb: the checks of its exercises, and what it alone draws."""
