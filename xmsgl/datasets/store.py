"""Keeping a built dataset in one Zarr folder: written whole or not at all, opened lazily.

Zarr, not netCDF: opening a netCDF file while dask's threads had just read another has ended in a
segmentation fault, whose cause was not found.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmsgl.util.optional import require
from xmsgl.util.writing import whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["open_store", "recipe", "write_store"]

_DAYS = 732  # days in one chunk


def recipe(modules: Iterable[str], hashes: Iterable[str]) -> str:
    """Name a way of building: it changes with the code and with the files it reads."""
    digest = hashlib.sha256()
    package = files("xmsgl")
    for module in modules:
        digest.update(package.joinpath(*module.split("/")).read_bytes())
    for content in hashes:
        digest.update(content.encode())
    return digest.hexdigest()[:12]


def write_store(ds: xr.Dataset, path: Path, digits: Mapping[str, int]) -> None:
    """Write a dataset to a folder that exists only once it is complete.

    A process killed on the way leaves no `path`, see :func:`xmsgl.util.writing.whole`; of two that write at
    once, the first to finish wins and the other throws its own away, for both would have written the same.
    """
    require("zarr", "keeping a built dataset")
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path, folder=True, keep=True) as part:
        ready = ds.assign({name: _round(ds[name], kept) for name, kept in digits.items() if name in ds})
        lazy = [name for name, variable in ready.data_vars.items() if variable.chunks]
        ready = ready.assign({name: ready[name].chunk({"time": _DAYS}) for name in lazy})
        ready.to_zarr(part, mode="w-", encoding=_encoding(ds), zarr_format=2, consolidated=True)


def _round(variable: xr.DataArray, digits: int) -> xr.DataArray:
    """Round to the coarsest power of two that keeps the decimals: the rest of the mantissa is zeros."""
    scale = np.float32(2.0 ** np.ceil(np.log2(10.0**digits)))
    return variable.copy(data=np.round(variable.data * scale) / scale)


def _encoding(ds: xr.Dataset) -> dict[str, dict[str, Any]]:
    encoding: dict[str, dict[str, Any]] = {
        "time": {"dtype": "int32", "units": "days since 1970-01-01", "calendar": "proleptic_gregorian"}
    }
    for name, variable in ds.data_vars.items():
        if variable.dims[:1] == ("time",):
            encoding[str(name)] = {"chunks": (min(_DAYS, variable.shape[0]), *variable.shape[1:])}
    return encoding


def open_store(path: Path) -> xr.Dataset:
    """Open a dataset written by :func:`write_store`."""
    require("zarr", "opening a built dataset")
    ds = xr.open_zarr(path, chunks={"time": _DAYS}, consolidated=True)
    small = [name for name, variable in ds.data_vars.items() if "time" not in variable.dims]
    plain = xr.open_zarr(path, chunks=None, consolidated=True)  # without dask: nothing is left to compute
    ready = {name: plain[name].load() for name in small}
    texts = {name: variable for name, variable in ready.items() if variable.dtype.kind not in "biuf"}
    # text as objects, as everywhere else: NumPy's own kind of text can not be written to netCDF
    ready.update({name: variable.astype(object) for name, variable in texts.items()})
    # how this store was packed is no business of a user who writes to another format
    opened: xr.Dataset = ds.assign(ready).drop_encoding()
    return opened
