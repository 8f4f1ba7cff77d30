"""Beside notebooks/05_masked_loss.ipynb: the checks of its exercises, and what it alone draws."""
