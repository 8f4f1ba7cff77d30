"""Beside notebooks/14_rollouts.ipynb: the checks of its exercises."""
