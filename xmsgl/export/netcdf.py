"""Write netCDF files that can be opened any number of times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xmsgl.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from pathlib import Path

    import xarray as xr

__all__ = ["write_netcdf"]


def write_netcdf(ds: xr.Dataset, path: Path, encoding: Mapping[Hashable, Any] | None = None) -> None:
    """Write a dataset as netCDF-4, with text as arrays of characters.

    HDF5 (1.14.6, 2.2.0) may crash on text of variable length where a file is open twice and closed once.
    """
    ds = ds.copy()
    text = {name: {"dtype": "S1", "zlib": True} for name in ds.variables if ds[name].dtype.kind in "OU"}
    for name in text:
        ds[name] = ds[name].compute()  # otherwise xarray warns that it will
    try:
        ds.to_netcdf(path, engine="netcdf4", encoding={**text, **(encoding or {})})
    except RuntimeError as error:
        if not str(error).startswith("NetCDF:"):
            raise
        msg = f"cannot write {path.name} ({error}); make room on the disk, or choose another folder"
        raise OutputError(msg) from error
