"""The folder of files that are fetched or built once."""

from __future__ import annotations

import os
from pathlib import Path

from xmsgl.errors import InvalidArgumentError
from xmsgl.util.options import get_option

__all__ = ["ANOTHER_CACHE", "DIRECTORY_VARIABLE", "cache_folder"]

DIRECTORY_VARIABLE = "XMSGL_DATA_DIR"
ANOTHER_CACHE = f"set {DIRECTORY_VARIABLE} to another cache folder"


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of fetched files and built datasets.

    Parameters
    ----------
    cache_dir
        The folder. Default None: the option ``data_dir``, otherwise the environment variable
        ``XMSGL_DATA_DIR``, otherwise the cache folder of the operating system.

    Returns
    -------
    pathlib.Path
        The folder, which may not exist yet.

    Examples
    --------
    >>> cache_folder("/tmp/rivers").name
    'rivers'
    """
    chosen = cache_dir or get_option("data_dir") or os.environ.get(DIRECTORY_VARIABLE)
    if chosen:
        if "\0" in str(chosen):
            msg = f"the cache folder {str(chosen)!r} must not contain a NUL; give another one"
            raise InvalidArgumentError(msg)
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("xmsgl"))
