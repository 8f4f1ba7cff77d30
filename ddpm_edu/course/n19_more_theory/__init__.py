"""Beside notebooks/19_more_theory.ipynb: the checks of its exercises and its pictures."""
