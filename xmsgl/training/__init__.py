"""Training: the loop, losses, task weighting, checkpoints."""
