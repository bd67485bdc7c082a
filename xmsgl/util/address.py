"""Addresses of files elsewhere, and how messages show them."""

from __future__ import annotations

import re

__all__ = ["CACHES", "is_url", "without_secrets"]

#: Prefixes of fsspec that keep a copy of what is read.
CACHES = ("simplecache", "filecache", "blockcache", "cached")


def is_url(name: object) -> bool:
    """Say whether something is a URL, such as ``s3://bucket/basin.zarr`` of fsspec."""
    return isinstance(name, str) and "://" in name


def without_secrets(text: str) -> str:
    """Return a URL, or a text with URLs, without what may be a secret: user, password, query.

    Examples
    --------
    >>> without_secrets("cannot read s3://key:secret@bucket/a.nc?token=1 now")
    'cannot read s3://...@bucket/a.nc?... now'
    """
    return re.sub(r"(://\S*?)\?[^\s'\"<>]*", r"\1?...", re.sub(r"://[^/@\s]*@", "://...@", text))
