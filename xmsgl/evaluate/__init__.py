"""Honest scores: metrics, splits, and the references to beat."""
