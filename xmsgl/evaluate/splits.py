"""Splits without leaks: by water year, by coarse segment, by a fraction of the labels.

Splits are masks; :func:`mask_labels` sets the held-out labels to NaN **at both scales**. The same gauge gives
the coarse and the fine label, so a label left at one scale would reveal the other.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, shorten
from xmsgl.evaluate.masks import day_mask, refuse_mask, segment_mask
from xmsgl.network.ids import other_kind
from xmsgl.schema.arrays import sound_dataset
from xmsgl.util.arguments import checked
from xmsgl.util.dates import day_ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "TEMPORAL_PROTOCOL",
    "hold_out_segments",
    "keep_fraction",
    "label_names",
    "mask_labels",
    "split_years",
    "temporal_split",
    "water_year",
]

Time: TypeAlias = xr.Dataset | xr.DataTree | xr.DataArray | pd.DatetimeIndex | npt.NDArray[np.datetime64]

TEMPORAL_PROTOCOL: Mapping[str, tuple[tuple[int, int], ...]] = MappingProxyType(
    {
        "train": ((1985, 2005), (2016, 2020)),
        "validation": ((2006, 2010),),
        "test": ((1980, 1984), (2011, 2015), (2021, 2021)),
    }
)
"""Water years (first, last; both included) of the Delaware benchmark of Fan et al. (2025)."""


@checked
def water_year(time: Time) -> xr.DataArray:
    """Return the water year of each day.

    Water year 1980 runs from 1 October 1979 to 30 September 1980: snow falls and melts in the same one.

    Parameters
    ----------
    time
        Dates, or anything with a coordinate ``time``.

    Returns
    -------
    xarray.DataArray
        int64 water year, dims ``(time,)``.

    Examples
    --------
    >>> import pandas as pd
    >>> water_year(pd.to_datetime(["1979-09-30", "1979-10-01"])).values.tolist()
    [1979, 1980]
    """
    if not isinstance(time, xr.Dataset | xr.DataArray | xr.DataTree):
        first, last = day_ranges(time, "time")
        if (part := first != last).any():
            span = f"{first[part][0]} to {last[part][0]}"
            msg = f"time must be days, such as '2019-07-21', but {span} is given as one"
            raise InvalidArgumentError(msg)
        time = xr.Dataset(coords={"time": first.astype("datetime64[s]")})
    time = time if isinstance(time, xr.DataArray) else sound_dataset(time)
    if "time" not in time.coords:
        msg = "the object has no coordinate 'time'; give one that has, or the dates themselves"
        raise InvalidArgumentError(msg)
    try:
        days = time["time"].dt
    except AttributeError as error:
        msg = f"the coordinate 'time' has dtype {time['time'].dtype}; give dates, such as pd.date_range(...)"
        raise InvalidArgumentError(msg) from error
    year = (days.year + (days.month >= 10)).astype("int64").rename("water_year")
    year.attrs = {"units": "1", "long_name": "water year (October to September)"}
    return year


@checked
def split_years(
    time: Time,
    *,
    train: Iterable[int | tuple[int, int]] = TEMPORAL_PROTOCOL["train"],
    validation: Iterable[int | tuple[int, int]] = TEMPORAL_PROTOCOL["validation"],
    test: Iterable[int | tuple[int, int]] = TEMPORAL_PROTOCOL["test"],
) -> xr.Dataset:
    """Split days by water year into training, validation and test.

    Parameters
    ----------
    time
        Dates, or anything with a coordinate ``time``.
    train, validation, test
        Water years of each part: single years, or pairs ``(first, last)``, both included. May be empty.
        Default: :data:`TEMPORAL_PROTOCOL`.

    Returns
    -------
    xarray.Dataset
        Boolean ``train``, ``validation`` and ``test``, dims ``(time,)``; other days are False in all three.

    Raises
    ------
    InvalidArgumentError
        A year in two parts, or a pair of years that runs backwards.

    Examples
    --------
    >>> import pandas as pd
    >>> days = pd.date_range("2000-10-01", "2003-09-30")
    >>> parts = split_years(days, train=[2001], validation=[2002], test=[2003])
    >>> {name: int(part.sum()) for name, part in parts.items()}
    {'train': 365, 'validation': 365, 'test': 365}
    """
    part_of: dict[int, str] = {}
    parts = {"train": train, "validation": validation, "test": test}
    for part, years in parts.items():
        for entry in years:
            first, last = (entry, entry) if isinstance(entry, int | np.integer) else entry
            if last < first:
                msg = f"{part}: the years ({first}, {last}) run backwards; write (first, last)"
                raise InvalidArgumentError(msg)
            for year in range(int(first), int(last) + 1):
                if part_of.setdefault(year, part) != part:
                    msg = f"water year {year} is both in {part_of[year]} and in {part}; give it to one part"
                    raise InvalidArgumentError(msg)
    year_of_day = water_year(time)
    masks = {}
    for part in parts:
        mask = year_of_day.isin([year for year, own in part_of.items() if own == part])
        masks[part] = mask.assign_attrs(units="1", long_name=f"day belongs to the {part} part")
    return xr.Dataset(masks)


@checked
def temporal_split(
    ds: xr.Dataset,
    *,
    train: Iterable[int | tuple[int, int]] = TEMPORAL_PROTOCOL["train"],
    validation: Iterable[int | tuple[int, int]] = TEMPORAL_PROTOCOL["validation"],
    test: Iterable[int | tuple[int, int]] = TEMPORAL_PROTOCOL["test"],
) -> dict[str, xr.Dataset]:
    """Return datasets for training, validation and test, which differ only in their labels.

    Each has every day and every driver, so that a model can warm up before its first label, but only the
    labels of its own water years, at both scales.

    Parameters
    ----------
    ds
        A dataset of the convention of :mod:`xmsgl.schema.rivers`.
    train, validation, test
        As for :func:`split_years`.

    Returns
    -------
    dict of str to xarray.Dataset
        Keys ``"train"``, ``"validation"``, ``"test"``. Lazy where ``ds`` is.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> days = pd.date_range("2000-10-01", "2002-09-30")
    >>> ds = xr.Dataset(
    ...     {"water_temperature_fine": (("time", "fine"), np.ones((len(days), 1)))},
    ...     coords={"time": days, "fine": [7]},
    ... )
    >>> parts = temporal_split(ds, train=[2001], validation=[], test=[2002])
    >>> int(parts["train"].water_temperature_fine.count())
    365
    """
    parts = split_years(ds, train=train, validation=validation, test=test)
    return {str(name): mask_labels(ds, days=~part) for name, part in parts.items()}


@checked
def hold_out_segments(
    ds: xr.Dataset,
    fraction: float = 0.2,
    seed: int = 0,
    *,
    candidates: Sequence[Any] | None = None,
    by: str | None = None,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Draw coarse segments to hold out, with all their reaches.

    Parameters
    ----------
    ds
        A dataset with the coordinate ``coarse`` and the crosswalk ``coarse_segment`` ``(fine,)``.
    fraction
        Fraction of the candidates to draw, 0 to 1. The count is rounded (rounded down with `by`), and at
        least one is drawn where the fraction is above 0.
    seed
        Seed of ``numpy.random.RandomState(seed).choice`` without replacement from the sorted candidates: the
        draw does not depend on the order of the file, and other programs can repeat it.
    candidates
        Ids of the segments to draw from (with `by`, values of that variable). Default: all of them.
    by
        Variable of `ds` over ``fine``, for example ``"subsegment_fine"``, whose values are drawn instead of
        segments. A segment with a reach of a drawn value is held out **as a whole**. Names are sorted as
        text, part by part: ``1_1`` comes before ``10_1``. Default: draw segments.

    Returns
    -------
    coarse, fine : xarray.DataArray
        Boolean ``(coarse,)``, True for held-out segments; boolean ``(fine,)``, True for their reaches.

    Raises
    ------
    InvalidArgumentError
        A fraction outside 0..1, no candidates or some not in `ds`, or no variable `by` over ``fine``.
    InvalidDatasetError
        No crosswalk.

    Examples
    --------
    >>> import xarray as xr
    >>> ds = xr.Dataset(
    ...     {"coarse_segment": ("fine", [1, 1, 2]), "subsegment_fine": ("fine", ["1_1", "1_2", "2_1"])},
    ...     coords={"coarse": [1, 2], "fine": [10, 11, 20]},
    ... )
    >>> coarse, fine = hold_out_segments(ds, fraction=0.5, seed=0)
    >>> ds.coarse.values[coarse].tolist(), ds.fine.values[fine].tolist()
    ([2], [20])

    Of the three sub-segments ``1_1`` is drawn; ``1_2`` lies on the same segment:

    >>> coarse, fine = hold_out_segments(ds, fraction=0.5, seed=1, by="subsegment_fine")
    >>> ds.coarse.values[coarse].tolist(), ds.fine.values[fine].tolist()
    ([1], [10, 11])
    """
    _check_draw(fraction, seed)
    ds = sound_dataset(ds)
    crosswalk, ids = _crosswalk(ds), ds["coarse"].values
    known = ids if by is None else _groups(ds, by, whole=candidates is None)
    if by is None and candidates is not None:
        refuse_mask(candidates, "candidates", 'give ids: ds["coarse"].values[mask]')
    pool = np.unique(known if candidates is None else np.asarray(candidates))
    kind = other_kind(pool, known)
    unknown = pool if kind else pool[~np.isin(pool, known)]
    if unknown.size:
        what = "segments" if by is None else f"values of {by!r}"
        msg = f"candidates are not {what} of the dataset: {shorten(unknown)}{kind}"
        raise InvalidArgumentError(msg)
    if fraction and not pool.size:
        raise InvalidArgumentError("no candidates to draw from; does the dataset have labels?")
    if by is not None:
        names = sorted(pool.tolist(), key=lambda name: name.split("_") if isinstance(name, str) else name)
        pool = np.array(names, dtype=pool.dtype)
    count = round(fraction * pool.size) if by is None else int(fraction * pool.size)
    # NumPy keeps the legacy generator frozen: every version draws the same.
    places = np.random.RandomState(seed).choice(pool.size, max(count, int(fraction > 0)), replace=False)
    held = pool[places] if by is None else crosswalk.values[np.isin(known, pool[places])]
    attrs = {"units": "1", "seed": seed, "fraction": fraction}
    coarse = xr.DataArray(np.isin(ids, held), {"coarse": ds["coarse"]}, "coarse", "held_out_coarse")
    fine = xr.DataArray(np.isin(crosswalk.values, held), {"fine": ds["fine"]}, "fine", "held_out_fine")
    return (
        coarse.assign_attrs(attrs, long_name="segment is held out"),
        fine.assign_attrs(attrs, long_name="reach lies on a held-out segment"),
    )


