"""Downscaling: from a model and a dataset to the labelled daily temperature of every reach.

The windows do not depend on the chunks or the first day of the record, so every chunking gives the same
numbers. A lazy dataset gives a lazy result, see :mod:`xmsgl.prediction.lazy`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, UncalibratedModelError
from xmsgl.inputs.checks import check_features, warn_foreign, warn_outside
from xmsgl.inputs.choose import assign_inputs
from xmsgl.inputs.features import LONGEST
from xmsgl.inputs.season import wants_season
from xmsgl.inputs.windows import Window, calendar_windows
from xmsgl.models.file.intervals import apply_table
from xmsgl.models.file.model import Model, load_model
from xmsgl.models.file.packaged import DEFAULT, ELSEWHERE
from xmsgl.prediction.memories import Continued, Layout
from xmsgl.prediction.operators import basin_groups
from xmsgl.prediction.predictor import Engine, split_inputs, window_days, window_positions
from xmsgl.prediction.spin_up import flag_spin_up
from xmsgl.schema.arrays import sound_dataset
from xmsgl.schema.graphs import known_segments
from xmsgl.schema.structure import check_days
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp
from xmsgl.util.progress import PATIENCE, progress_bar

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from xmsgl.models.file.intervals import IntervalTable
    from xmsgl.models.file.spec import ModelSpec
    from xmsgl.models.methods.base import Memory
    from xmsgl.network.parts import Group

    Pieces = list[tuple[Window, xr.Dataset]]

logger = logging.getLogger(__name__)


# Each process reads a model once; to dask, equal bytes are equal models.
_load = lru_cache(maxsize=8)(Model.from_bytes)


@checked
def downscale(
    obj: xr.Dataset | xr.DataTree,
    model: Model | str | os.PathLike[str] | None = None,
    *,
    warmup: int | None = None,
    carry: bool = False,
    start: xr.Dataset | None = None,
    device: str = "auto",
    quantiles: Sequence[float] | None = None,
) -> xr.DataArray:
    """Return the daily temperature of every fine reach.

    Shapes: returns (time, fine).

    References
    ----------
    Fan et al. (2025), Multi-Scale Graph Learning for Anti-Sparse Downscaling, AAAI-25,
    doi:10.1609/aaai.v39i27.35014.
    """
    asked = _Asked(warmup, device, quantiles, carry=carry or start is not None)
    return _predict(obj, model, start, asked, continued=start is not None)[0]


@checked
def downscale_and_state(
    obj: xr.Dataset | xr.DataTree,
    model: Model | str | os.PathLike[str] | None = None,
    *,
    warmup: int | None = None,
    start: xr.Dataset | None = None,
    device: str = "auto",
    quantiles: Sequence[float] | None = None,
) -> tuple[xr.DataArray, xr.Dataset]:
    """Return the daily temperature of every fine reach, and the state after the last day.

    Given as `start` of a run on the days that follow, the state continues the record as if both runs were
    one with ``carry=True``. Both results are lazy if the drivers are.
    """
    asked = _Asked(warmup, device, quantiles, carry=True)
    temperature, run = _predict(obj, model, start, asked, continued=True)
    return temperature, cast("Continued", run).state()


@checked
def predict(
    obj: xr.Dataset | xr.DataTree,
    model: Model | str | os.PathLike[str] | None = None,
    *,
    carry: bool = False,
    return_state: bool = False,
    **options: Any,
) -> xr.DataArray | tuple[xr.DataArray, xr.Dataset]:
    """Do what ``ds.msgl.downscale`` does: return the temperature, and with `return_state` the state, too."""
    if return_state:
        return downscale_and_state(obj, model, **options)
    return downscale(obj, model, carry=carry, **options)


@dataclass(frozen=True)
class _Asked:
    """How a prediction is to be made."""

    warmup: int | None
    device: str
    quantiles: Sequence[float] | None
    carry: bool


def _predict(
    obj: xr.Dataset | xr.DataTree,
    model: Model | str | os.PathLike[str] | None,
    start: xr.Dataset | None,
    asked: _Asked,
    *,
    continued: bool,
) -> tuple[xr.DataArray, Continued | None]:
    """Predict and label; with `continued`, return the run, which has the state after it."""
    ds, order = in_order(sound_dataset(obj, sizes=True))
    fitted = chosen_model(ds, model)
    table = None if asked.quantiles is None else _table(fitted, asked.quantiles)
    logger.info(
        "downscaling to %d reaches with model %s, %s",
        ds.sizes["fine"],
        fitted.sha256[:12],
        fitted.method,
    )
    run = Continued(fitted, ds, start) if continued else None
    shares = [np.array(fitted.shares)[:, None]]
    (values,) = weighted_means(ds, fitted, shares, asked.warmup, asked.device, carry=asked.carry, run=run)
    how = ", carry=True" if asked.carry else ""
    how += "" if start is None else f", start=state of {str(start.indexes['time'][-1].date())!r}"
    earlier = 0 if run is None else run.days
    if table is None or asked.quantiles is None:
        temperature = label_days(values, ds, fitted, how, earlier=earlier)
    else:
        how += f", quantiles={list(asked.quantiles)}"
        temperature = _spread(label_days(values, ds, fitted, how, earlier=earlier), table, asked.quantiles)
    return temperature if order is None else temperature.isel(time=order), run


def weighted_means(
    ds: xr.Dataset,
    model: Model,
    weights: Sequence[npt.NDArray[np.float64]],
    warmup: int | None,
    device: str,
    *,
    carry: bool,
    run: Continued | None = None,
) -> list[Any]:
    """Predict several weighted means of the parts, degC, (time, fine); `weights` are (part, 1 or fine).

    With `run`, start from its state, and keep the state after the last day in it.
    """
    if warmup is not None and not 0 <= warmup <= LONGEST:
        msg = f"warmup must be 0 to {LONGEST} days, not {warmup}"
        raise InvalidArgumentError(msg)
    means: list[Any] = [None] * len(weights)
    for k, part in enumerate(model.parts):
        if not any(each[k].any() for each in weights):
            continue
        # All parts of a stack know the same basin: the first warns of another one.
        warns = all(mean is None for mean in means)
        own = _Part(ds, part, k, device, carry, run).values(warmup, warns=warns)
        for number, (mean, each) in enumerate(zip(means, weights, strict=True)):
            weighted = own if (each[k] == 1).all() else each[k].astype(np.float32) * own
            means[number] = weighted if mean is None else mean + weighted
    return means


def held_out_shares(model: Model, ds: xr.Dataset) -> npt.NDArray[np.float64]:
    """Return the share of each part at a reach, of those that left its segment out if any, (part, fine)."""
    shares = np.array(model.shares)[:, None]
    known = model.spec.network.recognise(known_segments(ds))
    ids = schema.id_values(ds.indexes["coarse"].to_numpy())
    held = np.array([np.isin(ids, part.spec.held) & known for part in model.parts])
    own = shares * held[:, schema.segment_positions(ds)]
    total = own.sum(axis=0)
    result: npt.NDArray[np.float64] = np.where(total > 0, own / np.where(total > 0, total, 1.0), shares)
    return result


def chosen_model(ds: xr.Dataset, model: Model | str | os.PathLike[str] | None) -> Model:
    """Return a model, load it from a file, or choose a packaged one where none is given."""
    if model is None:
        return packaged_for(ds)
    return model if isinstance(model, Model) else load_model(model)


def packaged_for(ds: xr.Dataset) -> Model:
    """Load the packaged model for gauged reaches where it knows a segment, else the one for ungauged ones."""
    model, name = load_model(), DEFAULT
    if not model.spec.network.recognise(known_segments(ds)).any():
        model, name = load_model(ELSEWHERE), ELSEWHERE
    logger.info("no model given: using the packaged model %s", name)
    return model


@dataclass(frozen=True)
class _Part:
    """One part of a model on a dataset."""

    ds: xr.Dataset
    model: Model
    number: int
    device: str
    carry: bool
    run: Continued | None

    def values(self, warmup: int | None, *, warns: bool) -> Any:
        """Predict, degC, (time, fine), lazily where the dataset is lazy."""
        spec = self.model.spec
        drivers, fixed = inputs_of(self.ds, spec)
        if self.run is not None:
            drivers = self.run.before(drivers)
        windows = self._windows(spec.warmup if warmup is None else warmup, drivers)
        lazy = windows and lazily_held(drivers, fixed)
        return (self._lazily if lazy else self._eagerly)(drivers, fixed, windows, warns)

    def _windows(self, warmup: int, drivers: xr.Dataset) -> list[Window]:
        """Cut the days into windows, by their positions among the drivers."""
        spec, days = self.model.spec, pd.DatetimeIndex(self.ds.indexes["time"])
        windows = calendar_windows(days, spec.window, warmup, spec.first_day)
        ahead = drivers.sizes["time"] - days.size  # days of an earlier run, which come with a memory
        return [
            Window(w.start + ahead, w.stop + ahead, 0 if self.carry and (ahead or w.start) else w.warmup)
            for w in windows
        ]

    def _lazily(self, drivers: xr.Dataset, fixed: xr.Dataset, windows: list[Window], warns: bool) -> Any:
        """Return a dask array."""
        from xmsgl.prediction.lazy import lazy_engine, lazy_memories, lazy_windows

        run, model = self.run, self.model
        groups = basin_groups(fixed, model.spec.graph)
        engine = lazy_engine(prepare, model.payload, fixed, self.device, warns, groups)
        features = model.spec.features
        reads = [(w, window_positions(w, features, drivers.sizes["time"])) for w in windows]
        if run is None:
            return lazy_windows(engine, drivers, reads, groups, carry=self.carry)[0]
        layout = Layout.of(model.modules())
        before = [run.restore(layout, self.number, group) for group in groups]
        values, memories = lazy_windows(engine, drivers, reads, groups, carry=True, before=before)
        run.keep(layout, self.number, lazy_memories(engine, memories, groups, layout), drivers)
        return values

    def _eagerly(self, drivers: xr.Dataset, fixed: xr.Dataset, windows: list[Window], warns: bool) -> Any:
        """Return an array."""
        run, engine = self.run, prepare(self.model.payload, fixed, self.device, warns)
        pieces = [(window, window_days(drivers, window, self.model.spec.features)) for window in windows]
        packed = None if run is None else run.restore(engine.layout, self.number, engine.groups[0])
        left = None if packed is None else engine.unpack(packed)
        values, left = _eager(engine, pieces, self.ds.sizes["fine"], left, carry=self.carry)
        if run is not None and left is not None:
            run.keep(engine.layout, self.number, engine.pack(left), drivers)
        return values


def in_order(ds: xr.Dataset) -> tuple[xr.Dataset, npt.NDArray[np.int64] | None]:
    """Sort the days lazily; return the dataset and the original order (None: the days were sorted)."""
    if faults := list(check_days(ds)):
        raise InvalidDatasetError(faults)
    days = ds.indexes["time"]
    if days.is_monotonic_increasing:
        return ds, None
    sorting = np.argsort(days.to_numpy())
    return ds.isel(time=sorting), np.argsort(sorting)


def _table(model: Model, quantiles: Sequence[float]) -> IntervalTable:
    """Return the calibrated intervals of the model, checked for these quantiles."""
    table = model.spec.intervals
    if table is None:
        msg = (
            f"model {model.sha256[:12]} has no calibrated intervals: it was trained without validation days "
            "or with too few labels on them; train with validation, for example "
            "ds.msgl.train(validation=0.15)"
        )
        raise UncalibratedModelError(msg)
    table.at(quantiles)
    return table


def inputs_of(ds: xr.Dataset, spec: ModelSpec) -> tuple[xr.Dataset, xr.Dataset]:
    """Return the drivers that a model reads, and the variables without a time dimension."""
    seasonal = wants_season(feature.name for feature in spec.features)
    ready = assign_inputs(ds, season=seasonal, neighbours=spec.neighbours, network=spec.network)
    check_features(ready, spec.features)
    return split_inputs(ready, spec.features)


def lazily_held(*datasets: xr.Dataset) -> bool:
    """Whether a variable is lazy."""
    # ds.chunks would raise an error where variables are chunked differently.
    return any(each.chunks is not None for ds in datasets for each in ds.variables.values())


def _eager(
    engine: Engine, pieces: Pieces, reaches: int, left: list[Memory] | None, *, carry: bool
) -> tuple[npt.NDArray[np.float32], list[Memory] | None]:
    """Predict all windows, (time, fine); return the memory after the last one, too."""
    first = pieces[0][0].start if pieces else 0
    values = np.empty((sum(window.stop - window.start for window, _ in pieces), reaches), np.float32)
    with progress_bar(len(pieces), "downscale", unit="window", delay=PATIENCE) as bar:
        for window, days in pieces:
            logger.debug("days %d to %d of the record", window.start, window.stop - 1)
            values[window.start - first : window.stop - first], after = engine.resume(days, window, left)
            left = after if carry else None
            bar.update()
    return values, left


def prepare(
    payload: bytes,
    fixed: xr.Dataset,
    device: str,
    warns: bool = True,
    groups: Sequence[Group] | None = None,
    kind: type[Engine] = Engine,
) -> Engine:
    """Build what all windows share; warn of attributes unlike those of the training, and of another basin."""
    model = _load(payload)
    spec = model.spec
    known = fixed.compute()  # not load(): the arrays may be those of the caller's dataset
    look = partial(warn_outside, features=spec.features, scaling=spec.scaling)
    engine = kind(model, known, device, groups=groups, look=look)
    if warns:
        warn_foreign(known, spec.network)
    look(known)
    return engine


def label_days(
    values: Any, ds: xr.Dataset, model: Model, how: str, called: str = "downscale", *, earlier: int = 0
) -> xr.DataArray:
    """Return a prediction with its coordinates and attributes; `earlier` days of the record came before."""
    coords: dict[Any, Any] = {
        name: coord
        for name, coord in ds.coords.items()
        if set(coord.dims) <= {"time", "fine"} and name != "coarse"
    }
    about = {"long_name": "reach id", **ds["fine"].attrs, "cf_role": "timeseries_id"}
    coords["fine"] = ("fine", ds["fine"].values, about)
    coords["spin_up"] = flag_spin_up(ds["time"], model.spec.spin_up, earlier)
    temperature = xr.DataArray(
        values,
        dims=("time", "fine"),
        coords=coords,
        name="water_temperature",
        attrs={
            "units": "degC",
            "long_name": "downscaled daily mean stream water temperature",
            "cell_methods": "time: mean",
            "method": model.method,
            "model_sha256": model.sha256,
            "source": str(ds.attrs.get("title", "")),
            "history": ds.attrs.get("history", ""),
        },
    )
    what = f"method={model.method!r}, model sha256 {model.sha256[:12]}"
    return stamp(temperature, f"{called}({what}{how})")


def _spread(temperature: xr.DataArray, table: IntervalTable, quantiles: Sequence[float]) -> xr.DataArray:
    """Return quantiles around a labelled prediction; lazy if the prediction is."""
    probabilities = [float(p) for p in quantiles]
    apply = partial(apply_table, table, probabilities=probabilities)
    if temperature.chunks is None:
        values: Any = apply(temperature.values)
    else:
        import dask.array as da

        chunks = ((len(probabilities),), *temperature.chunks)
        values = da.map_blocks(
            apply, temperature.data, dtype="f4", new_axis=0, chunks=chunks, meta=np.empty((0, 0, 0), "f4")
        )
    axis = xr.Variable("quantile", probabilities, {"long_name": "probability of the quantile", "units": "1"})
    where = f"at {table.segments} held-out segments" if table.segments else "on validation days"
    bins = f"{len(table.counts)} {'bin' if len(table.counts) == 1 else 'bins'} of predicted temperature"
    return xr.DataArray(
        values,
        dims=("quantile", *temperature.dims),
        coords={**temperature.coords, "quantile": axis},
        name=temperature.name,
        attrs={
            **temperature.attrs,
            "long_name": f"quantile of the {temperature.attrs['long_name']}",
            "intervals": f"split-conformal, from {table.n} residuals of {table.scale} labels {where}, "
            f"in {bins}",
        },
    )
