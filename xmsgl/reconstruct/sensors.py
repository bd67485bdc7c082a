"""Errors of a model at sensors: each counts once, although it is seen at both scales."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xmsgl.reconstruct.given import Errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from xmsgl.reconstruct.river import River

    Floats = NDArray[np.float32]

__all__ = ["join_days", "sensor_errors"]


def sensor_errors(fine: Floats, coarse: Floats, predicted: Floats, river: River) -> Errors:
    """Return observed minus predicted temperature at the reaches with sensors.

    An observation of a segment counts on days without one at its reaches, at the reach furthest downstream,
    as the difference from the mean prediction of its reaches.

    Shapes: `fine` (day, reach), `coarse` (day, segment), `predicted` (day, reach).
    """
    errors = np.full(fine.shape, np.nan, np.float32)
    seen = np.isfinite(fine)
    errors[seen] = fine[seen] - predicted[seen]
    known = np.zeros(coarse.shape, np.bool_)
    day, reach = np.nonzero(seen)
    known[day, river.segment[reach]] = True
    day, place = np.nonzero(np.isfinite(coarse) & ~known)
    outlets = np.append(river.outlets, np.full(coarse.shape[1], -1))[: coarse.shape[1]]
    for k in np.unique(place):
        if outlets[k] < 0:
            continue
        days = day[place == k]
        mean = predicted[days][:, river.segment == k].mean(axis=1)
        errors[days, outlets[k]] = coarse[days, k] - mean
    reaches = np.flatnonzero(np.isfinite(errors).any(axis=0))
    return Errors(np.ascontiguousarray(errors[:, reaches]), reaches)


def join_days(parts: Sequence[Errors]) -> Errors:
    """Put the errors of consecutive days together."""
    reaches = np.unique(np.concatenate([part.reach for part in parts])).astype(np.int64)
    values = [np.full((len(part.values), reaches.size), np.nan, np.float32) for part in parts]
    for own, part in zip(values, parts, strict=True):
        own[:, np.searchsorted(reaches, part.reach)] = part.values
    return Errors(np.concatenate(values), reaches)
