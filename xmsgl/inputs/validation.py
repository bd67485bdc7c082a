"""Which observations are kept for validation: those of some days, of some segments, or of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.windows import Window, cut_windows
from xmsgl.schema.names import LABEL
from xmsgl.schema.units import need_units
from xmsgl.util.dates import day_range
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DayMask",
    "Split",
    "Use",
    "Validation",
    "label_values",
    "left_out_days",
    "read_validation",
    "split_labels",
    "without_labels",
    "write_validation",
]

Validation: TypeAlias = float | str | slice | Sequence[slice] | None
DayMask = npt.NDArray[np.bool_]

# With fewer windows than this, the validation days are the last labelled ones of each.
_MIN_WINDOWS = 5


#: Share that ``"days"`` and ``"segments"`` keep without a number, and number of ``"folds"``.
_SHARE, _FOLDS = 0.15, 5
#: Of so many times as many years as folds, each fold leaves out one: enough for the errors of unseen years,
#: and so few that nearly all errors at gauges left out are those of a training that knew the year.
_TURNS = 3
_MONTH = 30  # days


@dataclass(frozen=True)
class Asked:
    """What a validation setting asks for."""

    share: float | None = None  # of the windows
    periods: tuple[slice, ...] = ()
    segments: float | None = None  # share of the gauged segments
    folds: int = 0  # parts of the gauged segments, each kept by one of as many trainings; 0: one training


@dataclass(frozen=True)
class Use:
    """Labels of one use, training or validation: by day (time,) and by node (node,)."""

    days: DayMask
    nodes: Mapping[Scale, npt.NDArray[np.bool_]]
    either: bool  # labels on these days or of these nodes; otherwise on these days and of these nodes

    def mask(self, scale: Scale, days: Any = slice(None)) -> npt.NDArray[np.bool_]:
        """Say which labels of a scale on some days have this use, (..., node)."""
        on, of = self.days[days][..., None], self.nodes[scale]
        mask: npt.NDArray[np.bool_] = on | of if self.either else on & of
        return mask


@dataclass(frozen=True)
class Split:
    """What is learned from and what is kept for validation; drawn before anything is fitted."""

    training: DayMask  # labelled days to learn from, (time,)
    validation: DayMask  # days kept, (time,)
    held: Mapping[Scale, npt.NDArray[np.bool_]]  # nodes kept on all days

    @property
    def learned(self) -> Use:
        """Labels to learn from."""
        return Use(self.training, {scale: ~held for scale, held in self.held.items()}, either=False)

    @property
    def kept(self) -> Use:
        """Labels kept for validation."""
        return Use(self.validation, self.held, either=True)


def split_labels(
    ds: xr.Dataset,
    scales: Sequence[Scale],
    *,
    window: int,
    validation: float | str | None,
    seed: int,
    fold: int = 0,
) -> Split:
    """Divide the labels of a dataset into those of training and of validation; `fold` counts from 0."""
    finite = {scale: np.isfinite(label_values(ds, scale)) for scale in scales}
    asked = read_validation(validation)
    held = _held(ds, finite, asked, seed, fold)
    labelled = np.any([seen[:, ~held[scale]].any(axis=1) for scale, seen in finite.items()], axis=0)
    time = pd.DatetimeIndex(ds.indexes["time"])
    kept = _validation_days(time, labelled, cut_windows(len(time), window, 0), asked, seed, fold)
    if not (labelled & ~kept).any():
        msg = (
            f"there is no label to learn from: {LABEL}_{' and _'.join(scales)} have no finite value outside "
            "the validation days; keep fewer days for validation, or add observations"
        )
        raise InvalidArgumentError(msg)
    return Split(labelled & ~kept, kept, held)


def _held(
    ds: xr.Dataset, finite: Mapping[Scale, npt.NDArray[np.bool_]], asked: Asked, seed: int, fold: int
) -> dict[Scale, npt.NDArray[np.bool_]]:
    """Draw the segments kept for validation, and their reaches; none unless asked for."""
    if asked.segments is None and not asked.folds:
        return {scale: np.zeros(ds.sizes[scale], bool) for scale in SCALES}
    # Imported here, because the command line reads settings before it loads dask and SciPy.
    from xmsgl.inputs.held_segments import draw_folds, draw_segments
    from xmsgl.schema.rivers import segment_positions, topology

    segment = segment_positions(ds)
    gauged = np.zeros(ds.sizes["coarse"], bool)
    for scale, seen in finite.items():
        places = np.flatnonzero(seen.any(axis=0))
        gauged[places if scale == "coarse" else segment[places]] = True
    ids, downstream, _ = topology(ds, "coarse")
    order = np.argsort(ids, kind="stable")  # the draw must not depend on the order in the dataset
    rank = np.argsort(order)
    below = np.where(downstream >= 0, rank[downstream], -1)
    if asked.segments is None:
        drawn = draw_folds(gauged[order], asked.folds, seed) == fold
    else:
        drawn = draw_segments(below[order], gauged[order], asked.segments, seed)
    return {"coarse": drawn[rank], "fine": drawn[rank][segment]}


def label_values(ds: xr.Dataset, scale: Scale, name: str | None = None) -> npt.NDArray[np.float32]:
    """Read the labels of a scale, float32 (time, node): observations or the variable `name`, else NaN."""
    name = name or f"{LABEL}_{scale}"
    if name not in ds:
        return np.full((ds.sizes["time"], ds.sizes[scale]), np.nan, np.float32)
    need_units(ds[name], "degC")
    return np.asarray(ds[name].transpose("time", scale).values, np.float32)


def left_out_days(time: pd.DatetimeIndex, folds: int) -> DayMask:
    """Say which days each fold leaves out, (fold, time): a year in turn, a third of the years in all.

    In a record of fewer years, parts of it are left out instead, unless they are shorter than a month.
    """
    turns = _TURNS * folds
    turn = time.year.to_numpy() if len(time) // 365 >= turns else np.arange(len(time)) * turns // len(time)
    left_out: DayMask = turn % turns == _TURNS * np.arange(folds)[:, None]
    return left_out & (len(time) // turns >= _MONTH)


def without_labels(ds: xr.Dataset, split: Split) -> xr.Dataset:
    """Return a dataset whose validation labels are NaN at both scales."""
    for scale in SCALES:
        name = f"{LABEL}_{scale}"
        for dim, hidden in (("time", split.validation), (scale, split.held[scale])):
            if name in ds and hidden.any():
                ds = ds.assign({name: ds[name].where(xr.DataArray(~hidden, dims=dim))})
    return ds


def write_validation(validation: Validation) -> float | str | None:
    """Write the validation days as a plain value: a fraction, date ranges as text, or None."""
    if validation is None or isinstance(validation, str | bool):
        return validation
    if isinstance(validation, Real):
        return float(validation)
    periods = [validation] if isinstance(validation, slice) else validation
    if not isinstance(periods, Sequence) or not all(isinstance(period, slice) for period in periods):
        raise InvalidArgumentError(_fault(validation))
    return ",".join(f"{_day(period.start)}/{_day(period.stop)}" for period in periods)


def read_validation(validation: float | str | None) -> Asked:
    """Read what :func:`write_validation` or a user wrote."""
    if validation is None:
        return Asked()
    if not isinstance(validation, str):
        return Asked(share=_share(validation, validation))
    if (folds := validation.partition(":"))[0].strip() == "folds":
        return Asked(folds=_count(folds[2], validation) if folds[1] else _FOLDS)
    shares: dict[str, float] = {}
    periods = []
    for part in validation.split(","):
        start, sign, stop = (each.strip() for each in part.partition("/"))
        word, colon, number = start.partition(":")
        if word in ("days", "segments") and not sign and word not in shares:
            shares[word] = _share(number, validation) if colon else _SHARE
            continue
        if not (start and sign and stop):
            raise InvalidArgumentError(_fault(validation))
        for end in (start, stop):
            if end != "..":
                day_range(end, "a day of validation")
        periods.append(slice(None if start == ".." else start, None if stop == ".." else stop))
    if periods and "days" in shares:
        raise InvalidArgumentError(_fault(validation))
    return Asked(shares.get("days"), tuple(periods), shares.get("segments"))


def _share(value: float | str, validation: Any) -> float:
    """Return a share between 0 and 1."""
    try:
        share = float(value)
    except ValueError:
        share = 0.0
    if isinstance(value, bool) or not 0 < share < 1:
        raise InvalidArgumentError(_fault(validation))
    return share


def _count(text: str, validation: str) -> int:
    """Return a number of folds, 2 or more."""
    if not text.strip().isdecimal() or (count := int(text)) < 2:
        raise InvalidArgumentError(_fault(validation))
    return count


def _fault(validation: Any) -> str:
    return (
        "validation must be a fraction of the windows between 0 and 1, None, or text: date ranges such as "
        "'2011-10-01/2012-09-30' or 'days:0.15' for a fraction of the windows, 'segments' or 'segments:0.2' "
        "for whole segments, days and segments with a comma, or 'folds' or 'folds:4' for as many trainings, "
        f"each without a part of the segments; got {validation!r}"
    )


def _day(end: Any) -> str:
    """Write one end of a period; text and months stay as they are, because "2003" means the whole year."""
    if end is None:
        return ".."
    if isinstance(end, str):
        return end.replace("/", "-")  # a slash separates the two ends
    if isinstance(end, Real):  # pandas would read it as nanoseconds since 1970
        raise InvalidArgumentError(_fault(end))
    if isinstance(end, pd.Period) or (isinstance(end, np.datetime64) and np.datetime_data(end)[0] in "YM"):
        return str(end)
    return str(pd.Timestamp(end).date())


def _validation_days(
    time: pd.DatetimeIndex,
    labelled: DayMask,
    windows: Sequence[Window],
    asked: Asked,
    seed: int,
    fold: int,
) -> DayMask:
    """Choose the validation days, boolean (time,): of a share of the windows, of a fold, or as given."""
    days = np.zeros(len(time), bool)
    if asked.share is not None:
        return _share_of_windows(days, labelled, windows, asked.share, seed)
    if asked.folds:
        days |= left_out_days(time, asked.folds)[fold]
    for period in asked.periods:
        days[time.slice_indexer(period.start, period.stop)] = True  # with both ends, as in sel of xarray
    if asked.periods and not (days & labelled).any():
        msg = (
            f"the validation days {write_validation(asked.periods)!r} have no labels; the dataset covers "
            f"{time[0].date()} to {time[-1].date()}"
        )
        raise InvalidArgumentError(msg)
    return days


def _share_of_windows(
    days: DayMask, labelled: DayMask, windows: Sequence[Window], share: float, seed: int
) -> DayMask:
    """Keep whole windows, so that few validation days are next to training days."""
    # The last window may be a few days long, too few to choose an epoch by.
    longest = max(w.stop - w.start for w in windows)
    usable = [w for w in windows if labelled[w.start : w.stop].any() and 2 * (w.stop - w.start) >= longest]
    if len(usable) >= _MIN_WINDOWS:
        count = max(1, round(share * len(usable)))
        for i in np.random.default_rng(seed).choice(len(usable), count, replace=False):
            days[usable[i].start : usable[i].stop] = True
        return days
    for window in usable or windows:
        present = window.start + np.flatnonzero(labelled[window.start : window.stop])
        cut = present[max(1, round((1 - share) * present.size)) :]
        if cut.size:
            days[cut[0] : window.stop] = True
    return days
