"""Open a dataset by name or path, as the command line and the catalogs do.

The benchmark has its own sources, which hold more information: see :mod:`xmsgl.benchmark.sources`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from xmsgl import datasets
from xmsgl.errors import DataUnavailableError, InvalidArgumentError, did_you_mean
from xmsgl.util.spec import bind

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

__all__ = ["DATASETS", "arguments_of", "open_data", "open_file"]

DATASETS = ("delaware", "simulated", "willamette", "yakima")
"""Datasets of the package, by the names of their functions in :mod:`xmsgl.datasets`."""


def open_data(dataset: str | os.PathLike[str], /, **arguments: Any) -> xr.Dataset:
    """Open a dataset of the package, or a file that follows the convention."""
    name = str(dataset)
    if name in DATASETS:
        arguments_of(name, arguments)
        return _function(name)(**arguments)
    path = Path(dataset)
    if not path.exists():
        msg = f"{name!r} is not a known dataset ({', '.join(DATASETS)}) or an existing file"
        raise DataUnavailableError(msg + did_you_mean(name, DATASETS))
    if arguments:
        msg = f"{name!r} is a file, which takes no arguments; remove {', '.join(arguments)}"
        raise InvalidArgumentError(msg)
    return open_file(path)


def open_file(path: Path) -> xr.Dataset:
    """Open a netCDF file or a Zarr folder, lazily."""
    if path.is_dir():  # a local store is as fast without consolidated metadata
        return xr.open_dataset(path, engine="zarr", chunks={}, consolidated=False)
    return xr.open_dataset(path, engine="netcdf4", chunks={})


def arguments_of(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check the arguments of a dataset of the package and add the defaults, without opening it."""
    bound = bind(f"dataset {name!r}", _function(name), **given)
    bound.apply_defaults()
    return dict(bound.arguments)


def _function(name: str) -> Callable[..., xr.Dataset]:
    """Import the function of a dataset, late because it may import much."""
    function: Callable[..., xr.Dataset] = getattr(datasets, name)
    return function
