"""Observers of a training: progress bar, curves in a notebook, TensorBoard."""
