"""Groups of observed reach-days: by words, arrays of labels, or the Grouper objects of xarray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from xarray.groupers import Grouper

from xmsgl.errors import InvalidArgumentError, UnknownNameError, shorten
from xmsgl.evaluate.splits import water_year

if TYPE_CHECKING:
    from collections.abc import Callable

    from xmsgl.evaluate.pairs import Floats, Pairs

__all__ = ["By", "Groups", "group_pairs", "segments_of"]

By: TypeAlias = str | xr.DataArray | Sequence[str | xr.DataArray] | Mapping[str, Grouper] | None
"""What :func:`xmsgl.evaluate.score` takes for ``by``."""

_Codes: TypeAlias = npt.NDArray[np.int64]

_TIME_GROUPS: dict[str, tuple[str, Callable[[xr.DataArray], xr.DataArray]]] = {
    "month": ("calendar month", lambda time: time.dt.month),
    "season": ("season", lambda time: time.dt.season),
    "year": ("calendar year", lambda time: time.dt.year),
    "water_year": ("water year (October to September)", water_year),
    "time": ("day", lambda time: time),
}
_SEASONS = ("DJF", "MAM", "JJA", "SON")
_GROUPINGS = (*_TIME_GROUPS, "reach", "segment", "stream_order")


@dataclass(frozen=True)
class Groups:
    """The group of each pair; by default all pairs are one group."""

    code: _Codes  # (pair,), into the groups, flattened
    coords: dict[str, xr.Variable]  # of the dimensions of the groups

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of groups along each dimension."""
        return tuple(coord.size for coord in self.coords.values())

    @property
    def size(self) -> int:
        """Number of groups, including those of a product that have no pair."""
        return int(np.prod(self.shape, dtype=int))

    def total(self, values: npt.NDArray[Any]) -> Floats:
        """Sum values (..., pair) in each group: (..., *shape)."""
        sums = [np.bincount(self.code, row, self.size) for row in values.reshape(-1, self.code.size)]
        return np.reshape(np.array(sums, np.float64), (*values.shape[:-1], *self.shape))

    def mean(self, values: npt.NDArray[Any]) -> Floats:
        """Average values (..., pair) in each group: (..., *shape), NaN for a group without pairs."""
        with np.errstate(invalid="ignore"):
            average: Floats = self.total(values) / self.total(np.ones(self.code.size))
        return average


def group_pairs(pairs: Pairs, by: By, places: Sequence[Any]) -> tuple[Pairs, Groups]:
    """Find the groups of the pairs; pairs with a missing label are left out, as in groupby of xarray."""
    if by is None:
        return pairs, Groups(np.zeros(pairs.observed.size, np.int64), {})
    listed: Any = by if isinstance(by, list | tuple) else [by]
    given: Any = by.items() if isinstance(by, Mapping) else [(one, None) for one in listed]
    coords: dict[str, xr.Variable] = {}
    codes = []
    for one, grouper in given:
        position, labels = _labels(pairs, one, places)
        name, values, code = _encode(labels, grouper)
        codes.append(code[position])
        if name in coords:
            msg = f"two groupings have the name {name!r}; each needs its own"
            raise InvalidArgumentError(msg)
        coords[name] = xr.Variable(name, values, labels.attrs)
    if not codes:
        msg = "by has no grouping; give at least one, or None for a single score"
        raise InvalidArgumentError(msg)
    chosen = np.flatnonzero(np.all([code >= 0 for code in codes], axis=0))
    if not chosen.size:
        msg = f"every observed reach-day has a missing group label in {' or '.join(map(repr, coords))}"
        raise InvalidArgumentError(msg)
    flat = np.zeros(chosen.size, np.int64)
    for code, (name, coord) in zip(codes, coords.items(), strict=True):
        present, own = np.unique(code[chosen], return_inverse=True)
        coords[name] = coord[present]
        flat = flat * present.size + own
    kept = replace(
        pairs,
        time=pairs.time[chosen],
        reach=pairs.reach[chosen],
        observed=pairs.observed[chosen],
        predicted=pairs.predicted[..., chosen],
    )
    return kept, Groups(flat, coords)


def segments_of(pairs: Pairs, places: Sequence[Any], why: str) -> npt.NDArray[Any]:
    """Return the coarse segment of each pair."""
    if pairs.dim == "coarse":
        return pairs.reach
    position, labels = _labels(pairs, "segment", places, why)
    segments: npt.NDArray[Any] = labels.values[position]
    return segments


