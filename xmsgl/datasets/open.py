"""Open a dataset by name or path, as the command line and the catalogs do.

The benchmark has its own sources, which hold more information: see :mod:`xmsgl.benchmark.sources`.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from xmsgl import datasets
from xmsgl.errors import DataUnavailableError, InvalidArgumentError, InvalidDatasetError, did_you_mean
from xmsgl.util.address import is_url, without_secrets
from xmsgl.util.remote import located
from xmsgl.util.scales import SCALES
from xmsgl.util.spec import bind

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

__all__ = ["DATASETS", "arguments_of", "open_data", "open_file", "open_url"]

DATASETS = ("delaware", "simulated", "willamette", "yakima")
"""Datasets of the package, by the names of their functions in :mod:`xmsgl.datasets`."""


def open_data(dataset: str | os.PathLike[str], /, **arguments: Any) -> xr.Dataset:
    """Open a dataset of the package, or a file, store or URL that follows the convention, or a DataTree."""
    name = str(dataset)
    if (dataset != name and not hasattr(dataset, "__fspath__")) or "\0" in name:  # of a catalog
        msg = f"a dataset must be a name or a path, not {dataset!r:.60}"
        raise InvalidArgumentError(msg)
    if name in DATASETS:
        arguments_of(name, arguments)
        return _function(name)(**arguments)
    path = Path(dataset)
    if not is_url(name) and not path.exists():
        msg = f"{name!r} is not a known dataset ({', '.join(DATASETS)}) or an existing file"
        raise DataUnavailableError(msg + did_you_mean(name, DATASETS))
    if arguments:
        msg = f"{without_secrets(name)!r} is a file, which takes no arguments; remove {', '.join(arguments)}"
        raise InvalidArgumentError(msg)
    return open_url(name) if is_url(name) else open_file(path)


def open_file(path: Path, origin: object = None) -> xr.Dataset:
    """Open a netCDF file or a Zarr folder, lazily; messages name the origin of a copy."""
    # a local store is as fast without consolidated metadata
    how = {"engine": "zarr", "consolidated": False} if path.is_dir() else {"engine": "netcdf4"}
    try:
        return _open(path, **how)
    except InvalidDatasetError:
        raise
    except Exception as error:  # the libraries that decode files raise many kinds
        kind = "a Zarr folder" if path.is_dir() else "netCDF"
        msg = f"{origin or path} cannot be read as {kind}: {error}; copy or write it again"
        raise InvalidArgumentError(msg) from error


def _open(place: Any, **how: Any) -> xr.Dataset:
    """Open a dataset, or a DataTree with a group for each scale, lazily."""
    ds = xr.open_dataset(place, chunks={}, **how)
    if not set(SCALES).isdisjoint(ds.sizes):
        return ds
    try:
        tree = xr.open_datatree(place, chunks={}, **how)
    except ValueError:  # groups that are not aligned with the root, so no DataTree of ours
        return ds
    if set(SCALES).isdisjoint(tree.children):
        tree.close()
        return ds
    ds.close()
    from xmsgl.schema.tree import as_dataset  # late, because the command line imports this module

    return as_dataset(tree)


def open_url(url: str) -> xr.Dataset:
    """Open a Zarr store lazily where it lies, or a netCDF file from a copy.

    The copy lasts until the process ends; with ``simplecache::`` before the URL, fsspec keeps it. A library
    that the scheme needs, such as s3fs, and its credentials are found by fsspec.
    """
    place = located(url)
    if isinstance(place, Path):
        return open_file(place)
    if place.suffix.lower() in (".nc", ".nc4"):
        return open_file(place.fetched(), place)
    try:
        from xmsgl.util.remote_store import store_at_url

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Failed to open Zarr store with consolidated")
            return _open(store_at_url(place), engine="zarr")
    except InvalidDatasetError:
        raise
    except Exception as error:  # noqa: BLE001 - each scheme has errors of its own
        place.refuse("open", error)


def arguments_of(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check the arguments of a dataset of the package and add the defaults, without opening it."""
    bound = bind(f"dataset {name!r}", _function(name), **given)
    bound.apply_defaults()
    return dict(bound.arguments)


def _function(name: str) -> Callable[..., xr.Dataset]:
    """Import the function of a dataset, late because it may import much."""
    function: Callable[..., xr.Dataset] = getattr(datasets, name)
    return function
