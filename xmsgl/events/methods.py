"""Where, when and how much heat was released, from the residuals of sensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from xmsgl.errors import UnknownNameError
from xmsgl.events.records import Found, bands, read_records, stations
from xmsgl.events.river import HeatedRiver
from xmsgl.events.rules import largest, travel_time
from xmsgl.events.search import likelihood
from xmsgl.schema.arrays import sound_dataset
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from numpy.typing import NDArray

    from xmsgl.events.localizer import Localizer

    Finder = Callable[[NDArray[np.float64], int], Found]

__all__ = ["locate"]

#: From a river, the positions of sensors, the days of a record and what is known of it, its noise and the
#: periods it was filtered to, to a function of one record.
_METHODS: dict[str, Callable[[HeatedRiver, NDArray[np.int64], int, Mapping[str, Any]], Finder]] = {
    "largest": largest,
    "travel-time": travel_time,
    "likelihood": likelihood,
}


@checked
def locate(
    events: xr.Dataset, obj: xr.Dataset | xr.DataTree, method: str | Localizer = "likelihood"
) -> xr.Dataset:
    """Estimate source, first day and heat of each event from the residuals of the sensors alone.

    Parameters
    ----------
    events
        ``residual`` (event, day, sensor), degC, and ``first_day`` (event), as from :func:`simulate`. The two
        rules need the attribute ``noise`` of the residuals, the deviation of a sensor in degC.
    obj
        The dataset of the river.
    method
        ``"largest"``: the sensor with the largest mean residual of three days is the source.
        ``"travel-time"``: from the most upstream sensor that sees the event, half-way up to the next sensors,
        with travel time and decay of that way. ``"likelihood"``: search over all sources, first days, kinds
        and durations with the process model that simulated the events, the best that can be had; it leaves
        out sensors that are all zeros, and filters what it expects as :func:`perturb` filtered the records.
        Or a network from :func:`train`.

    Returns
    -------
    xarray.Dataset
        ``source`` (a reach id), ``onset``, ``magnitude`` (log10 of W, NaN for a sensor in air) and ``kind``
        ("" where a method does not estimate it), all (event).

    Raises
    ------
    UnknownNameError
        No such method.
    InvalidArgumentError
        A sensor or a first day is not in the dataset, or a network was trained for other sensors.
    InvalidDatasetError
        The events lack a variable or the noise, or residuals are missing or not in degC.

    Examples
    --------
    >>> import xmsgl
    >>> from xmsgl.events import simulate
    >>> ds = xmsgl.datasets.simulated(n_coarse=6, years=2)
    >>> events = simulate(ds, n=5, sensors=0.2)
    >>> locate(events, ds, "largest").sizes["event"]
    5
    """
    ds = sound_dataset(obj, sizes=True)
    if isinstance(method, str) and method not in _METHODS:
        raise UnknownNameError("method", method, _METHODS)
    river = HeatedRiver.of(ds)
    records = read_records(events, river)
    if isinstance(method, str):
        places, about = stations(river, events["sensor"].values), events["residual"].attrs
        filtered = bands(events)
        finders = {
            band: _METHODS[method](river, places, events.sizes["day"], {**about, "band": band})
            for band in set(filtered)
        }
        each = zip(filtered, records.residual.astype(np.float64), records.first.tolist(), strict=True)
        found = [finders[band](residual, first) for band, residual, first in each]
    else:
        from xmsgl.events.localizer import need_sensors_of

        need_sensors_of(method, events)
        found = method.estimate(river, records)
    result = xr.Dataset(
        {
            "source": ("event", river.ids[[each.source for each in found]]),
            "onset": ("event", np.array([each.onset for each in found])),
            "magnitude": ("event", np.array([each.magnitude for each in found])),
            "kind": ("event", np.array([each.kind for each in found])),
        }
    )
    return stamp(result, f"locate(method={method if isinstance(method, str) else 'network'!r})")