def _labels(
    pairs: Pairs, by: str | xr.DataArray, places: Sequence[Any], why: str = ""
) -> tuple[_Codes, xr.DataArray]:
    """Return labels of days or reaches, named as their dimension in the scores, and each pair's position."""
    dim = pairs.dim
    if not isinstance(by, str | xr.DataArray):
        msg = f"by has {by!r}; a grouping is the name of one, or a DataArray of labels"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    if isinstance(by, xr.DataArray):
        return _given(pairs, by, "group" if by.name is None else str(by.name))
    if by in _TIME_GROUPS:
        long_name, function = _TIME_GROUPS[by]
        days = xr.DataArray(pairs.times, dims="time", coords={"time": pairs.times})
        attrs = {"long_name": long_name} | ({} if by == "time" else {"units": "1"})
        return pairs.time, xr.DataArray(function(days).values, days.coords, "time", by, attrs)
    if by == "reach":
        attrs = {"long_name": f"id along {dim}", "units": "1"}
        return pairs.reach, xr.DataArray(pairs.ids.to_numpy(), dims="reach", name=dim, attrs=attrs)
    if by == "segment" and dim == "coarse":
        msg = 'a prediction on segments is scored by segment with by="reach"'
        raise InvalidArgumentError(msg)
    variable = {"segment": "coarse_segment", "stream_order": f"stream_order_{dim}"}.get(by, by)
    for place in places:
        if place is not None and variable in place:
            return _given(pairs, place[variable], "coarse" if by == "segment" else by)
    if variable == by:
        raise UnknownNameError("grouping", by, _GROUPINGS)
    msg = f"{why or f'by={by!r}'} needs {variable!r}; give a dataset that has it: dataset=ds"
    raise InvalidArgumentError(msg)


def _given(pairs: Pairs, by: xr.DataArray, name: str) -> tuple[_Codes, xr.DataArray]:
    if by.ndim != 1 or by.dims[0] not in ("time", pairs.dim) or by.dims[0] not in by.indexes:
        msg = f"the groups {name!r} have dims {by.dims}; they must be labelled along 'time' or {pairs.dim!r}"
        raise InvalidArgumentError(msg)
    labels, position = (pairs.times, pairs.time) if by.dims[0] == "time" else (pairs.ids, pairs.reach)
    known = by.indexes[by.dims[0]]
    if not known.is_unique:
        repeated = shorten(known[known.duplicated()].unique())
        msg = f"the groups {name!r} have labels along {by.dims[0]!r} more than once: {repeated}"
        raise InvalidArgumentError(msg)
    used, own = np.unique(position, return_inverse=True)
    places = known.get_indexer(labels[used])
    if (places < 0).any():
        lost = labels[used[places < 0]]
        msg = f"the groups {name!r} have no label for {shorten(lost)} along {by.dims[0]!r}"
        raise InvalidArgumentError(msg)
    attrs = {"long_name": str(by.attrs.get("long_name", name)), "units": str(by.attrs.get("units", "1"))}
    return own, xr.DataArray(by.values[places], dims="label", name=name, attrs=attrs)


def _encode(labels: xr.DataArray, grouper: Any) -> tuple[str, npt.NDArray[Any], _Codes]:
    """Return the name and the values of the groups, and the group of each label, -1 for none."""
    if grouper is None:
        found = pd.Categorical(labels.values)
        if labels.name == "season" and set(found.categories) <= set(_SEASONS):
            found = found.set_categories(_SEASONS)
        values = found.categories.to_numpy().astype(labels.dtype)
        return str(labels.name), values, found.codes.astype(np.int64)
    if not isinstance(grouper, Grouper):
        msg = f"by[{labels.name!r}] is {grouper!r}; give a grouper such as xarray.groupers.UniqueGrouper()"
        raise InvalidArgumentError(msg)
    try:
        encoded = deepcopy(grouper).factorize(labels)  # some keep what they have seen
    except ValueError as error:
        msg = f"xarray cannot group {labels.name!r} by {grouper!r}: {error}"
        raise InvalidArgumentError(msg) from error
    if encoded.codes.ndim != 1:
        msg = f"the groups of {grouper!r} overlap; score them one after the other"
        raise InvalidArgumentError(msg)
    coord: Any = encoded.unique_coord
    index = encoded.full_index
    labelled = coord.values if coord.size == index.size else index.to_numpy()
    return str(coord.dims[0]), labelled, encoded.codes.values.astype(np.int64)
