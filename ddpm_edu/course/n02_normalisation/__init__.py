"""Beside notebooks/02_normalisation.ipynb: the checks of its exercises, and what it alone draws."""
