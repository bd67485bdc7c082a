"""Torch modules of multi-scale graph learning and their registry."""
