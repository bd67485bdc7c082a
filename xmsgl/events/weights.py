"""How much an estimate depends on each sensor, and how much each sensor feels of an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr

from xmsgl.events.kinds import KINDS, profile
from xmsgl.events.localizer import Localizer, bound, need_sensors_of
from xmsgl.events.records import need, read_records, stations
from xmsgl.events.river import HeatedRiver
from xmsgl.schema.arrays import sound_dataset
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["felt", "sensor_weights"]


@checked
def sensor_weights(events: xr.Dataset, obj: xr.Dataset | xr.DataTree, localizer: Localizer) -> xr.DataArray:
    """Return how much a network's estimate of the source depends on each sensor.

    It is the norm of the gradient of the log-probability of the estimated source with respect to the
    residuals of all days of a sensor, at a given level of the noise and course of the heat. No attention is
    part of the network: the weights follow from what it learned.

    Parameters
    ----------
    events
        As from :func:`simulate`, with the sensors of the network.
    obj
        The dataset of the river.
    localizer
        A network from :func:`train`.

    Returns
    -------
    xarray.DataArray
        Shares of the sensors, (event, sensor), with a sum of 1 for each event.

    Examples
    --------
    >>> import xmsgl
    >>> from xmsgl.events import simulate, train
    >>> ds = xmsgl.datasets.simulated(n_coarse=6, years=2)
    >>> events = simulate(ds, n=16, sensors=0.2)
    >>> sensor_weights(events, ds, train(events, ds, epochs=1)).dims
    ('event', 'sensor')
    """
    river = HeatedRiver.of(sound_dataset(obj, sizes=True))
    records = read_records(events, river)
    need_sensors_of(localizer, events)
    run = bound(localizer, river)
    rows = []
    for k in range(records.first.size):
        residual = torch.from_numpy(records.residual[[k]]).requires_grad_()
        logits = run(residual, records.first[[k]]).source
        (gradient,) = torch.autograd.grad(torch.log_softmax(logits, 1).max(), residual)
        rows.append(gradient[0].square().sum(0).sqrt().numpy())
    return _shares(np.stack(rows), events)


@checked
def felt(events: xr.Dataset, obj: xr.Dataset | xr.DataTree) -> xr.DataArray:
    """Return how much each sensor feels of the heat of each event, by the process model.

    Parameters
    ----------
    events
        As from :func:`simulate`, with the truth.
    obj
        The dataset of the river.

    Returns
    -------
    xarray.DataArray
        Norm over the days of the change at a sensor, as shares (event, sensor); NaN for a sensor in air.

    Examples
    --------
    >>> import xmsgl
    >>> from xmsgl.events import simulate
    >>> ds = xmsgl.datasets.simulated(n_coarse=6, years=2)
    >>> felt(simulate(ds, n=4, sensors=0.2), ds).sizes["sensor"]
    8
    """
    river = HeatedRiver.of(sound_dataset(obj, sizes=True))
    records = read_records(events, river, truth=True)
    places, days = stations(river, events["sensor"].values), events.sizes["day"]
    need(events, "duration")
    rows = np.full((records.first.size, places.size), np.nan)
    for k, (kind, duration) in enumerate(zip(events["kind"].values, events["duration"].values, strict=True)):
        if KINDS[str(kind)].sign:
            path = river.path(int(records.source[k]))
            on_path, which = np.nonzero(path[:, None] == places)
            heat = profile(str(kind), int(duration), days, int(records.onset[k]))[None]
            change = river.response(int(records.first[k]), days, path, heat)[0]
            rows[k] = 0.0
            rows[k, which] = np.sqrt(np.square(change[:, on_path]).sum(0))
    return _shares(rows, events)


def _shares(values: NDArray[np.floating], events: xr.Dataset) -> xr.DataArray:
    total = values.sum(1, keepdims=True)
    shares = np.divide(values, total, out=np.full_like(values, np.nan), where=total > 0)
    attrs = {"long_name": "share of the sensor", "units": "1"}
    return xr.DataArray(shares, {"sensor": events["sensor"]}, ("event", "sensor"), attrs=attrs)
