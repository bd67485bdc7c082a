"""Fewer reaches of a network, or two scales made from one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.network.topology import contract, link
from xmsgl.schema.names import CROSSWALK, id_values, positions, scale_of
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["keep", "one_scale"]


@checked
def keep(ds: xr.Dataset, ids: npt.ArrayLike) -> xr.Dataset:
    """Keep some reaches of a network and link them across those left out.

    With ``ds.sel`` alone, links would lead to reaches that are no longer in the dataset.

    Parameters
    ----------
    ds
        Dataset of one scale, with ``downstream_<scale>``.
    ids
        Reaches or segments to keep, in the order wanted.

    Returns
    -------
    xarray.Dataset
        The reaches kept. ``downstream_<scale>`` leads to the next of them downstream, 0 or ``""`` where
        there is none. Lengths do not include the reaches left out. Lazy where `ds` is.

    Raises
    ------
    InvalidArgumentError
        The dataset does not have exactly one scale with its network, or an id is unknown or given twice.
    NetworkError
        The links do not form a river network.

    Examples
    --------
    >>> import xarray as xr
    >>> ds = xr.Dataset({"downstream_fine": ("fine", [2, 3, 0])}, coords={"fine": [1, 2, 3]})
    >>> keep(ds, [1, 3])["downstream_fine"].values
    array([3, 0])
    """
    scale = only_scale(ds)
    name = f"downstream_{scale}"
    own = id_values(ds.indexes[scale].to_numpy())
    chosen = id_values(np.asarray(ids))
    where = positions(own, chosen) if chosen.ndim == 1 else np.zeros(0, np.int64)
    fault = ""
    if not where.size:
        fault = "no ids are given"
    elif (where < 0).any():
        fault = f"the dataset does not have the ids {shorten(chosen[where < 0].tolist())}"
    elif np.unique(where).size < where.size:
        fault = "ids are given more than once"
    if fault:
        msg = f"cannot keep {where.size} of {own.size} along {scale!r}: {fault}"
        raise InvalidArgumentError(msg)
    downstream = link(own, id_values(ds[name].to_numpy()), what=scale)
    kept = ds.isel({scale: where}).assign({name: (scale, relink(own, downstream, where), ds[name].attrs)})
    return stamp(kept, f"kept {where.size} of {own.size} along {scale}")


def relink(
    ids: npt.NDArray[Any], downstream: npt.NDArray[np.int64], where: npt.NDArray[np.int64]
) -> npt.NDArray[Any]:
    """Return the id of the next chosen reach below each one at the positions `where`; 0 or "" at outlets."""
    selected = np.zeros(ids.size, dtype=bool)
    selected[where] = True
    below = np.full(ids.size, -1, dtype=np.int64)
    below[selected] = contract(downstream, selected)
    outlet = np.zeros((), ids.dtype)[()]
    return np.where(below >= 0, ids[selected][below], outlet)[where]


@checked
def one_scale(ds: xr.Dataset) -> xr.Dataset:
    """Make a dataset of two scales with one reach per segment, for basins without a finer network.

    Training, splits and scores work as usual; the gain is an estimate on days and segments without
    observations.

    Parameters
    ----------
    ds
        Dataset of one scale, coarse or fine, as readers return it, with ``downstream`` and ``length``.

    Returns
    -------
    xarray.Dataset
        Segments as given, and reaches with the same ids, network, lengths, locations and labels;
        ``coarse_segment`` is each reach's own id. Reaches inherit drivers and attributes from their segment.
        Labels are stored at both scales: :func:`xmsgl.evaluate.mask_labels` hides both.

    Raises
    ------
    InvalidArgumentError
        The dataset has both scales or none, or no network.

    Examples
    --------
    >>> import xarray as xr
    >>> ds = xr.Dataset(
    ...     {"downstream_coarse": ("coarse", [8, 0]), "length_coarse": ("coarse", [9e3, 7e3])},
    ...     coords={"coarse": [7, 8]})
    >>> two = one_scale(ds)
    >>> two["coarse_segment"].to_series().to_dict()
    {7: 7, 8: 8}
    """
    scale = only_scale(ds)
    if f"length_{scale}" not in ds:
        msg = f"the dataset has no 'length_{scale}'; add the lengths (m) of its reaches"
        raise InvalidArgumentError(msg)
    if scale == "fine":
        fine = [name for name in ds.variables if scale_of(name)[1] == "fine"]
        ds = ds.rename({"fine": "coarse"} | {name: f"{scale_of(name)[0]}_coarse" for name in fine})
    own = ds["coarse"]
    reaches = xr.Dataset(coords={"fine": ("fine", own.to_numpy(), own.attrs)})
    for base in ("downstream", "length", "lat", "lon", "geometry", "water_temperature", "true_temperature"):
        if f"{base}_coarse" in ds:
            variable = ds[f"{base}_coarse"].variable
            dims = ["fine" if dim == "coarse" else dim for dim in variable.dims]
            reaches[f"{base}_fine"] = (dims, variable.data, variable.attrs)
    attrs = {"units": "1", "long_name": "id of the coarse segment the reach lies on"}
    two = ds.merge(reaches).assign({CROSSWALK: ("fine", own.to_numpy(), attrs)})
    return stamp(two, f"added one reach on each of {own.size} segments")


def only_scale(ds: xr.Dataset) -> Scale:
    """Return the one scale of a dataset that has a network."""
    scales = [scale for scale in SCALES if scale in ds.indexes and f"downstream_{scale}" in ds]
    if len(scales) != 1:
        msg = (
            "the dataset must have one scale: ids 'coarse' with 'downstream_coarse', or 'fine' with "
            f"'downstream_fine'; it has {shorten(ds.variables, 40) or 'nothing'}"
        )
        raise InvalidArgumentError(msg)
    return scales[0]
