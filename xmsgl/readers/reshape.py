"""Changing the shape of what readers return: fewer reaches of a network, or one scale made two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.network.topology import contract, link
from xmsgl.schema.names import CROSSWALK, id_values, positions, scale_of
from xmsgl.util.history import stamp
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["keep", "one_scale"]


def keep(ds: xr.Dataset, ids: npt.ArrayLike) -> xr.Dataset:
    """Keep some reaches of a network and link them across those left out.

    Choosing with ``ds.sel`` alone would leave links to reaches that are no longer there.

    Parameters
    ----------
    ds
        Dataset of one scale, with ``downstream_<scale>``.
    ids
        Which reaches or segments to keep, in the order wanted.

    Returns
    -------
    xarray.Dataset
        The chosen ones. ``downstream_<scale>`` leads to the next chosen one downstream, 0 or ``""`` where
        there is none. Lengths remain those of the reaches themselves: the way along what was left out is
        not counted. Lazy where `ds` is.

    Raises
    ------
    InvalidArgumentError
        There are not exactly one scale and its network, or an id is not there or given twice.
    NetworkError
        The network is none.

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
    where = positions(own, chosen)
    faults = []
    if (where < 0).any():
        faults.append(f"ids that are not there: {shorten(chosen[where < 0].tolist())}")
    if np.unique(where).size < where.size and not faults:
        faults.append("ids given more than once")
    if not where.size:
        faults.append("no ids at all")
    if faults:
        msg = f"can not keep {where.size} of {own.size} along {scale!r}: {'; '.join(faults)}"
        raise InvalidArgumentError(msg)
    downstream = link(own, id_values(ds[name].to_numpy()), what=scale)
    selected = np.zeros(own.size, dtype=bool)
    selected[where] = True
    following = np.full(own.size, -1, dtype=np.int64)
    following[selected] = contract(downstream, selected)
    after = following[where]
    outlet = np.zeros((), own.dtype)[()]
    target = np.where(after >= 0, own[selected][after], outlet)
    kept = ds.isel({scale: where})
    kept = kept.assign({name: (scale, target, ds[name].attrs)})
    return stamp(kept, f"kept {where.size} of {own.size} along {scale}")


def one_scale(ds: xr.Dataset) -> xr.Dataset:
    """Make a dataset of two scales from one, for basins that have no finer one: one reach a segment.

    Methods, splits and scores then work as they do elsewhere; what is gained over the segments is nothing
    but the estimate on days and segments without observations.

    Parameters
    ----------
    ds
        Dataset of one scale, as readers return it, coarse or fine, with ``downstream`` and ``length``.

    Returns
    -------
    xarray.Dataset
        Segments as given, and reaches with the same ids, network, lengths, place and labels;
        ``coarse_segment`` is each reach's own id. Drivers and attributes are inherited from the segment and
        not stored twice. Labels stand at both scales: :func:`xmsgl.evaluate.mask_labels` hides both.

    Raises
    ------
    InvalidArgumentError
        The dataset has no scale or both, or no network.

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
        msg = f"the dataset has no 'length_{scale}'; a network needs the lengths (m) of its reaches"
        raise InvalidArgumentError(msg)
    if scale == "fine":
        ds = ds.rename({name: f"{scale_of(name)[0]}_coarse" for name in ds.variables if _is(name, "fine")})
        ds = ds.rename({"fine": "coarse"})
    shared = ("downstream", "length", "lat", "lon", "geometry", "water_temperature", "true_temperature")
    own = ds["coarse"]
    twins: dict[str, Any] = {
        f"{base}_fine": ds[f"{base}_coarse"].variable for base in shared if f"{base}_coarse" in ds
    }
    reaches = xr.Dataset(coords={"fine": ("fine", own.to_numpy(), own.attrs)})
    for name, variable in twins.items():
        dims = ["fine" if dim == "coarse" else dim for dim in variable.dims]
        reaches[name] = (dims, variable.data, variable.attrs)
    attrs = {"units": "1", "long_name": "id of the coarse segment the reach lies on"}
    two = ds.merge(reaches).assign({CROSSWALK: ("fine", own.to_numpy(), attrs)})
    return stamp(two, f"made {own.size} reaches of as many segments")


def only_scale(ds: xr.Dataset) -> Scale:
    """Return the one scale of a dataset that has a network."""
    there = [scale for scale in SCALES if scale in ds.indexes and f"downstream_{scale}" in ds]
    if len(there) != 1:
        has = shorten(ds.variables, 40) or "nothing"
        msg = (
            "the dataset must have one scale: ids 'coarse' with 'downstream_coarse', or 'fine' with "
            f"'downstream_fine'; it has {has}"
        )
        raise InvalidArgumentError(msg)
    return there[0]


def _is(name: object, scale: str) -> bool:
    return scale_of(str(name))[1] == scale
