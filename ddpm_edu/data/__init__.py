"""Demonstrations, from an HDF5 file to normalised batches of windows."""
