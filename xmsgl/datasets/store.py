"""Keeping a built dataset in one netCDF file: written whole or not at all, opened lazily."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from contextlib import suppress
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import xarray as xr

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["open_store", "recipe", "write_store"]

_DAYS = 366  # days in one chunk of the file
_CHUNKS_AT_ONCE = 2  # chunks of the file in one chunk of dask
_STALE = 86400.0  # seconds after which a half-written file is nobody's any more
_PART = ".part"


def recipe(modules: Iterable[str], hashes: Iterable[str]) -> str:
    """Name a way of building: it changes with the code and with the files it reads.

    Parameters
    ----------
    modules
        Source files below the package, for example ``"datasets/weather.py"``.
    hashes
        Hashes of the files read.

    Returns
    -------
    str
        12 hexadecimal digits.

    Examples
    --------
    >>> recipe(["errors.py"], ["00"]) == recipe(["errors.py"], ["01"])
    False
    """
    digest = hashlib.sha256()
    package = files("xmsgl")
    for module in modules:
        digest.update(package.joinpath(*module.split("/")).read_bytes())
    for content in hashes:
        digest.update(content.encode())
    return digest.hexdigest()[:12]


def write_store(ds: xr.Dataset, path: Path, digits: Mapping[str, int]) -> None:
    """Write a dataset to a file that exists only once it is complete.

    The data go to a name of their own in the same folder, which then takes the place of `path` in one
    step. A process killed on the way leaves `path` as it was; of two that write at once, the last wins,
    and a reader sees one whole file or the other.

    Parameters
    ----------
    ds
        What to write; computed block by block where it is lazy.
    path
        netCDF file. Its folder is made.
    digits
        Decimals to keep of variables over time, by base name or name; more are noise that does not
        compress. Variables not named keep all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}{_PART}")
    try:
        ds.to_netcdf(part, engine="netcdf4", format="NETCDF4", encoding=_encoding(ds, digits))
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove what processes killed long ago left half written."""
    for part in folder.glob(f".*{_PART}"):
        with suppress(OSError):  # somebody else may sweep as well
            if time.time() - part.stat().st_mtime > _STALE:
                part.unlink()


def _encoding(ds: xr.Dataset, digits: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    encoding: dict[str, dict[str, Any]] = {}
    for name, variable in ds.variables.items():
        settings: dict[str, Any] = {}
        if name == "time":
            settings = {"dtype": "int32", "units": "days since 1970-01-01", "calendar": "proleptic_gregorian"}
        elif variable.dims[:1] == ("time",):
            chunks = (min(_DAYS, variable.shape[0]), *variable.shape[1:])
            settings = {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunks}
            if name in digits:
                settings["least_significant_digit"] = digits[str(name)]
        elif variable.dtype.kind == "f":
            settings = {"_FillValue": None}
        encoding[str(name)] = settings
    return encoding


def open_store(path: Path) -> xr.Dataset:
    """Open a dataset written by :func:`write_store`.

    Parameters
    ----------
    path
        netCDF file.

    Returns
    -------
    xarray.Dataset
        Variables over time are lazy (dask), the few others in memory.
    """
    ds = xr.open_dataset(path, engine="netcdf4", chunks={"time": _DAYS * _CHUNKS_AT_ONCE})
    small = [name for name, variable in ds.data_vars.items() if "time" not in variable.dims]
    return ds.assign({name: ds[name].load() for name in small})
