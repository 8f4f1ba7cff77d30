"""Beside notebooks/13_sampling_fast.ipynb: the checks of its exercises, and what it alone draws."""
