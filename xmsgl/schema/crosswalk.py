"""Checks of which segment each reach lies on, and of the fine river against the coarse one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import shorten
from xmsgl.network.handoffs import handoffs, stranded
from xmsgl.network.ids import kind_of, missing
from xmsgl.schema.names import CROSSWALK, id_values, positions
from xmsgl.schema.topology import arrows, recast
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    import xarray as xr

    from xmsgl.network.handoffs import Handoffs

__all__ = ["Rivers", "check_against_flow", "check_crosswalk", "rivers_of"]

# Two sources of the same rivers seldom agree everywhere: in the Delaware 2 of 450 hand-offs go aside.
_ASIDE_SHARE, _ASIDE_COUNT = 0.05, 2


@dataclass(frozen=True)
class Rivers:
    """Both networks and the crosswalk as positions, where nothing is wrong with any of them.

    Attributes
    ----------
    fine, coarse
        Position downstream, int64; -1 at an outlet.
    segment
        Position of each reach's segment.
    found
        Where water goes from segment to segment.
    """

    fine: npt.NDArray[np.int64]
    coarse: npt.NDArray[np.int64]
    segment: npt.NDArray[np.int64]
    found: Handoffs

    @property
    def links(self) -> int:
        """How many reaches flow into one on another segment."""
        return self.found.along.size + self.found.against.size + self.found.aside.size


def check_crosswalk(ds: xr.Dataset, small: Mapping[str, npt.NDArray[Any]]) -> Iterator[str]:
    """Find reaches on no segment or on one that is not there."""
    if CROSSWALK not in small or any(s not in ds.indexes for s in SCALES) or ds[CROSSWALK].dims != ("fine",):
        return
    reaches, segments = (id_values(ds.indexes[scale].to_numpy()) for scale in ("fine", "coarse"))
    owner = id_values(small[CROSSWALK])
    none = missing(owner)
    if none.any():
        yield (
            f"{CROSSWALK}: {none.sum()} reaches lie on no segment: {shorten(reaches[none])}; "
            f"give each its segment{_or_drop(reaches, none, small)}"
        )
    if owner.dtype.kind not in "iU" or (owner.dtype.kind != segments.dtype.kind and not none.all()):
        held = kind_of(small[CROSSWALK])
        cure = f"use one kind for both{recast(CROSSWALK, owner, segments)}"
        yield f"{CROSSWALK} holds {held}, but coarse ids are {kind_of(segments)}; {cure}"
        return
    if segments.dtype.kind not in "iU":
        return
    unknown = (positions(pd.unique(segments), owner) < 0) & ~none
    if unknown.any():
        yield (
            f"{CROSSWALK}: {unknown.sum()} reaches lie on segments that are not there: "
            f"{arrows(reaches[unknown], owner[unknown])}; correct them{_or_drop(reaches, unknown, small)}"
        )


def _or_drop(
    reaches: npt.NDArray[Any], lost: npt.NDArray[np.bool_], small: Mapping[str, npt.NDArray[Any]]
) -> str:
    """Write code that drops reaches, where no other reach flows into them."""
    below = small.get("downstream_fine")
    through = below is not None and np.isin(id_values(below)[~lost], reaches[lost]).any()
    if through:
        return "; they cannot be dropped, for other reaches flow into them"
    return f', or keep the others: ds = ds.isel(fine=ds["{CROSSWALK}"].isin(ds["coarse"]).values)'


def rivers_of(ds: xr.Dataset, small: Mapping[str, npt.NDArray[Any]]) -> Rivers | None:
    """Turn the ids of a dataset whose networks and crosswalk are right into positions; None if any lacks."""
    where = {"downstream_fine": "fine", "downstream_coarse": "coarse", CROSSWALK: "fine"}
    if any(name not in small or ds[name].dims != (dim,) for name, dim in where.items()):
        return None
    if any(scale not in ds.indexes for scale in SCALES):
        return None
    fine, coarse = (
        positions(ds.indexes[scale].to_numpy(), small[f"downstream_{scale}"]) for scale in ("fine", "coarse")
    )
    segment = positions(ds.indexes["coarse"].to_numpy(), small[CROSSWALK])
    return Rivers(fine, coarse, segment, handoffs(fine, segment, coarse))


def check_against_flow(ds: xr.Dataset, rivers: Rivers, area: npt.NDArray[np.float64] | None) -> Iterator[str]:
    """Find reaches that flow where their segments do not, and rivers that end midway."""
    against, aside = rivers.found.against, rivers.found.aside
    if against.size:
        yield (
            f"{CROSSWALK}: {against.size} reaches flow into a segment upstream of their own, or leave their "
            f"own and come back: {_links(ds, rivers, against)}; correct their segments or downstream_fine"
        )
    if aside.size > max(_ASIDE_COUNT, _ASIDE_SHARE * rivers.links):
        yield (
            f"{CROSSWALK}: {aside.size} of {rivers.links} links between segments lead to one that lies "
            f"neither downstream nor upstream: {_links(ds, rivers, aside)}; correct their segments"
        )
    ends = stranded(rivers.fine, rivers.segment, rivers.coarse, area)
    if ends.size:
        reaches, segments = ds.indexes["fine"][ends], ds.indexes["coarse"][rivers.segment[ends]]
        named = (f"{reach} (on {segment})" for reach, segment in zip(reaches, segments, strict=True))
        yield (
            f"downstream_fine: {ends.size} reaches end in mid-river, where the water of their segment flows "
            f"on: {shorten(named)}; give each the id of the reach downstream"
        )


def _links(ds: xr.Dataset, rivers: Rivers, reaches: npt.NDArray[np.int64]) -> str:
    fine, coarse = ds.indexes["fine"], ds.indexes["coarse"]
    named = np.array([f"{fine[k]} (on {coarse[rivers.segment[k]]})" for k in reaches], dtype=object)
    below = rivers.fine[reaches]
    return arrows(
        named, np.array([f"{fine[k]} (on {coarse[rivers.segment[k]]})" for k in below], dtype=object)
    )
