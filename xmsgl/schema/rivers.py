"""River networks of a dataset: topology, crosswalk and stream order as plain arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, shorten
from xmsgl.network.ids import id_values
from xmsgl.network.topology import link, strahler
from xmsgl.schema.advice import counted
from xmsgl.schema.names import CROSSWALK, positions
from xmsgl.schema.tree import as_dataset
from xmsgl.schema.units import need_units
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["need_ids", "read_small", "segment_positions", "stream_orders", "topology", "unique_ids"]


def topology(
    obj: xr.Dataset | xr.DataTree, scale: Scale
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Read ids, positions downstream and lengths of one scale, (n,) each."""
    if scale not in SCALES:
        msg = f"scale must be 'coarse' or 'fine', not {scale!r}"
        raise InvalidArgumentError(msg)
    ds = as_dataset(obj)
    downstream, length = read_small(ds, scale, f"downstream_{scale}", f"length_{scale}")
    need_units(ds[f"length_{scale}"], "m")
    ids = id_values(ds.indexes[scale].to_numpy())
    what = "coarse segment" if scale == "coarse" else "fine reach"
    return ids, link(ids, id_values(downstream), what=what), length.astype(np.float64)


def segment_positions(obj: xr.Dataset | xr.DataTree) -> npt.NDArray[np.int64]:
    """Find the position of each reach's coarse segment, (n_fine,)."""
    ds = as_dataset(obj)
    (segment,) = read_small(ds, "fine", CROSSWALK)
    need_ids(ds, "coarse")
    found = positions(unique_ids(ds, "coarse"), segment)
    lost = found < 0
    if lost.any():
        reaches = ds.indexes["fine"][lost]
        pairs = (f"{reach} -> {there}" for reach, there in zip(reaches, segment[lost], strict=True))
        count = counted(lost.sum(), "reach lies", "reaches lie")
        fault = f"{CROSSWALK}: {count} on segments that are not in the dataset: {shorten(pairs)}"
        raise InvalidDatasetError([f"{fault}; correct it, or drop these reaches"])
    return found


def unique_ids(ds: xr.Dataset, scale: Scale) -> npt.NDArray[Any]:
    """Return the ids of a scale, which must be unique."""
    index = ds.indexes[scale]
    if not index.is_unique:
        twice = shorten(index[index.duplicated()].unique())
        raise InvalidDatasetError([f"{scale}: duplicated ids {twice}; keep one of each"])
    return id_values(index.to_numpy())


def need_ids(ds: xr.Dataset, scale: str) -> None:
    """Refuse a dataset without ids of a scale."""
    if scale not in ds.indexes:
        fault = f"coordinate {scale!r} is missing; give the ids: ds.assign_coords({scale}=ids)"
        raise InvalidDatasetError([fault])


def read_small(ds: xr.Dataset, scale: Scale, *names: str) -> list[npt.NDArray[Any]]:
    """Read small variables over one scale, lazy ones in one computation."""
    need_ids(ds, scale)
    wrong = [name for name in names if name not in ds.variables or ds[name].dims != (scale,)]
    if wrong:
        raise InvalidDatasetError([f"variable {name!r} over ({scale}) is missing" for name in wrong])
    read = ds.reset_coords()[list(names)].compute()  # without their coordinates
    return [read[name].to_numpy() for name in names]


def stream_orders(ds: xr.Dataset, scale: str) -> npt.NDArray[np.int64]:
    """Return the stream order of each reach, (n,): stored, or Strahler's from the topology, or 1."""
    need_ids(ds, scale)
    if f"stream_order_{scale}" in ds.variables:
        stored = np.asarray(ds[f"stream_order_{scale}"].values, dtype=np.float64)
        return np.where(np.isfinite(stored), np.maximum(stored, 1), 1).astype(np.int64)
    if f"downstream_{scale}" in ds.variables:
        return strahler(link(ds[scale].values, ds[f"downstream_{scale}"].values))
    return np.ones(ds.sizes[scale], dtype=np.int64)
