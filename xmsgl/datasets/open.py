"""What a name or a path opens: a dataset of the package, or a file of the convention.

The command line and the catalogs open the same by the same word, so the names stand here.
A benchmark has sources of its own, for it must know more than how to open them: see
:mod:`xmsgl.benchmark.sources`.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from xmsgl import datasets
from xmsgl.errors import DataUnavailableError, InvalidArgumentError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

__all__ = ["DATASETS", "arguments_of", "open_data", "open_file"]

#: Datasets that come with the package, each by the name of its function in :mod:`xmsgl.datasets`.
DATASETS = ("delaware", "simulated")


def open_data(dataset: str | os.PathLike[str], /, **arguments: Any) -> xr.Dataset:
    """Open a dataset of the package, or a file of the convention."""
    name = str(dataset)
    if name in DATASETS:
        arguments_of(name, arguments)
        return _function(name)(**arguments)
    path = Path(dataset)
    if not path.exists():
        msg = f"{name!r} is neither {' or '.join(DATASETS)} nor a file that is there"
        raise DataUnavailableError(msg)
    if arguments:
        msg = f"a file takes no arguments, and {', '.join(arguments)} was given for {name!r}"
        raise InvalidArgumentError(msg)
    return open_file(path)


def open_file(path: Path) -> xr.Dataset:
    """Open a netCDF file or a Zarr folder, lazily."""
    if path.is_dir():  # a local store is read as fast without consolidated metadata
        return xr.open_dataset(path, engine="zarr", chunks={}, consolidated=False)
    return xr.open_dataset(path, engine="netcdf4", chunks={})


def arguments_of(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the arguments of a dataset of the package; nothing is opened."""
    signature = inspect.signature(_function(name))
    try:
        bound = signature.bind(**given)
    except TypeError as error:
        msg = f"dataset {name!r}: {error}; it takes {', '.join(signature.parameters)}"
        raise InvalidArgumentError(msg) from error
    bound.apply_defaults()
    return dict(bound.arguments)


def _function(name: str) -> Callable[..., xr.Dataset]:
    """Import the function of a dataset, which may bring much along."""
    function: Callable[..., xr.Dataset] = getattr(datasets, name)
    return function
