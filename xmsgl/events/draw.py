"""Random events on the river of a dataset, and what its sensors see of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xmsgl.errors import InvalidArgumentError
from xmsgl.events.kinds import KINDS, profile
from xmsgl.events.river import HeatedRiver
from xmsgl.schema.arrays import sound_dataset
from xmsgl.simulate.loops import HEAT_CAPACITY
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp

__all__ = ["place_sensors", "simulate"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LEAST, _TAIL, _MOST = 0.8, 2.0, 12.0  # change of temperature at the source, degC: Pareto, cut off
_COLDEST = 0.5  # degC; the water of the whole way is warmer, since the response is linear above freezing
_SEEN = 5.0  # a sensor sees an event whose change is so many times its noise
_SPIN_UP = 365  # days before the first event
_TRIES = 200
_MOST_EVENTS = 1_000_000


@checked
def simulate(
    obj: xr.Dataset | xr.DataTree,
    n: int = 1000,
    *,
    sensors: float = 0.05,
    days: int = 60,
    noise: float = 0.1,
    seed: int = 0,
) -> xr.Dataset:
    """Draw events of eight kinds on the reaches of a dataset and record what its sensors see.

    Warm and cold releases, each with a source reach, a first day, a duration and a heat, follow the process
    model of :func:`xmsgl.simulate.stream_temperature` downstream; a sensor in air is wrong alone. A sensor
    records its temperature minus that of the process model without the event, plus noise. The heat warms or
    cools its source by 0.8 to 12 degC, with a long tail. Events that change the temperature at no sensor by
    five times the noise are left out, and so are those during frost.

    Parameters
    ----------
    obj
        A dataset of the convention with ``air_temperature``, ``solar_radiation`` and ``precipitation``, and
        ``length_fine`` (m) and ``drainage_area_fine`` (km2); more than 365 days longer than `days`. Its
        observations are not used.
    n
        Number of events, 1 to 1,000,000.
    sensors
        Fraction of the reaches with a sensor, those at the outlets among them; above 0, at most 1.
    days
        Days of each record, at least 20. The event begins in its first half, but not on the first five days.
    noise
        Standard deviation of the daily noise of a sensor, degC; above 0.
    seed
        Seed of sensors, events and noise. Equal arguments give equal events.

    Returns
    -------
    xarray.Dataset
        ``residual`` (event, day, sensor), degC; ``source`` (event), a reach id; ``kind``; ``onset``, the
        position of the first day; ``duration`` in days; ``magnitude``, log10 of the mean heat in W without
        its sign, NaN for a sensor in air; ``first_day``, a date. Coordinate ``sensor``: reach ids.

    Raises
    ------
    InvalidArgumentError
        An argument is out of range.
    InvalidDatasetError
        The dataset lacks a variable, is too short, or has missing weather.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=6, years=2)
    >>> events = simulate(ds, n=5, sensors=0.2)
    >>> dict(events.residual.sizes)
    {'event': 5, 'day': 60, 'sensor': 8}
    """
    ds = sound_dataset(obj, sizes=True)
    _check(ds, n=n, sensors=sensors, days=days, noise=noise, seed=seed)
    river = HeatedRiver.of(ds)
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)]
    places = place_sensors(river.downstream, sensors, streams[0])
    rank = np.argsort(np.argsort(river.carried.flow.mean(axis=0)))
    drawn = [_draw(river, places, rank / rank.size, days, noise, streams[1]) for _ in range(n)]
    signal = np.stack([each.signal for each in drawn])
    residual = signal + streams[2].normal(0.0, noise, signal.shape)
    about = {"long_name": "observed minus undisturbed temperature", "units": "degC", "noise": noise}
    columns = {
        "source": river.ids[[each.source for each in drawn]],
        "first_day": river.days[[each.first for each in drawn]],
        **{
            name: [getattr(each, name) for each in drawn]
            for name in ("kind", "onset", "duration", "magnitude")
        },
    }
    made = xr.Dataset(
        {"residual": (("event", "day", "sensor"), residual.astype(np.float32), about)}
        | {name: ("event", np.asarray(values)) for name, values in columns.items()},
        coords={"sensor": ("sensor", river.ids[places], {"long_name": "id of the reach of the sensor"})},
        attrs={"seed": seed},
    )
    made["magnitude"].attrs = {"long_name": "log10 of the mean heat in W"}
    made["duration"].attrs = {"units": "d"}
    return stamp(made, f"simulate(n={n}, sensors={sensors}, days={days}, noise={noise}, seed={seed})")


class _Event(NamedTuple):
    """An event, in positions, and what the sensors would see without noise (day, sensor)."""

    kind: str
    source: int
    first: int
    onset: int
    duration: int
    magnitude: float
    signal: Floats


def place_sensors(downstream: Ints, fraction: float, rng: np.random.Generator) -> Ints:
    """Draw the positions of sensors, in ascending order; each outlet has one."""
    outlets = np.flatnonzero(downstream < 0)
    others = rng.permutation(np.flatnonzero(downstream >= 0))
    wanted = max(0, round(fraction * downstream.size) - outlets.size)
    return np.sort(np.concatenate([outlets, others[:wanted]]))


def _check(ds: xr.Dataset, *, n: int, sensors: float, days: int, noise: float, seed: int) -> None:
    if not 1 <= n <= _MOST_EVENTS or not 0 < sensors <= 1 or days < 20 or not noise > 0 or seed < 0:
        msg = (
            f"n={n}, sensors={sensors}, days={days}, noise={noise}, seed={seed}: n must be 1 to "
            f"{_MOST_EVENTS:,}, sensors above 0 and at most 1, days at least 20, noise above 0, "
            "seed at least 0"
        )
        raise InvalidArgumentError(msg)
    if ds.sizes["time"] < _SPIN_UP + days:
        msg = f"the dataset has {ds.sizes['time']} days, but events of {days} days need {_SPIN_UP + days}"
        raise InvalidArgumentError(msg)


def _draw(
    river: HeatedRiver, places: Ints, rank: Floats, days: int, noise: float, rng: np.random.Generator
) -> _Event:
    """Draw an event of a random kind until a sensor sees it."""
    kind = str(rng.choice(list(KINDS)))
    about = KINDS[kind]
    for _ in range(_TRIES):
        first = int(rng.integers(_SPIN_UP, river.days.size - days + 1))
        duration = int(rng.integers(about.shortest, about.longest + 1))
        onset = int(rng.integers(5, days // 2))
        shape = profile(kind, duration, days, onset)
        window = slice(first, first + days)
        signal = np.zeros((days, places.size))
        if about.sign == 0:
            number = int(rng.integers(places.size))
            source, magnitude = int(places[number]), float("nan")
            change = river.air[window, source] - river.temperature[window, source]
            signal[:, number] = change * (shape > 0)
        else:
            low, high = about.area
            source = int(rng.choice(np.flatnonzero((rank >= low) & (rank <= high))))
            mean = _mean_heat(river, source, window, shape, about.sign, rng)
            path = river.path(source)
            undisturbed = river.temperature[window][:, path]
            on_path, which = np.nonzero(path[:, None] == places)
            change = river.response(first, days, path, mean * shape[None])[0]
            if min(undisturbed.min(), (undisturbed + change).min()) < _COLDEST:
                continue
            signal[:, which] = change[:, on_path]
            magnitude = float(np.log10(abs(mean)))
        if np.abs(signal).max() >= _SEEN * noise:
            return _Event(kind, source, first, onset, duration, magnitude, signal)
    msg = (
        f"none of {_TRIES} events of the kind {kind!r} was seen by a sensor; give more sensors, or less noise"
    )
    raise InvalidArgumentError(msg)


def _mean_heat(
    river: HeatedRiver, source: int, window: slice, shape: Floats, sign: int, rng: np.random.Generator
) -> float:
    """Draw a mean heat in W."""
    change = min(_LEAST * (1.0 - rng.random()) ** (-1.0 / _TAIL), _MOST)
    return float(sign * change * HEAT_CAPACITY * river.carried.water[window, source][shape > 0].mean())
