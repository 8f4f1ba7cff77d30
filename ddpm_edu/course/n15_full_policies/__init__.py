"""Beside notebooks/15_full_policies.ipynb: the checks of its exercises."""
