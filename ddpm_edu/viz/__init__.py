"""Figures, videos and widgets. Import from its modules."""
