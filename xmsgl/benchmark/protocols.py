"""What may be learned from and what is scored: the two protocols, free of leaks.

The labels that are scored are hidden **at both scales**, for one thermometer feeds both. The dataset
that a method learns from holds no other water temperature than the labels it may use, and the one it
predicts from holds none at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmsgl.benchmark.degrade import degrade
from xmsgl.benchmark.sources import FINE, Source, open_source, source_of, thin
from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.evaluate import hold_out_segments, mask_labels, split_years
from xmsgl.evaluate.splits import label_names
from xmsgl.schema.rivers import stream_orders

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xmsgl.benchmark.runs import Run
    from xmsgl.inputs.validation import Validation

__all__ = ["PROTOCOLS", "Protocol", "Split", "make_split", "protocol_of"]

_COARSE = "water_temperature_coarse"
_HELD_OUT = 0.2
_VALIDATION = 0.15  # of the windows, where no years are set aside


@dataclass(frozen=True)
class Split:
    """A dataset taken apart for one run.

    Attributes
    ----------
    training
        What a method learns from: labels only where it may see them.
    inputs
        What it predicts from: no label, every day.
    observed
        What it is scored on, (time, fine), NaN elsewhere, degC; in memory, cut to the days and reaches
        that have any.
    stream_order
        Of the reaches of `observed`.
    validation
        Which of the training days a network may choose its best epoch on.
    """

    training: xr.Dataset
    inputs: xr.Dataset
    observed: xr.DataArray
    stream_order: xr.DataArray
    validation: Validation


@dataclass(frozen=True)
class Protocol:
    """A way to split.

    Attributes
    ----------
    fractions
        Parts of the fine labels it is run with by default.
    random
        Whether the split itself is drawn.
    hide
        From the dataset, its source and a seed: the dataset with the labels to be scored hidden, where they
        are (boolean, over time or reaches), and the validation.
    fixed
        Settings of networks that the protocol decides. They may be switched off: ``validation=null`` learns
        from the validation years as well, as references do, and keeps the last epoch.
    """

    fractions: tuple[float, ...]
    random: bool
    hide: Callable[[xr.Dataset, Source, int], tuple[xr.Dataset, xr.DataArray, Validation]]
    fixed: tuple[str, ...] = ()

    def check(self, method: str, settings: Mapping[str, Any]) -> None:
        """Refuse settings that the protocol decides."""
        if clash := [name for name in self.fixed if settings.get(name) is not None]:
            msg = f"{method}: the protocol sets {', '.join(clash)} itself; leave it out"
            raise InvalidArgumentError(msg)


def _hide_years(ds: xr.Dataset, source: Source, _: int) -> tuple[xr.Dataset, xr.DataArray, Validation]:
    years = source.years(ds)
    parts = split_years(ds, **years)
    # Days of no part are nobody's: they are not learned from either.
    hidden = mask_labels(ds, days=~(parts["train"] | parts["validation"]))
    days = [slice(f"{first - 1}-10-01", f"{last}-09-30") for first, last in years["validation"]]
    return hidden, parts["test"], days


def _hide_segments(ds: xr.Dataset, source: Source, draw: int) -> tuple[xr.Dataset, xr.DataArray, Validation]:
    by = source.hold_out_by if source.hold_out_by in ds.variables else None
    candidates = _candidates(ds, source, by or "coarse_segment")
    coarse, fine = hold_out_segments(ds, _HELD_OUT, draw, candidates=candidates, by=by)
    return mask_labels(ds, segments=coarse), fine, _VALIDATION


def _candidates(ds: xr.Dataset, source: Source, name: str) -> Sequence[Any] | None:
    """Find what to draw from: values where there are fine labels; all where the truth is known everywhere."""
    if source.truth is not None:
        return None
    labelled = ds[FINE].notnull().any("time").compute().values
    found: list[Any] = np.unique(ds[name].values[labelled]).tolist()
    return found


PROTOCOLS: dict[str, Protocol] = {
    "temporal": Protocol((0.001, 0.01, 0.1, 1.0), random=False, hide=_hide_years, fixed=("validation",)),
    "spatial": Protocol((1.0,), random=True, hide=_hide_segments),
}
"""Protocols by name."""


def protocol_of(name: str) -> Protocol:
    """Find a protocol, or say which there are."""
    if name not in PROTOCOLS:
        raise UnknownNameError("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


def make_split(run: Run) -> Split:
    """Take the dataset of a run apart."""
    source = source_of(run.dataset)
    ds = open_source(run.dataset, run.data, fraction=run.fraction, draw=run.draw)
    hidden, where, validation = protocol_of(run.protocol).hide(
        degrade(ds, run.degrade, run.draw), source, run.draw
    )
    training = _with_labels_only(hidden)
    if not source.random:  # the other has so many labels from the beginning
        training = thin(training, run.fraction, run.draw)
    observed = _observed(ds[source.truth or FINE], where)
    orders = xr.DataArray(stream_orders(ds, "fine"), {"fine": ds["fine"]}, "fine", name="stream_order")
    return Split(training, _without_labels(ds), observed, orders.sel(fine=observed["fine"]), validation)


def _temperatures(ds: xr.Dataset) -> list[str]:
    """Name all that tells the temperature of the water: labels, their extremes, the truth."""
    truth = [str(name) for name in ds.data_vars if str(name).startswith("true_temperature")]
    return [*label_names(ds), *truth]


def _with_labels_only(ds: xr.Dataset) -> xr.Dataset:
    return ds.drop_vars([name for name in _temperatures(ds) if name not in (_COARSE, FINE)])


def _without_labels(ds: xr.Dataset) -> xr.Dataset:
    return ds.drop_vars(_temperatures(ds))


def _observed(labels: xr.DataArray, where: xr.DataArray) -> xr.DataArray:
    (dim,) = where.dims
    # Selected first, so that no more than the scored days or reaches are read.
    chosen = labels.isel({dim: np.flatnonzero(where.values)}).transpose("time", "fine").compute()
    seen = chosen.notnull().values
    if not seen.any():
        msg = "the protocol leaves no observation to score: another region, period or protocol is needed"
        raise InvalidArgumentError(msg)
    return chosen.isel(time=np.flatnonzero(seen.any(axis=1)), fine=np.flatnonzero(seen.any(axis=0)))
