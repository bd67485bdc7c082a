"""Records as they come in practice: filtered, late, noisy, with sensors lost or biased."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xmsgl.errors import InvalidArgumentError
from xmsgl.events.records import bands, residuals
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["between", "perturb"]

Floats = NDArray[np.float64]


@checked
def perturb(
    events: xr.Dataset,
    *,
    band: tuple[float, float] | None = None,
    shift: int = 0,
    lost: float = 0.0,
    noise: float = 0.0,
    bias: float = 0.0,
    seed: int = 0,
) -> xr.Dataset:
    """Disturb the residuals of events, to test how much an estimate of their source depends on them.

    Parameters
    ----------
    events
        As from :func:`simulate`.
    band
        Shortest and longest period (days) that remain, noted as ``shortest_period`` and ``longest_period``
        (event); variations of other periods are removed, the mean included.
    shift
        Days by which the records are late; before them nothing is seen.
    lost
        Fraction of the sensors that report no change at all, another draw for each event.
    noise
        Standard deviation of further noise, degC.
    bias
        Error of one sensor in each event, degC.
    seed
        Seed of what is drawn.

    Returns
    -------
    xarray.Dataset
        The events with other residuals. The truth is unchanged, except that ``onset`` is `shift` days later.

    Raises
    ------
    InvalidArgumentError
        An argument is out of range, or `band` leaves nothing of a record.
    InvalidDatasetError
        Residuals are missing or not in degC.

    Examples
    --------
    >>> import xmsgl
    >>> from xmsgl.events import simulate
    >>> ds = xmsgl.datasets.simulated(n_coarse=6, years=2)
    >>> late = perturb(simulate(ds, n=3, sensors=0.2), shift=2)
    >>> bool((late.residual.isel(day=slice(0, 2)) == 0).all())
    True
    """
    values = residuals(events)
    n, days, sensors = values.shape
    sizes = np.isfinite(noise) and np.isfinite(bias) and noise >= 0
    if not 0 <= shift < days or not 0 <= lost <= 1 or not sizes or seed < 0:
        msg = (
            f"shift={shift}, lost={lost}, noise={noise}, bias={bias}, seed={seed}: shift is 0 to {days - 1}, "
            "lost 0 to 1, noise and seed at least 0, noise and bias finite"
        )
        raise InvalidArgumentError(msg)
    if band is not None and not 2 <= band[0] < band[1]:
        msg = f"band={band} must be the shortest and the longest period in days, at least 2 and ascending"
        raise InvalidArgumentError(msg)
    rng = np.random.default_rng(seed)
    if band is not None:
        values = between(values, *band)
    if shift:
        values = np.concatenate([np.zeros_like(values[:, :shift]), values[:, :-shift]], axis=1)
    values = values + noise * rng.standard_normal(values.shape)
    values[np.arange(n), :, rng.integers(sensors, size=n)] += bias
    values[np.broadcast_to((rng.random((n, 1, sensors)) < lost), values.shape)] = 0.0
    about = events["residual"].attrs
    changed = events.assign(residual=(("event", "day", "sensor"), values.astype(np.float32), about))
    if band is not None:
        inner = _inner_bands(events, band, days)
        changed = changed.assign({name: ("event", ends, {"units": "d"}) for name, ends in inner.items()})
    if "onset" in events:
        changed["onset"] = events["onset"] + shift
    how = f"band={band}, shift={shift}, lost={lost}, noise={noise}, bias={bias}, seed={seed}"
    return stamp(changed, f"perturb({how})")


def _inner_bands(events: xr.Dataset, band: tuple[float, float], days: int) -> dict[str, Floats]:
    """Return the periods that are left of records that may have been filtered before."""
    known = np.array([each or band for each in bands(events)], dtype=np.float64)
    short, long = np.fmax(known[:, 0], band[0]), np.fmin(known[:, 1], band[1])
    periods = 1 / np.fft.rfftfreq(days)[1:]
    left = ((periods >= short[:, None]) & (periods <= long[:, None])).any(axis=1)
    if not left.all():
        k = int(np.argmin(left))
        msg = (
            f"band={band} leaves no variation of event {k}, which lasts {days} days and has periods of "
            f"{known[k, 0]:g} to {known[k, 1]:g} days; give a band that has some of them"
        )
        raise InvalidArgumentError(msg)
    return {"shortest_period": short, "longest_period": long}


def between(values: Floats, shortest: float, longest: float) -> Floats:
    """Keep variations of some periods by the discrete Fourier transform over the days, (..., day, sensor)."""
    days = values.shape[-2]
    frequency = np.fft.rfftfreq(days)
    kept = (frequency >= 1 / longest) & (frequency <= 1 / shortest)
    return np.fft.irfft(np.fft.rfft(values, axis=-2) * kept[:, None], n=days, axis=-2)
