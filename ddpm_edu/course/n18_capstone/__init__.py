"""Beside notebooks/18_capstone.ipynb: the checks of its exercises, its pictures and its report."""
