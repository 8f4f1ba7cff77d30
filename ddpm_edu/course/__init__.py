"""What the course's notebooks need beyond the package: the checks of their exercises."""
