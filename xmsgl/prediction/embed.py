"""The hidden state of a network at every reach and day: what it has made of the weather and the river."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.features import LONGEST
from xmsgl.inputs.windows import calendar_windows
from xmsgl.models.file.model import Model, load_model
from xmsgl.prediction.downscale import (
    in_order,
    inputs_of,
    label_days,
    lazily_held,
    packaged_for,
    prepare,
)
from xmsgl.prediction.operators import basin_groups
from xmsgl.prediction.predictor import Engine, refuse_infinite, window_days, window_positions
from xmsgl.schema.arrays import sound_dataset
from xmsgl.util.arguments import checked
from xmsgl.util.progress import PATIENCE, progress_bar

if TYPE_CHECKING:
    import os

    import numpy.typing as npt
    import torch

    from xmsgl.inputs.windows import Window
    from xmsgl.models.methods.base import Memory
    from xmsgl.models.parts.batch import Batch

__all__ = ["embed"]

logger = logging.getLogger(__name__)


@checked
def embed(
    obj: xr.Dataset | xr.DataTree,
    model: Model | str | os.PathLike[str] | None = None,
    *,
    warmup: int | None = None,
    device: str = "auto",
) -> xr.DataArray:
    """Return the hidden state of a network at every reach and day.

    The windows and their warm-up are those of ``ds.msgl.downscale``, so that the state of a day does not
    depend on the chunks of the dataset.

    Parameters
    ----------
    obj
        Dataset or DataTree with the features of the model.
    model
        A trained model, the name of a packaged one, or the path of a file. Default: as for
        ``ds.msgl.downscale``. States of different networks have nothing to do with each other, so that no
        mean is taken: of an ensemble the first member is used, of a stack the first part that is a network,
        and the attribute ``network`` says which. For another one give ``model.member(k)`` or
        ``model.parts[k]``.
    warmup
        Days before each window. Default: as in training.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    xarray.DataArray
        Hidden states ``embedding`` (time, fine, latent), float32, without units, with the coordinates of the
        prediction. Lazy if the drivers are: a chunk is a window of days and a group of basins. Values of
        ``latent`` are numbers from 0. Reaches of one segment have the same state where the network runs on
        the segments alone, as ``"remap"`` does.

    Raises
    ------
    InvalidArgumentError
        The model has no hidden states, as boosted trees, or `warmup` is not possible.
    InvalidDatasetError
        The dataset lacks a feature of the model or is faulty.
    CheckpointError
        There is no such model, or its weights give states that are not finite.

    Notes
    -----
    The state of a day is the output of the backbone from which the output layer computes the temperature of
    that day. It depends on that day and the days before. The methods with a fine task read the state of the
    reach itself and those of the segments around it; the former is returned.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=3, reaches_per_segment=4, years=1)
    >>> model = ds.msgl.train("fine-only", hidden=6, epochs=1, validation=None, progress=False)
    >>> dict(embed(ds, model).sizes)
    {'time': 365, 'fine': 12, 'latent': 6}
    """
    if warmup is not None and not 0 <= warmup <= LONGEST:
        msg = f"warmup must be 0 to {LONGEST} days, not {warmup}"
        raise InvalidArgumentError(msg)
    ds, order = in_order(sound_dataset(obj, sizes=True))
    fitted = packaged_for(ds) if model is None else model if isinstance(model, Model) else load_model(model)
    network, latent, which = _network(fitted)
    logger.info("embedding %d reaches with model %s, %s", ds.sizes["fine"], fitted.sha256[:12], which)
    values = _states(ds, network, latent, network.spec.warmup if warmup is None else warmup, device)
    states = _labelled(values, ds, fitted, which)
    return states if order is None else states.isel(time=order)


def _network(model: Model) -> tuple[Model, int, str]:
    """Find the first network of a model; return it, the number of its hidden values, and what it is."""
    for k, part in enumerate(model.parts):
        single = part.member(0)
        if latent := single.module().latent:
            stacked = f"part {k} of a stack, " if model.spec.parts else ""
            member = f", member 0 of {part.members}" if part.members > 1 else ""
            return single, latent, f"{stacked}{part.method}{member}"
    msg = (
        f"model {model.sha256[:12]}, {model.facts().get('parts', model.method)}, has no hidden states; "
        'give a network, for example one from ds.msgl.train("msgl")'
    )
    raise InvalidArgumentError(msg)


def _states(ds: xr.Dataset, model: Model, latent: int, warmup: int, device: str) -> Any:
    """Return the states of all days, (time, fine, latent), as an array or a dask array."""
    spec = model.spec
    drivers, fixed = inputs_of(ds, spec)
    days = pd.DatetimeIndex(ds.indexes["time"])
    windows = calendar_windows(days, spec.window, warmup, spec.first_day)
    if windows and lazily_held(drivers, fixed):
        from xmsgl.prediction.lazy import lazy_engine, lazy_windows

        groups = basin_groups(fixed, spec.graph)
        engine = lazy_engine(prepare, model.payload, fixed, device, True, groups, StateEngine)
        reads = [(window, window_positions(window, spec.features, days.size)) for window in windows]
        return lazy_windows(engine, drivers, reads, groups, tail=(latent,), carry=False)[0]
    return _eagerly(prepare(model.payload, fixed, device, kind=StateEngine), drivers, windows, model)


def _eagerly(
    engine: Engine, drivers: xr.Dataset, windows: list[Window], model: Model
) -> npt.NDArray[np.float32]:
    values = np.empty((drivers.sizes["time"], engine.groups[0].kept.fine.size, *engine.tail), np.float32)
    with progress_bar(len(windows), "embed", unit="window", delay=PATIENCE) as bar:
        for window in windows:
            days = window_days(drivers, window, model.spec.features)
            values[window.start : window.stop] = engine.run(days, window)
            bar.update()
    return values


class StateEngine(Engine):
    """A trained network ready to give its hidden states."""

    def __init__(self, model: Model, fixed: xr.Dataset, device: str, **options: Any) -> None:
        super().__init__(model, fixed, device, **options)
        self.tail = (self._module.latent,)
        self._piece //= 1 + self._module.latent  # the states of a day are larger than its temperatures

    def _stream(self, batch: Batch, before: list[Memory]) -> tuple[torch.Tensor, list[Memory]]:
        states, memory = self._module.embed(batch, before[0] if before else None)
        return states, [memory]

    def _values(self, output: torch.Tensor) -> npt.NDArray[np.float32]:
        """Return the states of a window, (day, fine, latent)."""
        states = refuse_infinite(output[:, :, 0].float(), "hidden state")
        values: npt.NDArray[np.float32] = states.cpu().numpy()
        return values


def _labelled(values: Any, ds: xr.Dataset, model: Model, which: str) -> xr.DataArray:
    """Return states with the coordinates and the history of a prediction."""
    days = label_days(np.broadcast_to(np.float32(0), values.shape[:2]), ds, model, "", "embed")
    about = {"long_name": "number of the hidden value", "units": "1"}
    kept = {name: days.attrs[name] for name in ("method", "model_sha256", "source", "history")}
    return xr.DataArray(
        values,
        dims=("time", "fine", "latent"),
        coords={**days.coords, "latent": ("latent", np.arange(values.shape[2]), about)},
        name="embedding",
        attrs={"units": "1", "long_name": "hidden state of the network", "network": which, **kept},
    )
