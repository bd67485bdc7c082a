"""Values and the attributes of their reaches side by side: what every export starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import xarray as xr

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, shorten
from xmsgl.util.optional import require

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["IDS", "Table", "need", "table_of"]

IDS = {"fine": "reach_id", "coarse": "segment_id"}
"""What the ids of a scale are called in an export."""

_PLACE = {"lat", "lon", "geometry"}


@dataclass(frozen=True)
class Table:
    """One scale of a dataset, ready for export.

    Attributes
    ----------
    values
        Variables along the scale (and ``time``, ``quantile``, ... where they have them), named without the
        scale's suffix; daily ones may be lazy.
    network
        The dataset, cut to the same ids in the same order: topology and places come from it.
    scale
        ``"coarse"`` or ``"fine"``.
    given
        Names in `values` of what was asked for; the others are attributes of the reaches.
    """

    values: xr.Dataset
    network: xr.Dataset
    scale: schema.Scale
    given: tuple[str, ...]

    @property
    def ids(self) -> npt.NDArray[Any]:
        """The ids, (n,)."""
        return self.network.indexes[self.scale].to_numpy()


def table_of(obj: xr.Dataset | xr.DataTree, prediction: xr.DataArray | xr.Dataset | None) -> Table:
    """Put values and the attributes of their reaches side by side."""
    ds = schema.as_dataset(obj)
    given = _given(ds, prediction)
    scale = _scale_of(given)
    for what, there in (("the dataset", ds), ("the prediction", given)):
        if scale not in there.indexes:
            fault = f"{what} has no ids along {scale!r}; give them: .assign_coords({scale}=ids)"
            raise InvalidDatasetError([fault])
    mine, theirs = ds.indexes[scale], given.indexes[scale]
    lost = theirs.difference(mine, sort=False)
    if len(lost) or theirs.has_duplicates:
        wrong = lost if len(lost) else theirs[theirs.duplicated()]
        why = "are not in the dataset" if len(lost) else "occur twice"
        msg = f"the prediction has ids along {scale!r} that {why}: {shorten(wrong)}"
        raise InvalidArgumentError(msg)
    network = ds if mine.equals(theirs) else ds.isel({scale: mine.get_indexer(theirs)})
    attributes = {
        base: network.variables[name]
        for name in network.variables
        for base, own in [_own_name(str(name))]
        if own == scale and base not in _PLACE and network.variables[name].dims == (scale,)
    }
    values = given.assign({name: array for name, array in attributes.items() if name not in given})
    return Table(values, network, scale, tuple(str(name) for name in given.data_vars))


def _given(ds: xr.Dataset, prediction: xr.DataArray | xr.Dataset | None) -> xr.Dataset:
    """Return what is asked for, with index coordinates and scalar ones only, names without suffix."""
    if prediction is None:
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
    cure = "one dimension must be 'fine' or 'coarse', with the ids of the dataset"
    msg = f"the values to export have dimensions {tuple(given.dims)}, which name {why}: {cure}"
    raise InvalidArgumentError(msg)


def _own_name(name: str) -> tuple[str, str | None]:
    return (name, "fine") if name == schema.CROSSWALK else schema.scale_of(name)


def need(module: str) -> Any:
    """Import a library of the extra ``geo``, or say how to get it."""
    return require(module, "this export", extra="geo")
