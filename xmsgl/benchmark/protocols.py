"""The protocols: which labels are for training and which are scored, without leaks.

Labels to be scored are hidden **at both scales**, because one gauge gives both. The training dataset has no
water temperature other than the labels a method may use, and the dataset for prediction has none. In
protocols with sensors, a method is given the observations of those that report beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmsgl.benchmark.degrade import degrade
from xmsgl.benchmark.sensors import WITH_SENSORS, Sensors, read_sensors
from xmsgl.benchmark.sources import COARSE, FINE, SOURCES, Source, open_source, thin
from xmsgl.errors import InvalidArgumentError
from xmsgl.evaluate import hold_out_segments, mask_labels, split_years
from xmsgl.evaluate.splits import label_names
from xmsgl.inputs.held_segments import draw_blocks
from xmsgl.schema.rivers import segment_positions, stream_orders, topology
from xmsgl.util.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xmsgl.benchmark.runs import Run
    from xmsgl.inputs.validation import Validation

__all__ = ["FOLDS", "PROTOCOLS", "Protocol", "Split", "make_split", "training_of"]

_HELD_OUT = 0.2
#: Of the protocol ``"kfold"``: the draw d is fold d modulo 5 of repeat d // 5.
FOLDS = 5
_VALIDATION = 0.15  # of the windows, in the spatial protocol


@dataclass(frozen=True)
class Split:
    """The split of a dataset for one run."""

    training: xr.Dataset  # with the labels a method may learn from
    inputs: xr.Dataset  # every day, without labels
    observed: xr.DataArray  # to score, (time, fine), degC, cut to days and reaches with observations
    stream_order: xr.DataArray  # of the reaches of `observed`
    segment: xr.DataArray  # the coarse segment of these reaches
    validation: Validation  # training days on which a network chooses its best epoch
    sensors: Sensors | None = None  # what a method is given when it predicts


@dataclass(frozen=True)
class Protocol:
    """A way to split."""

    fractions: tuple[float, ...]  # of the fine labels, by default
    random: bool  # whether the split itself is drawn
    # From dataset, source and seed: the dataset without the labels to score, where these are (boolean, on
    # days or reaches), and the validation.
    hide: Callable[[xr.Dataset, Source, int], tuple[xr.Dataset, xr.DataArray, Validation]]
    # Settings of networks that the protocol sets. None is allowed: with ``validation=null`` a network learns
    # from the validation years as well, as references do, and keeps the last epoch.
    fixed: tuple[str, ...] = ()
    # Whether a method is given the sensors that report, so that it is trained in folds.
    sensors: bool = False

    def check(self, method: str, settings: Mapping[str, Any]) -> None:
        """Refuse settings that the protocol sets, or does not have."""
        if "given" in settings and not self.sensors:
            msg = f"{method}: given is for protocols with sensors, {', '.join(WITH_SENSORS)}; omit it"
            raise InvalidArgumentError(msg)
        if clash := [name for name in self.fixed if settings.get(name) is not None]:
            msg = f"{method}: the protocol sets {', '.join(clash)} itself; omit it"
            raise InvalidArgumentError(msg)


def _hide_years(ds: xr.Dataset, source: Source, _: int) -> tuple[xr.Dataset, xr.DataArray, Validation]:
    years = source.years(ds)
    parts = split_years(ds, **years)
    # Days in no part are hidden as well.
    hidden = mask_labels(ds, days=~(parts["train"] | parts["validation"]))
    days = [slice(f"{first - 1}-10-01", f"{last}-09-30") for first, last in years["validation"]]
    return hidden, parts["test"], days


def _hide_segments(ds: xr.Dataset, source: Source, draw: int) -> tuple[xr.Dataset, xr.DataArray, Validation]:
    by = source.hold_out_by if source.hold_out_by in ds.variables else None
    candidates = _candidates(ds, source, by or "coarse_segment")
    coarse, fine = hold_out_segments(ds, _HELD_OUT, draw, candidates=candidates, by=by)
    return mask_labels(ds, segments=coarse), fine, _VALIDATION


def _hide_fold(ds: xr.Dataset, source: Source, draw: int) -> tuple[xr.Dataset, xr.DataArray, Validation]:
    segment = segment_positions(ds)
    labels = ds[source.truth or FINE].notnull().any("time").compute().values
    gauged = np.bincount(segment, labels, ds.sizes["coarse"]) > 0
    _, downstream, _ = topology(ds, "coarse")
    repeat, fold = divmod(draw, FOLDS)
    held = draw_blocks(downstream, gauged, FOLDS, repeat) == fold
    fine = xr.DataArray(labels & held[segment], {"fine": ds["fine"]}, "fine")
    return mask_labels(ds, segments=ds["coarse"].values[held]), fine, _VALIDATION


def _candidates(ds: xr.Dataset, source: Source, name: str) -> Sequence[Any] | None:
    """List the values with fine labels; None, that is all, where the truth is known everywhere."""
    if source.truth is not None:
        return None
    labelled = ds[FINE].notnull().any("time").compute().values
    found: list[Any] = np.unique(ds[name].values[labelled]).tolist()
    return found


def _in_folds(hide: Callable[..., Any], *, random: bool) -> Protocol:
    """Return a protocol with sensors, whose methods need the errors at gauges left out of training."""

    def hidden(*given: Any) -> Any:
        return *hide(*given)[:2], "folds"

    return Protocol((1.0,), random, hidden, sensors=True)


PROTOCOLS: Registry[Protocol] = Registry(
    "protocol",
    {
        "temporal": Protocol((0.001, 0.01, 0.1, 1.0), random=False, hide=_hide_years, fixed=("validation",)),
        "spatial": Protocol((1.0,), random=True, hide=_hide_segments),
        "kfold": Protocol((1.0,), random=True, hide=_hide_fold),
        "spatial-observed": _in_folds(_hide_segments, random=True),
        **{
            name: _in_folds(_hide_years, random=name != "forecast")
            for name in WITH_SENSORS
            if name != "spatial-observed"
        },
    },
)
"""Protocols by name."""


def make_split(run: Run) -> Split:
    """Split the dataset of a run."""
    source = SOURCES[run.dataset]
    ds = open_source(run.dataset, run.data, fraction=run.fraction, draw=run.draw)
    degraded = degrade(ds, run.degrade, run.draw)
    hidden, where, validation = PROTOCOLS[run.protocol].hide(degraded, source, run.draw)
    temperatures = _temperatures(ds)
    training = hidden.drop_vars([name for name in temperatures if name not in (COARSE, FINE)])
    if not source.random:  # a random dataset is opened with this fraction
        training = thin(training, run.fraction, run.draw)
    observed, sensors = _observed(ds[source.truth or FINE], where), None
    if PROTOCOLS[run.protocol].sensors:
        sensors, scored = read_sensors(degraded, run.protocol, where, run.draw)
        observed = _seen(observed.where(scored))
    orders = xr.DataArray(stream_orders(ds, "fine"), {"fine": ds["fine"]}, "fine", name="stream_order")
    inputs = ds.drop_vars(temperatures)
    reaches = {"fine": observed["fine"]}
    segments = ds["coarse_segment"].sel(reaches).compute()
    return Split(training, inputs, observed, orders.sel(reaches), segments, validation, sensors)


def training_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the training of a run depends on: not on what its prediction is given."""
    settings = {name: value for name, value in run["settings"].items() if name != "given"}
    protocol, draw = run["protocol"], run["draw"]
    if PROTOCOLS[protocol].sensors and protocol != "spatial-observed":
        protocol = "years, in folds"
        drawn = SOURCES[run["dataset"]].random or run["fraction"] not in (None, 1) or run["degrade"]
        draw = draw if drawn else 0
    return {**run, "settings": settings, "protocol": protocol, "draw": draw}


def _temperatures(ds: xr.Dataset) -> list[str]:
    """List the variables that reveal the water temperature: labels, their extremes, the truth."""
    truth = [str(name) for name in ds.data_vars if str(name).startswith("true_temperature")]
    return [*label_names(ds), *truth]


def _observed(labels: xr.DataArray, where: xr.DataArray) -> xr.DataArray:
    (dim,) = where.dims
    # Selected first, so that only the scored days or reaches are read.
    return _seen(labels.isel({dim: np.flatnonzero(where.values)}).transpose("time", "fine").compute())


def _seen(chosen: xr.DataArray) -> xr.DataArray:
    """Keep the days and reaches with observations."""
    seen = chosen.notnull().values
    if not seen.any():
        msg = "the protocol leaves no observation to score; choose another region, period or protocol"
        raise InvalidArgumentError(msg)
    return chosen.isel(time=np.flatnonzero(seen.any(axis=1)), fine=np.flatnonzero(seen.any(axis=0)))
