"""The Delaware River Basin, built from published files."""
