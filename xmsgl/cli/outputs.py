"""Writing predictions, datasets and models: which files may be replaced, and how each is written."""

from __future__ import annotations

import secrets
import warnings
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import xarray as xr

from xmsgl.errors import CheckpointError, OutputError, XMSGLError
from xmsgl.export.netcdf import write_netcdf
from xmsgl.util.cluster import is_connected
from xmsgl.util.optional import require
from xmsgl.util.origin import ATTRIBUTE
from xmsgl.util.remote import Remote, whole_file
from xmsgl.util.writing import check_target, own_threads, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping
    from pathlib import Path

    import geopandas

    from xmsgl.util.remote import Location

__all__ = ["Kind", "check_output", "is_prediction", "write_dataset", "write_prediction", "write_table"]

_STORAGE = {"chunks", "preferred_chunks", "shards", "compressor", "compressors", "filters", "serializer"}
_ZARR_METADATA = {"zarr.json", ".zgroup", ".zattrs", ".zmetadata"}


@dataclass(frozen=True)
class Kind:
    """What a command writes, in which formats, and how an earlier one is recognised."""

    what: str
    formats: str  # none: any
    is_ours: Callable[[Any], bool]  # of a path, or a store at a URL


def check_output(path: Location, kind: Kind, reads: Iterable[Location] = ()) -> None:
    """Check, before anything is computed, that a result can be written and replaces no other file."""
    if kind.formats and f"({path.suffix.lower()})" not in kind.formats:
        ending = "one of these endings" if " or " in kind.formats else "this ending"
        msg = f"cannot write {path}: this command writes {kind.formats}; choose a name with {ending}"
        raise OutputError(msg)
    folder = bool(kind.formats) and _is_zarr(path)
    if folder:
        require("zarr", "writing a Zarr store", extra="data")
    if isinstance(path, Remote):
        exists = _check_remote(path, reads)
        ours = exists and kind.is_ours(path if folder else path.fetched())
    else:
        target = check_target(
            path, folder=folder, reads=[each for each in reads if not isinstance(each, Remote)]
        )
        exists = target.exists()
        ours = exists and kind.is_ours(target)
    if exists and not ours:
        other = f"it exists and is not {kind.what} written by xmsgl"
        msg = f"cannot write {path}: {other}; remove it first, or choose another name"
        raise OutputError(msg)


def _check_remote(target: Remote, reads: Iterable[Location]) -> bool:
    """Check that a place at a URL can be reached and is not read; say whether something is there."""
    for each in reads:
        if isinstance(each, Remote) and target.same_as(each):
            msg = f"cannot write {target}: {each} is read; choose another name"
            raise OutputError(msg)
    return target.exists()


def is_prediction(path: Location) -> bool:
    """Check whether a file or folder is a prediction written by the package, and nothing else."""
    from xmsgl.schema.names import LABEL  # loads dask, which help does not need

    ds = _opened(path)
    if ds is None or list(ds.data_vars) != [LABEL]:
        return False
    history = str(ds[LABEL].attrs.get("history"))
    made = any(f": {verb}(" in history for verb in ("downscale", "reconstruct"))
    return ("model_sha256" in ds[LABEL].attrs and made) or ": carry(" in history


def _is_dataset(path: Location) -> bool:
    ds = _opened(path)
    return ds is not None and (ATTRIBUTE in ds.attrs or ": read(" in str(ds.attrs.get("history")))


def _made_by(verb: str, path: Location) -> bool:
    ds = _opened(path)
    return ds is not None and f": {verb}" in str(ds.attrs.get("history"))


def _is_picture(path: Path) -> bool:
    """Check who made a picture, by its metadata as matplotlib writes them."""
    content = path.read_bytes()
    return any(mark in content for mark in (b"Software\0xmsgl", b"/Creator (xmsgl)", b"<dc:title>xmsgl<"))


def _opened(path: Location) -> xr.Dataset | None:
    """Open the metadata of a file; None if it cannot be read, has several groups, or holds other files."""
    store = isinstance(path, Remote) or path.is_dir()
    options = {"engine": "zarr", "consolidated": False} if store else {"engine": "netcdf4"}
    source = _store(path) if isinstance(path, Remote) else path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the caller looks for other files in the folder
        try:
            with closing(xr.open_datatree(source, decode_times=False, **options)) as tree:
                known = {*map(str, tree.variables), *_ZARR_METADATA}
                strange = store and _entries(path) - known
                return None if tree.children or strange else tree.to_dataset()
        except Exception:  # noqa: BLE001 - each library has its own errors for what it cannot read
            return None


