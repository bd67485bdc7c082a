"""Checks of the crosswalk, and of the fine river against the coarse one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import shorten
from xmsgl.network.handoffs import handoffs, stranded
from xmsgl.network.ids import id_values, missing
from xmsgl.schema.advice import counted
from xmsgl.schema.names import CROSSWALK, positions
from xmsgl.schema.topology import arrows, check_kinds
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    import xarray as xr

    from xmsgl.network.handoffs import Handoffs

__all__ = ["Rivers", "check_against_flow", "check_crosswalk", "rivers_of"]

# Two sources seldom agree on every river: in the Delaware 2 of 450 links between segments differ.
_ASIDE_SHARE, _ASIDE_COUNT = 0.05, 2


@dataclass(frozen=True)
class Rivers:
    """Both networks and the crosswalk of a dataset without faults, as positions."""

    fine: npt.NDArray[np.int64]  # position downstream, -1 at an outlet
    coarse: npt.NDArray[np.int64]
    segment: npt.NDArray[np.int64]  # position of each reach's segment
    found: Handoffs

    @property
    def links(self) -> int:
        """Number of reaches that flow into a reach on another segment."""
        return self.found.along.size + self.found.against.size + self.found.aside.size


def check_crosswalk(ds: xr.Dataset, small: Mapping[str, npt.NDArray[Any]]) -> Iterator[str]:
    """Find reaches without a segment or on one that is not in the dataset."""
    if CROSSWALK not in small or any(s not in ds.indexes for s in SCALES) or ds[CROSSWALK].dims != ("fine",):
        return
    reaches, segments = (id_values(ds.indexes[scale].to_numpy()) for scale in ("fine", "coarse"))
    owner = id_values(small[CROSSWALK])
    if (none := missing(owner)).any():
        yield (
            f"{CROSSWALK}: {counted(none.sum(), 'reach has', 'reaches have')} no segment: "
            f"{shorten(reaches[none])}; give each its segment{_or_drop(reaches, none, small)}"
        )
    faults = list(check_kinds(CROSSWALK, small[CROSSWALK], "coarse", segments))
    yield from faults
    if faults or segments.dtype.kind not in "iU":
        return
    unknown = (positions(pd.unique(segments), owner) < 0) & ~none
    if unknown.any():
        yield (
            f"{CROSSWALK}: {counted(unknown.sum(), 'reach lies', 'reaches lie')} on segments that are not in "
            f"the dataset: {arrows(reaches[unknown], owner[unknown])}; "
            f"correct them{_or_drop(reaches, unknown, small)}"
        )


def _or_drop(
    reaches: npt.NDArray[Any], lost: npt.NDArray[np.bool_], small: Mapping[str, npt.NDArray[Any]]
) -> str:
    """Write code that drops reaches, unless other reaches flow into them."""
    below = small.get("downstream_fine")
    if below is not None and np.isin(id_values(below)[~lost], reaches[lost]).any():
        return "; they cannot be dropped, because other reaches flow into them"
    return f', or keep only the others: ds = ds.isel(fine=ds["{CROSSWALK}"].isin(ds["coarse"]).values)'


def rivers_of(ds: xr.Dataset, small: Mapping[str, npt.NDArray[Any]]) -> Rivers | None:
    """Turn the ids of networks and crosswalk without faults into positions; None if any is missing."""
    where = {"downstream_fine": "fine", "downstream_coarse": "coarse", CROSSWALK: "fine"}
    given = all(name in small and ds[name].dims == (dim,) for name, dim in where.items())
    if not given or any(scale not in ds.indexes for scale in SCALES):
        return None
    reaches, segments = (ds.indexes[scale].to_numpy() for scale in ("fine", "coarse"))
    fine = positions(reaches, small["downstream_fine"])
    coarse = positions(segments, small["downstream_coarse"])
    segment = positions(segments, small[CROSSWALK])
    return Rivers(fine, coarse, segment, handoffs(fine, segment, coarse))


def check_against_flow(ds: xr.Dataset, rivers: Rivers, area: npt.NDArray[np.float64] | None) -> Iterator[str]:
    """Find reaches that do not flow where their segments do, and rivers that end midway."""
    reaches, segments = ds.indexes["fine"], ds.indexes["coarse"][rivers.segment]
    places = [f"{reach} (on {on})" for reach, on in zip(reaches, segments, strict=True)]
    named = np.array(places, dtype=object)
    against, aside = rivers.found.against, rivers.found.aside
    if against.size:
        yield (
            f"{CROSSWALK}: the water of {counted(against.size, 'reach', 'reaches')} flows into a segment "
            "upstream, or leaves its segment and returns: "
            f"{arrows(named[against], named[rivers.fine[against]])}; correct the segments or downstream_fine"
        )
    if aside.size > max(_ASIDE_COUNT, _ASIDE_SHARE * rivers.links):
        yield (
            f"{CROSSWALK}: {aside.size} of {rivers.links} links between segments lead to a segment that is "
            f"neither downstream nor upstream: {arrows(named[aside], named[rivers.fine[aside]])}; "
            "correct the segments"
        )
    ends = stranded(rivers.fine, rivers.segment, rivers.coarse, area)
    if ends.size:
        found = counted(ends.size, "reach ends", "reaches end")
        yield (
            f"downstream_fine: {found} in mid-river, although the water of the segment flows on: "
            f"{shorten(named[ends])}; give the id of the reach downstream"
        )
