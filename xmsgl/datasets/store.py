"""Built datasets as Zarr folders: written completely or not at all, opened lazily.

Zarr rather than netCDF, because it is read in parallel, and because text in netCDF files that are open twice
may crash HDF5 (see :mod:`xmsgl.export.netcdf`).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmsgl.util.optional import require
from xmsgl.util.writing import discard, make_folder, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["build_key", "is_whole", "open_store", "write_store"]

_SIZES = "sizes.json"  # the files of a store and their sizes
_DAYS = 732  # days in one chunk
_BUILDERS = ("datasets", "network", "readers", "schema", "simulate")  # rooms that datasets are built with


def build_key(hashes: Iterable[str]) -> str:
    """Return a key that changes with the code that datasets are built with, and with some hashes."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for room in _BUILDERS:
        for file in sorted(package.joinpath(room).rglob("*")):
            if file.suffix in (".py", ".txt"):
                digest.update(file.read_bytes())
    for content in hashes:
        digest.update(content.encode())
    return digest.hexdigest()[:12]


def write_store(ds: xr.Dataset, path: Path, digits: Mapping[str, int]) -> None:
    """Write a dataset to a folder, which exists only once it is complete.

    If two processes write at once, the folder of the first is kept, because both have the same content. A
    damaged folder is replaced.
    """
    import dask

    require("zarr", "keeping a built dataset")
    make_folder(path.parent)
    with whole(path, folder=True, keep=True) as part:
        ready = ds.assign({name: _round(ds[name], kept) for name, kept in digits.items() if name in ds})
        lazy = [name for name, variable in ready.data_vars.items() if variable.chunks]
        ready = ready.assign({name: ready[name].chunk({"time": _DAYS}) for name in lazy})
        # One block in memory at a time, and no thread that writes on after an error.
        with dask.config.set(scheduler="synchronous"):
            ready.to_zarr(part, mode="w-", encoding=_encoding(ds), zarr_format=2, consolidated=True)
        files = sorted(file for file in part.rglob("*") if file.is_file())
        sizes = {file.relative_to(part).as_posix(): file.stat().st_size for file in files}
        (part / _SIZES).write_text(json.dumps(sizes), encoding="utf-8")
        if path.is_dir() and not is_whole(path):
            discard(path)


def is_whole(path: Path) -> bool:
    """Check that a store has all its files in their size; Zarr reads a missing one as NaN."""
    try:
        sizes = json.loads((path / _SIZES).read_text(encoding="utf-8"))
        return bool(sizes) and all((path / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):  # the last of a list that is damaged
        return False


def _round(variable: xr.DataArray, digits: int) -> xr.DataArray:
    """Round to the coarsest power of two that keeps the decimals, so that the values compress well."""
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
    plain = xr.open_zarr(path, chunks=None, consolidated=True)  # without dask
    ready = {name: plain[name].load() for name in small}
    texts = {name: variable for name, variable in ready.items() if variable.dtype.kind not in "biuf"}
    # text as objects, because NumPy's string type cannot be written to netCDF
    ready.update({name: variable.astype(object) for name, variable in texts.items()})
    # the encoding of this store would disturb writing to another format
    opened: xr.Dataset = ds.assign(ready).drop_encoding()
    return opened
