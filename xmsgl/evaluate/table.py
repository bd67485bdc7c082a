"""Methods side by side, scored on the same reach-days: tables of skill, differences with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.evaluate.groups import group_pairs, segments_of
from xmsgl.evaluate.metrics import score
from xmsgl.evaluate.names import label_scores
from xmsgl.evaluate.pairs import covering, gather, observations
from xmsgl.evaluate.resample import check_confidence, segment_bounds
from xmsgl.schema.arrays import as_array, sound_dataset
from xmsgl.util.arguments import checked
from xmsgl.util.html import as_xarray_shows, card, table

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from xmsgl.evaluate.groups import By
    from xmsgl.evaluate.pairs import Floats

__all__ = ["SkillTable", "by_name", "compare", "markdown", "shared", "skill_table"]

_HEADS = {"rmse": "RMSE", "rmse_median": "median reach RMSE", "mae": "MAE", "nse": "NSE", "kge": "KGE"}
_HEADS |= {"rmse_hot": "RMSE hot", "rmse_cold": "RMSE cold", "n_reaches": "reaches"}


@dataclass(frozen=True, repr=False)
class SkillTable:
    """Scores of several methods on several groups of reach-days.

    Attributes
    ----------
    data
        All metrics of :func:`xmsgl.evaluate.score`, dims ``(method, group)``.
    metrics
        Those printed, besides ``n``.
    """

    data: xr.Dataset
    metrics: tuple[str, ...]

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per method and the columns (group, metric), not rounded."""
        columns = [*self.metrics, "n"]
        parts = {
            str(group): self.data[columns].sel({"group": group}, drop=True).to_dataframe()[columns]
            for group in self.data["group"].values
        }
        return pd.concat(parts, axis=1, names=["group", "metric"])

    def to_markdown(self) -> str:
        """Write the table in Markdown."""
        heads = (f"{group}: {head}" for group in self._groups() for head in self._subheads())
        return markdown(["method", *heads], self._rows())

    def __str__(self) -> str:
        names, subheads = self._groups(), self._subheads()
        rows = [["method", *subheads * len(names)], *self._rows()]
        width = [max(map(len, column)) for column in zip(*rows, strict=True)]
        span = len(subheads)
        spans = [sum(width[1 + k * span : 1 + (k + 1) * span]) + 2 * (span - 1) for k in range(len(names))]
        for k, name in enumerate(names):  # a long name widens the last column of its group
            width[(k + 1) * span] += max(0, len(name) - spans[k])
            spans[k] = max(spans[k], len(name))
        top = " " * width[0] + "".join(f"  {name:-^{size}}" for name, size in zip(names, spans, strict=True))
        lines = [top]
        for method, *cells in rows:
            right = (cell.rjust(size) for cell, size in zip(cells, width[1:], strict=True))
            lines.append("  ".join([method.ljust(width[0]), *right]))
        return "\n".join(line.rstrip() for line in lines)

    def __repr__(self) -> str:
        return str(self)

    @as_xarray_shows
    def _repr_html_(self) -> str:
        names, subheads = self._groups(), self._subheads()
        groups = [(name, len(subheads)) for name in names]
        shown = table(["method", *subheads * len(names)], self._rows(), groups=groups)
        return card("skill", shown, about="n counts observed reach-days")

    def _groups(self) -> list[str]:
        return [str(group) for group in self.data["group"].values]

    def _subheads(self) -> list[str]:
        names = [(_HEADS.get(metric, metric), self.data[metric].attrs) for metric in (*self.metrics, "n")]
        return [f"{name} [degC]" if attrs.get("units") == "degC" else name for name, attrs in names]

    def _rows(self) -> list[list[str]]:
        rows = []
        for method in self.data["method"].values:
            row = [str(method)]
            for group in self.data["group"].values:
                for metric in (*self.metrics, "n"):
                    value = self.data[metric].sel({"method": method, "group": group}).item()
                    row.append(f"{value:,d}" if isinstance(value, int) else f"{value:.2f}")
            rows.append(row)
        return rows


@checked
def skill_table(
    predictions: Mapping[str, xr.DataArray | xr.Dataset],
    observed: xr.DataArray | xr.Dataset,
    *,
    groups: Mapping[str, xr.DataArray] | None = None,
    metrics: Sequence[str] = ("rmse", "mae", "bias", "nse"),
) -> SkillTable:
    """Score several methods on the same observed reach-days.

    Parameters
    ----------
    predictions
        Temperature ``(time, fine)`` by method, degC. Only days and reaches that all have are scored.
    observed
        Temperature with the same dims, NaN where not observed, degC.
    groups
        Groups of reach-days by name, each a boolean DataArray on ``time``, the reaches, or both:
        ``{"held-out days": days & ~reaches, "held-out reaches": reaches}``. Default: all reach-days.
    metrics
        Metrics of :func:`xmsgl.evaluate.score` to print.

    Returns
    -------
    SkillTable
        Prints as text, or as HTML in a notebook; ``to_markdown()`` and ``to_dataframe()`` convert it.

    Raises
    ------
    InvalidArgumentError
        No prediction, a group that is not boolean or lacks some days or reaches, an unknown metric, or as
        :func:`xmsgl.evaluate.score`.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> observed = xr.DataArray(
    ...     np.arange(4.0).reshape(4, 1), coords={"time": pd.date_range("2000-01-01", periods=4), "fine": [7]}
    ... )
    >>> print(skill_table({"zero": observed * 0, "half": observed + 0.5}, observed))
            ---------------------all----------------------
    method  RMSE [degC]  MAE [degC]  bias [degC]    NSE  n
    zero           1.87        1.50        -1.50  -1.80  4
    half           0.50        0.50         0.50   0.80  4
    """
    arrays = by_name(predictions)
    if not arrays:
        msg = "no prediction to score; give at least one, by name"
        raise InvalidArgumentError(msg)
    common = shared(arrays, as_array(observed, "observed"))
    if "time" not in common.indexes:
        msg = f"observed has dims {common.dims}; it must have 'time' and the reaches, with labels"
        raise InvalidArgumentError(msg)
    chosen = groups or {"all": xr.ones_like(common["time"], dtype=bool)}
    columns = []
    for group, mask in chosen.items():
        part = common.where(covering(mask, common, f"group {group!r}"))
        rows = [_named_score(prediction, part, name, group) for name, prediction in arrays.items()]
        columns.append(xr.concat(rows, pd.Index(list(arrays), name="method")))
    data = xr.concat(columns, pd.Index(list(chosen), name="group"))
    unknown = [metric for metric in metrics if metric not in data]
    if unknown:
        known = ", ".join(map(str, data.data_vars))
        msg = f"unknown metrics {shorten(unknown)}; known: {known}"
        raise InvalidArgumentError(msg)
    return SkillTable(data.transpose("method", "group"), tuple(metric for metric in metrics if metric != "n"))


