"""Which reaches behave alike: analogues of one reach, and groups with a thermal regime in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.evaluate.resample import check_confidence
from xmsgl.evaluate.thermal import annual_cycle, daily
from xmsgl.network.ids import other_kind
from xmsgl.schema.arrays import as_array
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

__all__ = ["analogues", "regimes", "yearly_states"]

_MIN_DAYS = 330  # for a yearly cycle
_STARTS = 20  # of k-means, of which the best is kept


@checked
def analogues(embedding: xr.DataArray | xr.Dataset, reach: Hashable, n: int = 10) -> xr.DataArray:
    """Find the reaches most alike to one reach, by their hidden states.

    Parameters
    ----------
    embedding
        Hidden states (time, fine, latent) from ``ds.msgl.embed``, may be lazy. Days that its coordinate
        ``spin_up`` marks do not count.
    reach
        Id of the reach.
    n
        Number of analogues.

    Returns
    -------
    xarray.DataArray
        ``distance`` (fine,) to the `n` nearest other reaches, the nearest first, without units and in memory,
        with their ids and other coordinates. 0: the same states on all days; two reaches whose states have
        nothing in common are about 1.4 apart.

    Raises
    ------
    InvalidArgumentError
        No dimensions (time, fine, latent), no such reach, `n` not between 1 and the number of other reaches,
        all days marked, or states that are missing or all equal.

    Notes
    -----
    Each latent is divided by its standard deviation over all reaches and days, so that all count equally; one
    that never changes does not count. The distance is the root of the mean square difference over days and
    latents. It includes the differences of the mean states and those of day-to-day changes.

    Examples
    --------
    >>> import numpy as np, pandas as pd, xarray as xr
    >>> days = pd.date_range("2001-01-01", periods=4)
    >>> one = xr.DataArray([0.0, 1.0, 0.0, 1.0], coords={"time": days})
    >>> states = xr.concat([one, one + 0.1, 1 - one], pd.Index([7, 8, 9], name="fine"))
    >>> analogues(states.expand_dims(latent=1), 7, n=1).fine.item()
    8
    """
    states = _states(embedding)
    ids = states.indexes["fine"]
    place = int(ids.get_indexer(pd.Index([reach]))[0])
    if place < 0:
        kind = other_kind([reach], ids)
        msg = f"there is no reach {reach!r} in the embedding; its ids are {shorten(ids, 3)}{kind}"
        raise InvalidArgumentError(msg)
    if not 1 <= n <= len(ids) - 1:
        msg = f"n must be from 1 to the number of other reaches, {len(ids) - 1}; got {n}"
        raise InvalidArgumentError(msg)
    deviation = states.std(("time", "fine"))
    squares = ((states - states.isel(fine=place, drop=True)) ** 2).mean("time")
    known, squares, deviation = _computed(states.notnull().any(("time", "latent")), squares, deviation)
    changes = _changing(deviation)
    if not known.values[place]:
        msg = (
            f"the hidden states of reach {reach!r} are missing on all days; embed again or give another reach"
        )
        raise InvalidArgumentError(msg)
    distance = (squares.isel(latent=changes) / deviation.isel(latent=changes) ** 2).mean("latent") ** 0.5
    others = np.flatnonzero(known.values & (np.arange(len(ids)) != place))
    if n > others.size:
        lost = shorten(ids[~known.values])
        msg = f"n is {n}, but {others.size} other reaches have hidden states; they are missing at {lost}"
        raise InvalidArgumentError(msg)
    nearest = others[np.argsort(distance.values[others], kind="stable")[:n]]
    found = _plain(distance.isel(fine=nearest)).rename("distance")
    found.attrs = {"units": "1", "long_name": f"distance of hidden states from those of reach {reach}"}
    return found


@checked
def regimes(
    behaviour: xr.DataArray | xr.Dataset,
    n: int = 4,
    *,
    temperature: xr.DataArray | xr.Dataset | None = None,
    seed: int = 0,
) -> xr.DataArray:
    """Group reaches with similar yearly cycles: k-means clusters of thermal regimes.

    Parameters
    ----------
    behaviour
        Daily temperature (time, fine), degC, or hidden states (time, fine, latent) from ``ds.msgl.embed``;
        may be lazy. Each reach needs a value on 330 days or more and in each month of the year; other values
        may be NaN. Days that the coordinate ``spin_up`` marks do not count.
    n
        Number of regimes.
    temperature
        Temperature (time, fine), degC, whose mean numbers the regimes of hidden states. Default: the numbers
        follow the number of reaches, the largest regime first.
    seed
        Seed of the starts of k-means, of which the best of 20 is kept.

    Returns
    -------
    xarray.DataArray
        ``regime`` (fine,), from 1, the coldest, to `n`, the warmest; in memory.

    Raises
    ------
    InvalidArgumentError
        Other dimensions or units, `n` not between 1 and the number of different reaches, reaches with too few
        days, or a `temperature` that lacks a reach.

    Notes
    -----
    A reach is described by its mean, and by the cosine and the sine of the year fitted by least squares, of
    its temperature or of each latent divided by its standard deviation. Cosine and sine are divided by the
    root of 2. The distance of two reaches in this space is the root of the mean square difference of their
    fitted yearly cycles, in degC for temperature [1]_. The clusters minimise the sum of the squared distances
    from their means [2]_, as far as the 20 starts find the minimum.

    References
    ----------
    .. [1] Maheu, Poff & St-Hilaire (2016), A classification of stream water temperature regimes in the
       conterminous USA, River Research and Applications 32, 896-906, doi:10.1002/rra.2906.
    .. [2] Arthur & Vassilvitskii (2007), k-means++: the advantages of careful seeding, SODA.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=4, years=2)
    >>> found = regimes(ds["true_temperature_fine"], n=2)
    >>> ds["true_temperature_fine"].mean("time").groupby(found).mean().diff("regime").item() > 0
    True
    """
    check_confidence(None, seed)
    array = as_array(behaviour, "behaviour")
    cycles = yearly_states(array) if "latent" in array.dims else _cycles(_temperature(array))
    different = len(np.unique(cycles.values, axis=0))
    if not 1 <= n <= different:
        msg = f"n must be from 1 to the number of reaches that differ, {different}; got {n}"
        raise InvalidArgumentError(msg)
    from sklearn.cluster import KMeans  # takes a second

    fit = KMeans(n, n_init=_STARTS, random_state=int(seed)).fit(cycles.values)
    labels: npt.NDArray[np.int64] = np.asarray(fit.labels_, np.int64)
    rank, order = _order(labels, cycles, array, temperature)
    found = _plain(cycles.isel(yearly=0)).copy(data=rank[labels] + 1).rename("regime")
    found.attrs = {"long_name": "thermal regime", "comment": order}
    return found


def yearly_states(embedding: xr.DataArray | xr.Dataset) -> xr.DataArray:
    """Describe each reach by the mean yearly cycle of its hidden states.

    Shapes: `embedding` (time, fine, latent), returns (fine, yearly), 3 values for each latent that changes:
    all means first. The squared distance of two reaches is the mean over the latents of the mean square
    difference of their fitted yearly cycles, each latent in units of its standard deviation.
    """
    states = _states(embedding)
    (deviation,) = _computed(states.std(("time", "fine")))
    changes = _changing(deviation)
    scaled = states.isel(latent=changes) / deviation.isel(latent=changes) / np.sqrt(changes.sum())
    return _cycles(scaled)


def _cycles(array: xr.DataArray) -> xr.DataArray:
    """Fit a harmonic to each reach, (fine, yearly), such that distances are root mean square differences."""
    fit, enough = _computed(*annual_cycle(array, _MIN_DAYS))
    few = ~enough.all([dim for dim in enough.dims if dim != "fine"]).values
    if few.any():
        msg = (
            f"{few.sum()} of {few.size} reaches have fewer than {_MIN_DAYS} days with a value, or none in a "
            f"month: {shorten(array.indexes['fine'][few], 3)}; leave them out with .sel(fine=...), or give a "
            "prediction for all days"
        )
        raise InvalidArgumentError(msg)
    scaled = (fit * xr.DataArray([1.0, *[np.sqrt(0.5)] * 2], dims="other")).transpose("fine", "other", ...)
    rows = scaled.values.reshape(scaled.sizes["fine"], -1)
    return _plain(xr.DataArray(rows, dims=("fine", "yearly"), coords=_plain(scaled).coords))


def _order(
    labels: npt.NDArray[np.int64],
    cycles: xr.DataArray,
    array: xr.DataArray,
    temperature: xr.DataArray | xr.Dataset | None,
) -> tuple[npt.NDArray[np.int64], str]:
    """Return the rank of each cluster, and by what they are ranked."""
    count = np.bincount(labels)
    if temperature is None and "latent" in array.dims:
        by, about = (
            -count.astype(np.float64),
            "from the regime with the most reaches, 1, to that with the fewest",
        )
    else:
        means = cycles.isel(yearly=0)
        if temperature is not None:
            means = _cycles(_temperature(as_array(temperature, "temperature"))).isel(yearly=0)
        if lost := cycles.indexes["fine"].difference(means.indexes["fine"]).tolist():
            cure = other_kind(lost, means.indexes["fine"]) or "; give it for all reaches to be grouped"
            msg = f"the temperature lacks the reaches {shorten(lost)}{cure}"
            raise InvalidArgumentError(msg)
        values = means.sel(fine=cycles["fine"]).values
        by, about = np.bincount(labels, values) / count, "from the coldest, 1, to the warmest"
    rank = np.empty(count.size, np.int64)
    rank[np.argsort(by, kind="stable")] = np.arange(count.size)
    return rank, about


def _states(embedding: xr.DataArray | xr.Dataset) -> xr.DataArray:
    return _days(as_array(embedding, "embedding"), ("time", "fine", "latent"))


def _temperature(array: xr.DataArray) -> xr.DataArray:
    return daily(_days(array, ("time", "fine")))


def _days(array: xr.DataArray, dims: tuple[str, ...]) -> xr.DataArray:
    """Return the days that count, in the order of `dims`; refuse other dimensions."""
    if set(array.dims) != set(dims) or not array.size or not {"time", "fine"} <= set(array.indexes):
        msg = (
            f"the array has the sizes {dict(array.sizes)}; it needs {dims}, with days along 'time' and ids "
            "along 'fine', as ds.msgl.embed(model) or ds.msgl.downscale(model) returns it"
        )
        raise InvalidArgumentError(msg)
    if "spin_up" in array.coords and array["spin_up"].dims == ("time",):
        array = array.isel(time=np.flatnonzero(array["spin_up"].values != 1))
        if not array.sizes["time"]:
            msg = "all days are marked as spin-up; give a longer record"
            raise InvalidArgumentError(msg)
    return array.transpose(*dims).astype(np.float64)


def _changing(deviation: xr.DataArray) -> npt.NDArray[np.bool_]:
    """Return which latents change; refuse missing values."""
    if not np.isfinite(deviation.values).all():
        msg = "the hidden states are missing on all days, or not finite; embed again"
        raise InvalidArgumentError(msg)
    changes: npt.NDArray[np.bool_] = deviation.values > 0
    if not changes.any():
        msg = "the hidden states are the same at all reaches and days, so that nothing tells reaches apart"
        raise InvalidArgumentError(msg)
    return changes


def _computed(*arrays: xr.DataArray) -> tuple[xr.DataArray, ...]:
    """Compute several arrays at once."""
    names = [str(k) for k in range(len(arrays))]
    done: Any = xr.Dataset(dict(zip(names, arrays, strict=True))).compute()
    return tuple(done[name] for name in names)


def _plain(array: xr.DataArray) -> xr.DataArray:
    """Keep the coordinates of the reaches alone."""
    kept = [name for name, coord in array.coords.items() if coord.dims == ("fine",)]
    return array.drop_vars([name for name in array.coords if name not in kept])
