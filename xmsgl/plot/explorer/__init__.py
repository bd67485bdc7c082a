"""A prediction as one page for a browser."""
