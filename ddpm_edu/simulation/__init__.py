"""The simulator: environments, scripted experts, collecting demonstrations, and rolling policies out."""
