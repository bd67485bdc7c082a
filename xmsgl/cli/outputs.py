"""Writing predictions, datasets and models: which files may be replaced, and how each is written."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from xmsgl.errors import CheckpointError, OutputError
from xmsgl.util.optional import require
from xmsgl.util.origin import ATTRIBUTE
from xmsgl.util.writing import check_target, whole

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "check_dataset",
    "check_model",
    "check_prediction",
    "is_prediction",
    "write_dataset",
    "write_prediction",
]

NETCDF, ZARR = ".nc", ".zarr"
_NAME = "water_temperature"
_ZARR_METADATA = {"zarr.json", ".zgroup", ".zattrs", ".zmetadata"}


def check_prediction(path: str | os.PathLike[str], reads: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Check, before anything is computed, that a prediction can be written."""
    suffix = Path(path).suffix.lower()
    if suffix not in (NETCDF, ZARR):
        msg = (
            f"cannot write {path}: a prediction is written as a netCDF file (.nc) or a Zarr store (.zarr); "
            "choose a name with one of these endings"
        )
        raise OutputError(msg)
    if suffix == ZARR:
        require("zarr", "writing a Zarr store", extra="data")
    target = check_target(path, folder=suffix == ZARR, reads=reads)
    _refuse_other(path, target, is_prediction, "a prediction written by xmsgl")


def check_dataset(path: str | os.PathLike[str]) -> None:
    """Check, before anything is computed, that a dataset of the package can be written as netCDF."""
    if Path(path).suffix.lower() != NETCDF:
        msg = f"cannot write {path}: the dataset is written as netCDF; choose a name that ends in .nc"
        raise OutputError(msg)
    _refuse_other(path, check_target(path), _is_dataset, "a dataset written by xmsgl")


def check_model(path: str | os.PathLike[str], reads: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Check, before training, that a model or a checkpoint can be written."""
    target = check_target(path, reads=reads)
    _refuse_other(path, target, _is_trained, "a model or checkpoint written by xmsgl")


def _refuse_other(
    path: str | os.PathLike[str], target: Path, is_ours: Callable[[Path], bool], what: str
) -> None:
    if target.exists() and not is_ours(target):
        msg = f"cannot write {path}: it exists and is not {what}; remove it first, or choose another name"
        raise OutputError(msg)


def is_prediction(path: Path) -> bool:
    """Check whether a file or folder is a prediction written by the package, and nothing else."""
    ds = _opened(path)
    if ds is None or list(ds.data_vars) != [_NAME]:
        return False
    attrs = ds[_NAME].attrs
    strangers = {entry.name for entry in path.iterdir()} if path.is_dir() else set()
    strangers -= {*map(str, ds.variables), *_ZARR_METADATA}
    return "model_sha256" in attrs and "downscale(" in str(attrs.get("history")) and not strangers


def _is_dataset(path: Path) -> bool:
    ds = _opened(path)
    return ds is not None and ATTRIBUTE in ds.attrs


def _opened(path: Path) -> xr.Dataset | None:
    """Open the metadata of a file; None if it cannot be read or has several groups."""
    options = {"engine": "zarr", "consolidated": False} if path.is_dir() else {"engine": "netcdf4"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the caller looks for other files in the folder
        try:
            with closing(xr.open_datatree(path, decode_times=False, **options)) as tree:
                return None if tree.children else tree.to_dataset()
        except Exception:  # noqa: BLE001 - each library has its own errors for what it cannot read
            return None


def _is_trained(path: Path) -> bool:
    from xmsgl.models.file import storage

    try:
        storage.from_bytes(storage.read(path), str(path))
    except CheckpointError:
        return False
    return True


def write_prediction(temperature: xr.DataArray, path: str | os.PathLike[str]) -> None:
    """Compute a prediction and write it completely or not at all."""
    zarr = Path(path).suffix.lower() == ZARR
    with whole(path, folder=zarr) as part, _own_threads():
        if not zarr:
            encoding = {temperature.name: {"zlib": True, "complevel": 1}}
            temperature.to_netcdf(part, engine="netcdf4", encoding=encoding)
            return
        with warnings.catch_warnings():
            # Consolidated metadata is not part of Zarr 3, but xarray looks for it when it opens the store.
            warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
            temperature.to_dataset().to_zarr(part, mode="w-")


def write_dataset(ds: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a dataset as netCDF, completely or not at all."""
    with whole(path) as part, _own_threads():
        ds.to_netcdf(part, engine="netcdf4")


@contextmanager
def _own_threads() -> Iterator[None]:
    """Let dask compute in threads that end with the block, so that none writes on after Ctrl-C."""
    import dask
    from dask.system import CPU_COUNT

    pool = ThreadPoolExecutor(dask.config.get("num_workers", None) or CPU_COUNT)
    try:
        with dask.config.set(pool=pool):
            yield
    finally:
        pool.shutdown(cancel_futures=True)