def _store(place: Remote, *, write: bool = False) -> Any:
    from xmsgl.util.remote_store import store_at_url  # loads zarr, which help does not need

    return store_at_url(place, write=write)


def _entries(folder: Location) -> set[str]:
    if isinstance(folder, Remote):
        return {name.split("/")[0] for name in folder.files()}
    return {entry.name for entry in folder.iterdir()}


def _is_trained(path: Path) -> bool:
    from xmsgl.models.file import storage

    try:
        storage.from_bytes(storage.read(path), str(path))
    except CheckpointError:
        return False
    return True


NETCDF = "a netCDF file (.nc)"
PREDICTION = Kind("a prediction", f"{NETCDF} or a Zarr store (.zarr)", is_prediction)
DATASET = Kind("a dataset", f"{NETCDF} or a Zarr store (.zarr)", _is_dataset)
STATE = Kind("a state", f"{NETCDF} or a Zarr store (.zarr)", partial(_made_by, "state("))
BASIN = Kind("a dataset", NETCDF, _is_dataset)
MODEL = Kind("a model or checkpoint", "", _is_trained)
PICTURE = Kind("a picture", "PNG (.png), PDF (.pdf) or SVG (.svg)", _is_picture)
PAGE = Kind("a page", "HTML (.html)", lambda path: b'name="generator" content="xmsgl"' in path.read_bytes())
TABLES = "GeoPackage (.gpkg), GeoParquet (.parquet) or CSV (.csv)"
EXPORT = Kind("a netCDF export", f"{NETCDF}, {TABLES}", partial(_made_by, "export to "))


def write_prediction(temperature: xr.DataArray, path: Location) -> None:
    """Compute a prediction and write it completely or not at all."""
    packed = {} if _is_zarr(path) else {temperature.name: {"zlib": True, "complevel": 1}}
    write_dataset(temperature.to_dataset(), path, packed)


def write_dataset(ds: xr.Dataset, path: Location, encoding: Mapping[Hashable, Any] | None = None) -> None:
    """Write a dataset as netCDF or Zarr, completely or not at all."""
    if not _is_zarr(path):
        # Workers cannot share the file, which may be a copy on this machine.
        ds = ds.compute() if is_connected() else ds
        with whole_file(path) as part, own_threads():
            write_netcdf(ds, part, encoding)
        return
    with warnings.catch_warnings():
        ds = _without_storage(ds)
        # Consolidated metadata is not part of Zarr 3, but xarray looks for it when it opens the store.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        if isinstance(path, Remote):
            _write_store(ds, path)
            return
        with whole(path, folder=True) as part, own_threads():
            ds.to_zarr(part, mode="w-")


def _without_storage(ds: xr.Dataset) -> xr.Dataset:
    """Forget how another store held the values; what Zarr 2 compressed with, Zarr 3 refuses."""
    plain = ds.copy()
    for variable in plain.variables.values():
        variable.encoding = {k: v for k, v in variable.encoding.items() if k not in _STORAGE}
    return plain


def _write_store(ds: xr.Dataset, target: Remote) -> None:
    """Write a Zarr store at a URL, beside its target until it is complete."""
    part = target.with_ending(f".{secrets.token_hex(4)}.part")
    try:
        with own_threads():
            ds.to_zarr(_store(part, write=True), mode="w-")
        part.become(target)
    finally:
        with suppress(XMSGLError):  # it cannot be reached; the error above says so
            part.remove()


def write_table(frame: geopandas.GeoDataFrame, path: Location) -> None:
    """Write one row for each reach, completely or not at all."""
    writers = {".gpkg": frame.to_file, ".parquet": frame.to_parquet, ".csv": frame.to_csv}
    with whole_file(path) as part:
        writers[path.suffix.lower()](part)


def _is_zarr(path: Location) -> bool:
    return path.suffix.lower() == ".zarr"
