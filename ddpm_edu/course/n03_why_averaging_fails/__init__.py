"""Beside notebooks/03_why_averaging_fails.ipynb: the checks of its exercises, and what it alone draws."""
