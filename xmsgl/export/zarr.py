"""Write a large lazy prediction to a Zarr store in pieces: a job that was killed continues where it stopped.

The store grows beside its target, in a folder whose name has ``.unfinished`` added, and gets its name when
all chunks are there; it may be at a URL. Each chunk is written once, by one task; Zarr writes a chunk to a
temporary file first (since 3.1.3) and an object store takes it whole, so that it is either whole or absent.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from itertools import groupby, product
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.errors import OutputError, XMSGLError, shorten
from xmsgl.export.stores import store_at
from xmsgl.schema.names import LABEL
from xmsgl.util.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from xmsgl.export.stores import Place, Store
    from xmsgl.util.remote import Location

__all__ = ["Outcome", "damaged_blocks", "write_in_pieces"]

logger = logging.getLogger(__name__)

_ATTRIBUTE = "xmsgl_run"
_LARGEST = 64 * 2**20  # bytes of a chunk
_AT_ONCE = 64  # chunks computed together at least; each time the model is prepared once
# From so many days on, what stands for the weather before the record does not depend on its length.
_SETTLED = 365


@dataclass(frozen=True)
class Outcome:
    """What became of the chunks of a store."""

    written: int
    present: int  # from an earlier run
    missing: tuple[tuple[str, str, str], ...]  # first day, last day, error


def write_in_pieces(
    temperature: xr.DataArray, path: Location, run: Mapping[str, Any], explain: Callable[[slice], str]
) -> Outcome:
    """Write a lazy prediction, or the chunks of it that an earlier run of the same job did not write.

    A finished store of the same job with fewer days is extended: its whole chunks are copied. `run` describes
    the job; one with another description does not continue it. Chunks whose input cannot be read are left
    out and listed in the outcome, with what `explain` says of their days; the store then remains unfinished.
    """
    target = store_at(path)
    part = target.unfinished()
    with part.alone():
        return _write_missing(temperature, target, part, run, explain)


def _write_missing(
    temperature: xr.DataArray,
    target: Store,
    part: Store,
    run: Mapping[str, Any],
    explain: Callable[[slice], str],
) -> Outcome:
    """Begin or continue a store and write the chunks that it lacks."""
    made, chunks = _template(temperature, run)
    if not part.exists():
        if target.exists() and _done(target, made, chunks):
            return Outcome(0, len(_places(temperature.shape, chunks)), ())
        _begin(made, target, part, chunks)
    elif _earlier(part, made) != made.sizes["time"]:
        msg = (
            f"cannot continue {part}: it was begun with other days than the dataset has now; give the "
            "dataset with its days, or remove it"
        )
        raise OutputError(msg)
    places, there = _places(temperature.shape, chunks), part.written(LABEL)
    todo = [place for place in places if place not in there]
    failed = _write(temperature, part, chunks, todo, explain)
    there = part.written(LABEL)
    lost = [place for place in places if place not in there]
    if not lost:
        part.finish(target)
    days = temperature.indexes["time"]
    axis = temperature.dims.index("time")
    missing = [(*_span(days, chunks[axis], place[axis]), failed.get(place, "not written")) for place in lost]
    return Outcome(len(todo) - len(lost), len(places) - len(todo), tuple(dict.fromkeys(missing)))


def _template(temperature: xr.DataArray, run: Mapping[str, Any]) -> tuple[xr.Dataset, tuple[int, ...]]:
    """Return the dataset with the description of the job, and the chunks of its store."""
    import dask.array as da

    sizes = dict(zip(temperature.dims, temperature.chunks or (), strict=True))
    # Windows of days have one length, except the first and the last.
    days = int(np.bincount(sizes["time"]).argmax()) if len(sizes["time"]) > 2 else max(sizes["time"])
    rest = int(np.prod([size for dim, size in temperature.sizes.items() if dim not in ("time", "fine")]))
    reaches = min(max(sizes["fine"]), max(1, _LARGEST // (4 * days * rest)))
    found = {"time": days, "fine": reaches}
    ids = "\n".join(map(str, temperature["fine"].values.tolist()))
    described = {
        **run,
        "reaches": hashlib.sha256(ids.encode()).hexdigest()[:16],
        "first_day": str(temperature.indexes["time"][0].date()),
        "chunks": found,
    }
    chunks = tuple(found.get(str(dim), size) for dim, size in temperature.sizes.items())
    blank = da.empty(temperature.shape, chunks=chunks, dtype=np.float32)
    made = temperature.copy(data=blank).to_dataset(name=LABEL).drop_encoding()
    # Only the temperature is written piece by piece.
    made = made.assign_coords({name: each.compute() for name, each in made.coords.items()})
    made.attrs[_ATTRIBUTE] = json.dumps(described, sort_keys=True)
    return made, chunks


def _begin(made: xr.Dataset, target: Store, part: Store, chunks: Sequence[int]) -> None:
    """Write the metadata and coordinates, and copy what a finished store of the same job has."""
    earlier = _earlier(target, made) if target.exists() else 0
    if earlier < _SETTLED:
        earlier = 0
    axis = list(made[LABEL].dims).index("time")
    there = target.written(LABEL) if earlier else set()
    kept = {place for place in there if (place[axis] + 1) * chunks[axis] <= earlier}
    files = {f"{LABEL}/c/{'/'.join(map(str, place))}" for place in kept}
    part.begin(made, {LABEL: {"chunks": tuple(chunks)}}, target, files)


def _earlier(target: Store, made: xr.Dataset) -> int:
    """Return how many days a finished store of the same job has."""
    _check_same(target, made)
    days = target.opened().indexes["time"]
    if not days.equals(made.indexes["time"][: days.size]):
        msg = (
            f"cannot continue {target}: its days are not the first days of this dataset; choose another name"
        )
        raise OutputError(msg)
    return int(days.size)


def _done(target: Store, made: xr.Dataset, chunks: Sequence[int]) -> bool:
    places = set(_places(made[LABEL].shape, chunks))
    return _earlier(target, made) == made.sizes["time"] and places <= target.written(LABEL)


def _check_same(store: Store, made: xr.Dataset) -> None:
    """Refuse a store of another job, and say in what it differs."""
    found = store.opened().attrs.get(_ATTRIBUTE)
    if found is None:
        msg = f"cannot continue {store}: it was not written with --resume; remove it, or choose another name"
        raise OutputError(msg)
    theirs, ours = json.loads(found), json.loads(made.attrs[_ATTRIBUTE])
    differing = [
        f"{name} {theirs.get(name)!r}, now {ours.get(name)!r}"
        for name in sorted({*theirs, *ours})
        if theirs.get(name) != ours.get(name)
    ]
    if differing:
        msg = f"cannot continue {store}: it was begun with {shorten(differing)}; remove it first"
        raise OutputError(msg)


def _write(
    temperature: xr.DataArray,
    part: Store,
    chunks: Sequence[int],
    todo: Sequence[Place],
    explain: Callable[[slice], str],
) -> dict[Place, str]:
    """Compute and write chunks; return why some were not."""
    from dask.base import compute
    from dask.delayed import delayed

    blocks = temperature.data.rechunk(tuple(chunks)).to_delayed()
    put = delayed(_put, pure=False)
    failed: dict[Place, str] = {}
    axis = temperature.dims.index("time")
    with progress_bar(len(todo), "downscale", unit="chunk") as bar:
        for some in _batches(todo, axis):
            tasks = {place: put(blocks[place], part, _region(place, chunks)) for place in some}
            try:
                compute(*tasks.values())
            except OutputError:  # the store cannot be reached
                raise
            except OSError as error:
                if error.errno is not None and not isinstance(error, XMSGLError):
                    raise  # the disk is full, or may not be written
                failed |= _one_by_one(tasks, part, chunks[axis], axis, explain)
            except Exception:  # noqa: BLE001 - of a codec of the input, or of the package
                failed |= _one_by_one(tasks, part, chunks[axis], axis, explain)
            bar.update(len(some))
    return failed


def _batches(todo: Sequence[Place], axis: int) -> Iterator[list[Place]]:
    """Divide chunks into batches; those of the same days together, as they may need the same basins."""
    batch: list[Place] = []
    for _, some in groupby(sorted(todo, key=itemgetter(axis)), key=itemgetter(axis)):
        batch += some
        if len(batch) >= _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _one_by_one(
    tasks: Mapping[Place, Any], part: Store, days: int, axis: int, explain: Callable[[slice], str]
) -> dict[Place, str]:
    """Write each chunk alone that is not there, so that those whose input is sound are not lost."""
    failed = {}
    there = part.written(LABEL)
    for place, task in tasks.items():
        if place in there:
            continue
        try:
            task.compute()
        except Exception as error:
            span = slice(place[axis] * days, (place[axis] + 1) * days)
            failed[place] = explain(span) or f"{type(error).__name__}: {error}"
            logger.debug("chunk %s", place, exc_info=True)
    return failed


def _put(block: NDArray[np.float32], store: Store, region: tuple[slice, ...]) -> None:
    """Write one chunk, also if it holds nothing but missing values."""
    import zarr

    with zarr.config.set({"array.write_empty_chunks": True}):
        zarr.open_array(store.zarr(), path=LABEL, mode="r+")[region] = block


def _places(shape: Sequence[int], chunks: Sequence[int]) -> list[Place]:
    return list(product(*(range(-(-size // chunk)) for size, chunk in zip(shape, chunks, strict=True))))


def _region(place: Place, chunks: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(k * chunk, (k + 1) * chunk) for k, chunk in zip(place, chunks, strict=True))


def _span(days: pd.Index, length: int, number: int) -> tuple[str, str]:
    some = days[number * length : (number + 1) * length]
    return str(some[0].date()), str(some[-1].date())


def damaged_blocks(ds: xr.Dataset, days: slice) -> Iterator[str]:
    """Name the blocks of lazy variables that cannot be read or hold no value, of those on some days."""
    for name, array in ds.variables.items():
        if array.chunks is None:
            continue
        for place in np.ndindex(*array.data.numblocks):
            where = f"{name}, chunk {place}"
            if "time" in array.dims:
                at = _block_region(array.chunks, place)[array.dims.index("time")]
                if at.start >= days.stop or at.stop <= days.start:
                    continue
                first, last = (str(ds.indexes["time"][day].date()) for day in (at.start, at.stop - 1))
                where += f", {first} to {last}"
            try:
                values = array.data.blocks[place].compute()
            except Exception as error:  # noqa: BLE001 - each codec has its own
                yield f"{where}: {type(error).__name__}: {' '.join(str(error).split())}"
                continue
            # Zarr fills a chunk that is not there with missing values, which only observations may have.
            if not str(name).startswith(LABEL) and values.dtype.kind == "f" and np.isnan(values).all():
                yield f"{where}: it holds no value, or is not there"


def _block_region(chunks: Sequence[Sequence[int]], place: Place) -> tuple[slice, ...]:
    ends = [np.cumsum(sizes) for sizes in chunks]
    return tuple(
        slice(int(end[k] - sizes[k]), int(end[k])) for end, sizes, k in zip(ends, chunks, place, strict=True)
    )
