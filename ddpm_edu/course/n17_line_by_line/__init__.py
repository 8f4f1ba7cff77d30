"""Beside notebooks/17_line_by_line.ipynb: the outline's blocks, checks, pictures of both networks."""