@checked
def keep_fraction(
    labels: xr.DataArray, fraction: float, seed: int = 0, *, days: xr.DataArray | None = None
) -> xr.DataArray:
    """Keep a random fraction of the labels; set the others to NaN.

    The count is exact, and the draw depends only on the dates and ids of the labels that are not NaN, not
    on chunks, order or values.

    Parameters
    ----------
    labels
        Labels ``(time, fine)`` or ``(time, coarse)``, NaN where not observed.
    fraction
        Fraction to keep, 0 to 1: ``round(fraction * n)`` labels, at least one where the fraction is above 0.
    seed
        Seed of the draw.
    days
        Boolean ``(time,)``: keep all labels on other days. Default: every day is thinned.

    Returns
    -------
    xarray.DataArray
        As ``labels``, and as lazy, although which labels are finite is computed at the call.

    Raises
    ------
    InvalidArgumentError
        A fraction outside 0..1, ``days`` that lack a date of the labels, or labels without ids and days.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> labels = xr.DataArray(
    ...     np.arange(20.0).reshape(10, 2),
    ...     coords={"time": pd.date_range("2000-01-01", periods=10), "fine": [1, 2]},
    ... )
    >>> int(keep_fraction(labels, 0.1, seed=0).count())
    2
    """
    _check_draw(fraction, seed)
    if labels.ndim != 2 or "time" not in labels.dims:
        msg = f"labels have dims {labels.dims}; they must have two, time and the reaches"
        raise InvalidArgumentError(msg)
    (reach,) = (dim for dim in labels.dims if dim != "time")
    if lost := [dim for dim in labels.dims if dim not in labels.indexes or not labels.indexes[dim].is_unique]:
        msg = f"labels along {shorten(lost)} are missing or repeated; the draw depends on them"
        raise InvalidArgumentError(msg)
    candidates = labels.transpose("time", reach).notnull().compute().values
    if days is not None:
        candidates &= day_mask(days, labels)[:, None]
    # Drawing in the order of dates and ids makes the result independent of how the data are stored.
    rows, columns = np.argsort(labels["time"].values), np.argsort(labels[reach].values)
    places = np.flatnonzero(candidates[np.ix_(rows, columns)])
    count = 0 if fraction == 0 else min(places.size, max(1, round(fraction * places.size)))
    drawn = np.random.RandomState(seed).choice(places.size, count, replace=False)
    row, column = np.unravel_index(places[drawn], candidates.shape)
    keep = ~candidates
    keep[rows[row], columns[column]] = True
    mask = xr.DataArray(keep, dims=("time", reach), coords={"time": labels["time"], reach: labels[reach]})
    return labels.where(mask).transpose(*labels.dims).assign_attrs(labels.attrs)


