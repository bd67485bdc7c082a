"""Addresses of files elsewhere, and how messages show them."""

from __future__ import annotations

import re

__all__ = ["is_url", "without_secrets"]


def is_url(name: object) -> bool:
    """Say whether something is a URL, such as ``s3://bucket/basin.zarr`` of fsspec."""
    return isinstance(name, str) and "://" in name


def without_secrets(url: str) -> str:
    """Return a URL without what may be a secret: user, password, query."""
    return re.sub(r"\?.*$", "?...", re.sub(r"://[^/@]*@", "://...@", url))
