"""Readers of file formats and of other projects' river networks."""