def label_names(ds: xr.Dataset) -> list[str]:
    """List the variables with labels: ``water_temperature*`` of both scales."""
    return [
        str(name)
        for name, variable in ds.data_vars.items()
        if str(name).startswith("water_temperature")
        and "time" in variable.dims
        and ("coarse" in variable.dims or "fine" in variable.dims)
    ]


@checked
def mask_labels(
    obj: xr.Dataset | xr.DataTree, *, days: Any = None, segments: npt.ArrayLike | None = None
) -> xr.Dataset:
    """Hide the labels of days and of segments, at both scales.

    Parameters
    ----------
    obj
        Dataset or DataTree of the convention of :mod:`xmsgl.schema.rivers`; it is not changed.
    days
        Boolean ``(time,)`` DataArray, or dates: every label on these days is hidden. As in ``sel`` of xarray,
        ``"2003-04"`` and ``"2003"`` are the days of a month and of a year.
    segments
        Boolean ``(coarse,)`` DataArray, as :func:`hold_out_segments` returns it, or segment ids: every
        label of these segments **and of their reaches** is hidden, on every day.

    Returns
    -------
    xarray.Dataset
        New dataset in which those labels are NaN, otherwise equal. Lazy where `obj` is.

    Raises
    ------
    InvalidArgumentError
        Dates or segments that are not in the dataset, or a mask that lacks some of the dataset's.
    InvalidDatasetError
        No labels, or segments to hide but no crosswalk.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> ds = xr.Dataset(
    ...     {
    ...         "water_temperature_coarse": (("time", "coarse"), np.ones((2, 2))),
    ...         "water_temperature_fine": (("time", "fine"), np.ones((2, 3))),
    ...         "coarse_segment": ("fine", [1, 1, 2]),
    ...     },
    ...     coords={"time": pd.date_range("2000-01-01", periods=2), "coarse": [1, 2], "fine": [10, 11, 20]},
    ... )
    >>> hidden = mask_labels(ds, days=["2000-01-02"], segments=[2])
    >>> hidden.water_temperature_fine.values.tolist()
    [[1.0, 1.0, nan], [nan, nan, nan]]
    """
    names = label_names(ds := sound_dataset(obj))
    if not names:
        fault = "no labels: no variable 'water_temperature_coarse' or 'water_temperature_fine' over time"
        raise InvalidDatasetError([fault])
    visible: dict[str, xr.DataArray] = {}
    if days is not None:
        visible["time"] = xr.DataArray(~day_mask(days, ds), {"time": ds["time"]}, "time")
    if segments is not None:
        hidden = segment_mask(segments, ds)
        visible["coarse"] = xr.DataArray(~hidden, {"coarse": ds["coarse"]}, "coarse")
        if any("fine" in ds[name].dims for name in names):
            on_hidden = np.isin(_crosswalk(ds).values, ds["coarse"].values[hidden])
            visible["fine"] = xr.DataArray(~on_hidden, {"fine": ds["fine"]}, "fine")
    masked = {name: ds[name] for name in names}
    for dim, keep in visible.items():
        masked |= {name: label.where(keep) for name, label in masked.items() if dim in label.dims}
    return ds.assign(masked)


