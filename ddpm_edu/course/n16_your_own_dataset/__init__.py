"""Beside notebooks/16_your_own_dataset.ipynb: the checks of its exercises."""
