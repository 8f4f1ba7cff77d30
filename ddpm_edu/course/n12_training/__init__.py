"""Beside notebooks/12_training.ipynb: the checks of its exercises, and what it alone draws."""
