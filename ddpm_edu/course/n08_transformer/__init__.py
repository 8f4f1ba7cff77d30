"""Beside notebooks/08_transformer.ipynb: the checks of its exercises, and what it alone draws."""
