"""The cell and its attention compiled by Numba, for CPUs."""
