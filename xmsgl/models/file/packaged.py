"""Models that come with the package: the files in ``xmsgl/models/file/weights``. There is no other list."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["DEFAULT", "ELSEWHERE", "SENSORS", "packaged_bytes", "packaged_names"]

#: The model used by default, and by ``ds.msgl.downscale`` in the basin it was trained on.
DEFAULT = "delaware-gauged"
#: The model used by ``ds.msgl.downscale`` elsewhere.
ELSEWHERE = "delaware-ungauged"
#: The model used by ``ds.msgl.reconstruct`` in the basin it was trained on.
SENSORS = "delaware-sensors"

_SUFFIX = ".safetensors"


def _folder() -> Traversable:
    return resources.files("xmsgl.models.file") / "weights"


def packaged_names() -> tuple[str, ...]:
    """List the names of the packaged models, sorted, without opening a file.

    Returns
    -------
    tuple of str
        File names without ``.safetensors``.

    Examples
    --------
    >>> "moon" in packaged_names()
    False
    """
    folder = _folder()
    files = [file.name for file in folder.iterdir()] if folder.is_dir() else []
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in files if name.endswith(_SUFFIX)))


def packaged_bytes(name: str) -> bytes:
    """Read the file of a packaged model, even from within a zip archive."""
    return (_folder() / f"{name}{_SUFFIX}").read_bytes()
