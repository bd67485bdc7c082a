"""Tables of skill: methods side by side, on the same reach-days, n with every number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.evaluate.metrics import score
from xmsgl.schema.arrays import as_array
from xmsgl.util.html import as_xarray_shows, card, table

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SkillTable", "by_name", "shared", "skill_table"]

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
        Those that are printed; ``n`` always is.
    """

    data: xr.Dataset
    metrics: tuple[str, ...]

    def to_dataframe(self) -> pd.DataFrame:
        """Give one row a method and the columns (group, metric), numbers not rounded."""
        columns = [*self.metrics, "n"]
        parts = {
            str(group): self.data[columns].sel({"group": group}, drop=True).to_dataframe()[columns]
            for group in self.data["group"].values
        }
        return pd.concat(parts, axis=1, names=["group", "metric"])

    def to_markdown(self) -> str:
        """Write the table for a README."""
        head, rows = self._cells()
        lines = [f"| {' | '.join(head)} |", f"|{'|'.join([':--', *['--:'] * (len(head) - 1)])}|"]
        return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])

    def __str__(self) -> str:
        names, subheads = self._groups(), self._subheads()
        _, rows = self._cells()
        width = [max(len("method"), *(len(row[0]) for row in rows))]
        for column in range(1, len(rows[0])):
            head = subheads[(column - 1) % len(subheads)]
            width.append(max(len(head), *(len(row[column]) for row in rows)))
        span = len(subheads)
        spans = [sum(width[1 + k * span : 1 + (k + 1) * span]) + 2 * (span - 1) for k in range(len(names))]
        for k, name in enumerate(names):  # a long name widens the last column of its group
            width[(k + 1) * span] += max(0, len(name) - spans[k])
            spans[k] = max(spans[k], len(name))
        top = " " * width[0] + "".join(f"  {name:-^{size}}" for name, size in zip(names, spans, strict=True))
        below = ["method", *subheads * len(names)]
        lines = [
            "  ".join(
                cell.ljust(size) if k == 0 else cell.rjust(size)
                for k, (cell, size) in enumerate(zip(row, width, strict=True))
            )
            for row in [below, *rows]
        ]
        return "\n".join(line.rstrip() for line in [top, *lines])

    def __repr__(self) -> str:
        return str(self)

    @as_xarray_shows
    def _repr_html_(self) -> str:
        names, subheads = self._groups(), self._subheads()
        _, rows = self._cells()
        groups = [(name, len(subheads)) for name in names]
        return card(
            "skill",
            table(["method", *subheads * len(names)], rows, groups=groups),
            about="n counts observed reach-days",
        )

    def _groups(self) -> list[str]:
        return [str(group) for group in self.data["group"].values]

    def _head(self, metric: str) -> str:
        name = _HEADS.get(metric, metric)
        return f"{name} [degC]" if self.data[metric].attrs.get("units") == "degC" else name

    def _subheads(self) -> list[str]:
        return [self._head(metric) for metric in (*self.metrics, "n")]

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        heads = [f"{group}: {head}" for group in self._groups() for head in self._subheads()]
        rows = []
        for method in self.data["method"].values:
            row = [str(method)]
            for group in self.data["group"].values:
                for metric in (*self.metrics, "n"):
                    value = self.data[metric].sel({"method": method, "group": group}).item()
                    row.append(f"{value:,d}" if isinstance(value, int) else f"{value:.2f}")
            rows.append(row)
        return ["method", *heads], rows


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
        Temperature ``(time, fine)`` of each method, degC, by its name. Days and reaches that not all
        have are scored for none.
    observed
        Temperature with the same dims, NaN where not observed, degC.
    groups
        Boolean DataArray of each group of reach-days, by its name, on ``time``, on the reaches, or on
        both: ``{"held-out days": test_days & ~held_fine, "held-out reaches": held_fine}``. Default: all
        observed reach-days.
    metrics
        Which metrics of :func:`xmsgl.evaluate.score` are printed.

    Returns
    -------
    SkillTable
        Prints as text, as HTML in a notebook, as Markdown by ``to_markdown()``, and becomes a data frame
        by ``to_dataframe()``.

    Raises
    ------
    InvalidArgumentError
        No prediction, a group that is not boolean or misses labels, an unknown metric, or what
        :func:`xmsgl.evaluate.score` refuses, with the method and the group named.

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
    chosen = groups or {"all": xr.ones_like(common["time"], dtype=bool)}
    columns = []
    for group, mask in chosen.items():
        part = common.where(_covering(mask, common, group))
        rows = [_named_score(prediction, part, name, group) for name, prediction in arrays.items()]
        columns.append(xr.concat(rows, pd.Index(list(arrays), name="method")))
    data = xr.concat(columns, pd.Index(list(chosen), name="group"))
    unknown = [metric for metric in metrics if metric not in data]
    if unknown:
        known = ", ".join(map(str, data.data_vars))
        msg = f"unknown metrics {shorten(unknown)}; known: {known}"
        raise InvalidArgumentError(msg)
    return SkillTable(data.transpose("method", "group"), tuple(metric for metric in metrics if metric != "n"))


def by_name(predictions: Mapping[str, xr.DataArray | xr.Dataset]) -> dict[str, xr.DataArray]:
    """Take one array of each of several predictions."""
    if not isinstance(predictions, Mapping):
        msg = f"predictions are a {type(predictions).__name__}; give them by name: {{'msgl': prediction}}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    return {name: as_array(one, f"prediction {name!r}") for name, one in predictions.items()}


def shared(predictions: Mapping[str, xr.DataArray], observed: xr.DataArray) -> xr.DataArray:
    """Keep the observations of days and reaches that all predictions have, so that all are scored alike."""
    for prediction in predictions.values():
        keep = {
            dim: np.flatnonzero(observed.indexes[dim].isin(prediction.indexes[dim]))
            for dim in observed.dims
            if dim in prediction.indexes and dim in observed.indexes
        }
        observed = observed.isel(keep)
    return observed


def _covering(mask: xr.DataArray, observed: xr.DataArray, group: str) -> xr.DataArray:
    if mask.dtype != bool or not set(mask.dims) <= set(observed.dims):
        msg = (
            f"group {group!r} has dims {mask.dims} and dtype {mask.dtype}; "
            f"it must be boolean on some of {observed.dims}"
        )
        raise InvalidArgumentError(msg)
    for dim in mask.dims:
        if dim not in mask.indexes:
            msg = f"group {group!r} has no labels along {dim!r}"
            raise InvalidArgumentError(msg)
        lost = observed.indexes[dim].difference(mask.indexes[dim])
        if len(lost):
            msg = f"group {group!r} says nothing about {shorten(lost)} along {dim!r}"
            raise InvalidArgumentError(msg)
    return mask.reindex({dim: observed[dim] for dim in mask.dims})


def _named_score(prediction: xr.DataArray, observed: xr.DataArray, method: str, group: str) -> xr.Dataset:
    try:
        return score(prediction, observed)
    except InvalidArgumentError as error:
        msg = f"method {method!r}, group {group!r}: {error}"
        raise InvalidArgumentError(msg) from error
