"""Arguments that may be a DataArray or a Dataset of one variable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, shorten
from xmsgl.schema.structure import check_labels, check_numbers, check_sizes
from xmsgl.schema.tree import Labelled, as_dataset, native
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_array", "in_order_of", "sound_dataset"]


def sound_dataset(obj: xr.Dataset | xr.DataTree, *, sizes: bool = False) -> xr.Dataset:
    """Return the flat dataset; refuse what no function can use, and with `sizes` missing dimensions."""
    ds = as_dataset(obj)
    dims = [dim for dim in ("time", *SCALES) if sizes or dim in ds.sizes]
    if faults := [*check_sizes(ds, dims), *check_labels(ds.indexes), *check_numbers(ds)]:
        raise InvalidDatasetError(faults)
    return ds


def as_array(obj: xr.DataArray | xr.Dataset, what: str = "prediction") -> xr.DataArray:
    """Return the array itself, or the only variable of a Dataset, as a written prediction opens."""
    if isinstance(obj, xr.DataArray):
        obj = native(obj)
        text = [] if obj.dtype.kind in "biuf" else [f"its dtype is {obj.dtype}; it must be numeric"]
        if faults := [*check_labels(obj.indexes), *text]:
            raise InvalidArgumentError(f"{what}: {'; '.join(faults)}")
        return obj
    if isinstance(obj, xr.Dataset):
        names = list(obj.data_vars)
        if len(names) == 1:
            return as_array(obj[names[0]], what)
        msg = f"{what} is a Dataset without variables; give the array itself"
        if names:
            msg = (
                f"{what} is a Dataset of {len(names)} variables ({shorten(names)}); give one of them: "
                f"{what}[{str(names[0])!r}]"
            )
        raise InvalidArgumentError(msg)
    msg = (  # type: ignore[unreachable]  # callers need not be type-checked
        f"{what} is a {type(obj).__name__}; give an xarray.DataArray, or a Dataset of one variable: "
        "open a file with xr.open_dataset(path), label values with xr.DataArray(values, dims=..., coords=...)"
    )
    raise InvalidArgumentError(msg)


def in_order_of(obj: Labelled, dim: str, wanted: pd.Index[Any], what: str) -> Labelled:
    """Bring an object into the order of some labels; if it has another, they must be the same, each once."""
    own = obj.indexes[dim]
    if own.equals(wanted):
        return obj
    if not (own.is_unique and wanted.is_unique) or set(own) != set(wanted):
        odd = shorten(own.symmetric_difference(wanted).tolist() or own[own.duplicated()].unique())
        msg = f"{what} are not of the same {dim}s, each once, but differ in {odd}; give both of the same ones"
        raise InvalidArgumentError(msg)
    ordered: Labelled = obj.sel({dim: wanted})
    return ordered
