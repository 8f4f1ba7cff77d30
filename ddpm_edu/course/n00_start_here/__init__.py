"""Beside notebooks/00_start_here.ipynb: the checks of its exercises."""
