"""The cell and its attention compiled for CPUs with Numba."""
