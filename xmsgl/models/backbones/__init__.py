"""Backbones: they map the inputs of the nodes to hidden states; each method has one."""
