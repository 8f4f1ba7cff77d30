"""Beside notebooks/06_reverse_process.ipynb: the checks of its exercises, and what it alone draws."""
