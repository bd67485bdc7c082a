"""A prediction as a page for a browser."""