@checked
def compare(
    predictions: Mapping[str, xr.DataArray | xr.Dataset],
    observed: xr.DataArray | xr.Dataset | None = None,
    *,
    by: By = None,
    dataset: xr.Dataset | xr.DataTree | None = None,
    confidence: float = 0.9,
    seed: int = 0,
) -> xr.Dataset:
    """Compare the RMSE of several predictions with that of the first, on the reach-days that all have.

    The same segments are drawn for all predictions. If the errors of two predictions are similar, the
    interval of their difference is therefore narrow.

    Parameters
    ----------
    predictions
        Temperature ``(time, fine)`` or ``(time, coarse)`` by method, degC. May be lazy.
    observed
        Temperature with the same dims, NaN where not observed, degC. Default: the labels in `dataset`.
    by, dataset, seed
        As in :func:`xmsgl.evaluate.score`.
    confidence
        Confidence of the intervals.

    Returns
    -------
    xarray.Dataset
        Along ``method``, and the groups of `by`: ``rmse`` and ``rmse_difference``, the RMSE minus that of the
        first method, both in degC with ``_low`` and ``_high``. ``n`` and ``n_segments`` by group. Bounds are
        NaN for groups of fewer than 5 segments.

    Raises
    ------
    InvalidArgumentError
        Fewer than two predictions, or as :func:`xmsgl.evaluate.score`.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=8, years=2)
    >>> truth = ds["true_temperature_fine"]
    >>> result = compare({"good": truth + 1, "poor": truth + 2}, truth, dataset=ds)
    >>> bool(result.rmse_difference_low.sel({"method": "poor"}) > 0)
    True
    """
    check_confidence(confidence, seed)
    arrays = by_name(predictions)
    if len(arrays) < 2:
        msg = f"compare needs at least two predictions, by name; it has {shorten(arrays) or 'none'}"
        raise InvalidArgumentError(msg)
    ds = None if dataset is None else sound_dataset(dataset)
    observed = observations(ds, next(iter(arrays.values())), observed)
    each = [gather(array, shared(arrays, observed)) for array in arrays.values()]
    pairs = replace(each[0], predicted=np.stack([one.predicted for one in each]))
    places = (*(array.coords for array in arrays.values()), observed.coords, ds)
    pairs, groups = group_pairs(pairs, by, places)
    squares = groups.mean((pairs.predicted - pairs.observed) ** 2)
    numbers = {"n": groups.total(np.ones(pairs.observed.size)), **_differences(squares)}
    segments = segments_of(pairs, places, "a comparison")
    numbers |= segment_bounds(pairs, groups, segments, confidence, seed, _differences)
    result = label_scores(numbers, ("method",), tuple(groups.coords), pairs.units)
    return result.assign_coords({**groups.coords, "method": list(arrays)})


def _differences(squares: Floats, *_: Floats) -> dict[str, Floats]:
    root = np.sqrt(squares)
    return {"rmse": root, "rmse_difference": root - root[:1]}


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], left: Container[int] = (0,)) -> str:
    """Write a Markdown table; the columns `left` are aligned to the left, the others to the right."""
    align = [":--" if column in left else "--:" for column in range(len(head))]
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(align)}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def by_name(predictions: Mapping[str, xr.DataArray | xr.Dataset]) -> dict[str, xr.DataArray]:
    """Return the array of each prediction."""
    if not isinstance(predictions, Mapping):
        msg = f"predictions are a {type(predictions).__name__}; give them by name: {{'msgl': prediction}}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    return {name: as_array(one, f"prediction {name!r}") for name, one in predictions.items()}


def shared(predictions: Mapping[str, xr.DataArray], observed: xr.DataArray) -> xr.DataArray:
    """Keep the observations of days and reaches that all predictions have."""
    for prediction in predictions.values():
        keep = {
            dim: np.flatnonzero(observed.indexes[dim].isin(prediction.indexes[dim]))
            for dim in observed.dims
            if dim in prediction.indexes and dim in observed.indexes
        }
        observed = observed.isel(keep)
    return observed


def _named_score(prediction: xr.DataArray, observed: xr.DataArray, method: str, group: str) -> xr.Dataset:
    try:
        return score(prediction, observed)
    except InvalidArgumentError as error:
        msg = f"method {method!r}, group {group!r}: {error}"
        raise InvalidArgumentError(msg) from error