def _check_draw(fraction: float, seed: int) -> None:
    if not 0 <= fraction <= 1:
        msg = f"fraction is {fraction}; it must be between 0 and 1"
        raise InvalidArgumentError(msg)
    if not 0 <= seed < 2**32:
        msg = f"seed is {seed}; it must be at least 0 and below 2**32"
        raise InvalidArgumentError(msg)


def _crosswalk(ds: xr.Dataset) -> xr.DataArray:
    if missing := [name for name in ("coarse", "fine", "coarse_segment") if name not in ds.variables]:
        fault = f"{', '.join(missing)} missing: they say which reaches lie on a segment"
        raise InvalidDatasetError([fault])
    return ds["coarse_segment"]


def _groups(ds: xr.Dataset, by: str, *, whole: bool) -> npt.NDArray[Any]:
    """Return the value of each reach; with `whole` no reach may be without one."""
    if by not in ds.variables or ds[by].dims != ("fine",):
        msg = f"by is {by!r}; it must be a variable of the dataset over 'fine', such as 'subsegment_fine'"
        raise InvalidArgumentError(msg)
    values = ds[by].values
    lost = pd.isna(values) | (values == "")
    if whole and lost.any():
        where = f"{lost.sum()} of {lost.size} reaches: {shorten(ds['fine'].values[lost])}"
        msg = f"{by!r} has no value at {where}; give them one, or draw from candidates=[...]"
        raise InvalidArgumentError(msg)
    return np.where(lost, "", values).astype(str) if values.dtype == object else values
