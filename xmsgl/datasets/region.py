"""Select a part of a basin: a hydrologic unit, or everything upstream of a segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.network.topology import link, upstream_of

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["check_region", "cut"]

_LEVELS = {8: "huc8", 12: "huc12"}


def check_region(region: object, *, units: bool) -> bool:
    """Say whether a region is given by a segment, and refuse what is no unit of a basin with units either."""
    if isinstance(region, int | np.integer) and not isinstance(region, bool):
        return True
    if not units:
        msg = (
            f"region must be a segment id as an integer; the dataset has no hydrologic units like {region!r}"
        )
        raise InvalidArgumentError(msg)
    if not isinstance(region, str) or not region.isdigit() or len(region) not in _LEVELS:
        msg = (
            f"region must be a HUC8 or HUC12 id as text (8 or 12 digits) or a segment id as an integer, "
            f"not {region!r}"
        )
        raise InvalidArgumentError(msg)
    return False


def cut(ds: xr.Dataset, region: str | int) -> xr.Dataset:
    """Cut both scales of a dataset to a region.

    Segments in the region are kept with all their reaches, so every segment belongs to exactly one unit of a
    level. A segment or reach that drains out of the region becomes an outlet.
    """
    ids = ds["coarse"].to_numpy()
    if check_region(region, units=any(f"{level}_coarse" in ds for level in _LEVELS.values())):
        stay = _upstream(ds, int(region))
        what = f"segment {region} and everything upstream of it"
    else:
        stay = _inside(ds, str(region))
        what = f"segments with most of their length in hydrologic unit {region}"
    kept = ids[stay]
    part = ds.isel(
        coarse=np.flatnonzero(stay), fine=np.flatnonzero(np.isin(ds["coarse_segment"].to_numpy(), kept))
    )
    severed = {}
    for scale in ("coarse", "fine"):
        name = f"downstream_{scale}"
        below = part[name].to_numpy()
        inside = np.isin(below, part[scale].to_numpy())
        severed[scale] = int((~inside & (below != 0)).sum())
        part[name] = part[name].copy(data=np.where(inside, below, 0))
    part.attrs["region"] = (
        f"{what}: {part.sizes['coarse']} segments, {part.sizes['fine']} reaches; "
        f"links that left it and were cut: {severed['coarse']} coarse, {severed['fine']} fine"
    )
    return part


def _upstream(ds: xr.Dataset, outlet: int) -> NDArray[np.bool_]:
    ids = ds["coarse"].to_numpy()
    position = np.flatnonzero(ids == outlet)
    if not len(position):
        msg = f"region {outlet} is not a segment id; ids range from {ids.min()} to {ids.max()}"
        raise InvalidArgumentError(msg)
    downstream = link(ids, ds["downstream_coarse"].to_numpy(), what="segment")
    return upstream_of(downstream, int(position[0]))


def _inside(ds: xr.Dataset, region: str) -> NDArray[np.bool_]:
    column = _LEVELS[len(region)]
    units = ds[f"{column}_coarse"].to_numpy().astype(str)
    stay = np.asarray(units == region)
    if stay.any():
        return stay
    touching = np.unique(ds["coarse_segment"].to_numpy()[ds[f"{column}_fine"].to_numpy() == region])
    if len(touching):
        advice = f"only parts of segments {shorten(touching)} do; name one of them, or a larger unit"
    else:
        advice = f"the units are {shorten(sorted(set(units) - {''}), 30)}"
    msg = f"no segment has most of its length in {column} {region}: {advice}"
    raise InvalidArgumentError(msg)
