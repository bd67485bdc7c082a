"""Values and the attributes of their reaches in one table, from which all exports start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import xarray as xr

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, shorten
from xmsgl.schema.arrays import sound_dataset
from xmsgl.schema.rivers import need_ids
from xmsgl.util.optional import require

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["IDS", "Table", "need", "table_of"]

IDS = {"fine": "reach_id", "coarse": "segment_id"}
"""Name of the ids of a scale in an export."""

_PLACE = {"lat", "lon", "geometry"}


@dataclass(frozen=True)
class Table:
    """One scale of a dataset, ready for export."""

    values: xr.Dataset  # variables along the scale, named without its suffix; daily ones may be lazy
    network: xr.Dataset  # the dataset with the same ids in the same order, for topology and locations
    scale: schema.Scale
    given: tuple[str, ...]  # names in `values` of the prediction; the others are attributes of the reaches

    @property
    def ids(self) -> npt.NDArray[Any]:
        """The ids, (n,)."""
        return self.network.indexes[self.scale].to_numpy()


def table_of(obj: xr.Dataset | xr.DataTree, prediction: xr.DataArray | xr.Dataset | None) -> Table:
    """Join values and the attributes of their reaches."""
    ds = sound_dataset(obj)
    given = _given(ds, prediction)
    scale = _scale_of(given)
    for what, part in (("the dataset", ds), ("the prediction", given)):
        if scale not in part.indexes:
            fault = f"{what} has no ids along {scale!r}; give them: .assign_coords({scale}=ids)"
            raise InvalidDatasetError([fault])
    known, wanted = ds.indexes[scale], given.indexes[scale]
    if not len(wanted):
        raise InvalidArgumentError(f"the prediction has no values along {scale!r}; select reaches to export")
    unknown = wanted.difference(known, sort=False)
    if len(unknown) or wanted.has_duplicates:
        wrong = unknown if len(unknown) else wanted[wanted.duplicated()]
        why = "are not in the dataset" if len(unknown) else "occur twice"
        msg = f"the prediction has ids along {scale!r} that {why}: {shorten(wrong)}"
        raise InvalidArgumentError(msg)
    network = ds if known.equals(wanted) else ds.isel({scale: known.get_indexer(wanted)})
    attributes = {}
    for name, variable in network.variables.items():
        base, own = (name, "fine") if name == schema.CROSSWALK else schema.scale_of(name)
        if own == scale and base not in {*_PLACE, *given.variables} and variable.dims == (scale,):
            attributes[base] = variable
    return Table(given.assign(attributes), network, scale, tuple(str(name) for name in given.data_vars))


def _given(ds: xr.Dataset, prediction: xr.DataArray | xr.Dataset | None) -> xr.Dataset:
    """Return the prediction with index and scalar coordinates only; by default the daily fine variables."""
    if prediction is None:
        need_ids(ds, "fine")
        daily = [n for n, array in ds.data_vars.items() if "fine" in array.dims and "time" in array.dims]
        found = ds[daily] if daily else ds[[]].assign_coords(fine=ds["fine"])
        found = found.rename({name: schema.scale_of(name)[0] for name in daily})
    elif isinstance(prediction, xr.DataArray):
        found = prediction.to_dataset(name="prediction" if prediction.name is None else str(prediction.name))
    elif isinstance(prediction, xr.Dataset):
        found = prediction
    else:  # callers need not be type-checked
        msg = f"expected an xarray.DataArray or Dataset to export, not {type(prediction).__name__}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    spare = [
        name
        for name, coord in found.coords.items()
        if name not in found.dims and (coord.ndim or str(name) in {*schema.SCALES, *IDS.values()})
    ]
    return found.drop_vars(spare)


def _scale_of(given: xr.Dataset) -> schema.Scale:
    scales = [scale for scale in schema.SCALES if scale in given.dims]
    if len(scales) == 1:
        return scales[0]
    why = "both scales; export them one by one" if scales else "neither scale"
    advice = "one dimension must be 'fine' or 'coarse', with the ids of the dataset"
    msg = f"the values to export have the dimensions {tuple(given.dims)}, {why}: {advice}"
    raise InvalidArgumentError(msg)


def need(module: str) -> Any:
    """Import a library of the extra ``geo``."""
    return require(module, "this export", extra="geo")
