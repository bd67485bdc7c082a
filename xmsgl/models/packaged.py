"""Models that come with the package: the files in ``xmsgl/weights``, and no other list of them.

A model is there when its file is. What it is stands in the file's own metadata.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from xmsgl.errors import UnknownNameError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["DEFAULT", "LARGEST", "packaged_bytes", "packaged_models", "packaged_names"]

#: The model that is used where none is named.
DEFAULT = "delaware-async-msgl"
#: Bytes a file may have: everyone who installs the package downloads it.
LARGEST = 2_000_000

_SUFFIX = ".safetensors"


def _folder() -> Traversable:
    return resources.files("xmsgl") / "weights"


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
    """Read the file of a packaged model, also from within a zip archive.

    Parameters
    ----------
    name
        One of :func:`packaged_names`.

    Returns
    -------
    bytes
        What :meth:`xmsgl.Model.from_bytes` takes.

    Raises
    ------
    UnknownNameError
        No such model in this version of the package; lists those that are.

    Examples
    --------
    >>> len(packaged_bytes("delaware-async-msgl")) < LARGEST  # doctest: +SKIP
    True
    """
    names = packaged_names()
    if name not in names:
        raise UnknownNameError("packaged model", name, names)
    return (_folder() / f"{name}{_SUFFIX}").read_bytes()


def packaged_models() -> dict[str, str]:
    """Describe the packaged models, each in a line taken from its file.

    Returns
    -------
    dict
        Name -> method, dataset and training period.

    Raises
    ------
    CheckpointError
        A packaged file is damaged: install the package again.

    Examples
    --------
    >>> models = packaged_models()
    >>> all(isinstance(line, str) for line in models.values())
    True
    """
    from xmsgl.models.model import load_model  # brings torch

    described = {}
    for name in packaged_names():
        spec = load_model(name).spec
        training = spec.training
        period = f"{training.get('start', '?')} to {training.get('stop', '?')}"
        described[name] = f"{spec.method}, trained on {training.get('dataset') or 'a dataset'}, {period}"
    return described
