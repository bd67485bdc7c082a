"""Reaches that behave alike: against plain loops, every partition, and cycles that are known."""

from __future__ import annotations

from itertools import product

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.cluster.vq import vq
from scipy.spatial.distance import pdist, squareform

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.evaluate import analogues, regimes
from xmsgl.evaluate.alike import yearly_states

DAYS = pd.date_range("2001-01-01", "2002-12-31")
ANGLE = 2 * np.pi * DAYS.day_of_year.to_numpy() / 365.25
IDS = np.array([40, 10, 30, 20, 60, 50, 80, 70])


def labelled(values, **coords):
    names = ("time", "fine", "latent")[: values.ndim]
    return xr.DataArray(values, dims=names, coords={"time": DAYS, "fine": IDS[: values.shape[1]], **coords})


@pytest.fixture(scope="module")
def states():
    """States with a yearly cycle, noise, other units for each latent, and one latent that never changes."""
    rng = np.random.default_rng(5)
    mean, cosine, sine = (
        rng.normal(size=(3, 3, 4))[:, [0, 1, 2, 0, 1, 0, 0, 2]] + rng.normal(size=(3, 8, 4)) / 2
    )
    cycle = mean + cosine * np.cos(ANGLE)[:, None, None] + sine * np.sin(ANGLE)[:, None, None]
    values = (cycle + 0.3 * rng.normal(size=(len(DAYS), 8, 4))) * [1.0, 1e-3, 50.0, 0.0] + 7
    lat = ("fine", np.arange(8.0))
    return labelled(values.astype(np.float32), latent=range(4), lat_fine=lat)


def cycles_of(mean, amplitude, phase):
    """Daily temperature of reaches with cosine cycles, degC; `phase` is the day of the maximum."""
    angle = ANGLE[:, None] - 2 * np.pi * np.asarray(phase) / 365.25
    return labelled(np.asarray(mean) + np.asarray(amplitude) * np.cos(angle))


# --------------------------------------------------------------- analogues


def loop(states, reach):
    """The distance of every reach, with a loop over days, reaches and latents."""
    values = states.values.astype(np.float64)
    own = states.indexes["fine"].get_loc(reach)
    total = np.zeros(values.shape[1])
    moving = [k for k in range(values.shape[2]) if values[:, :, k].std() > 0]
    for day in values:
        for k in moving:
            for r in range(values.shape[1]):
                total[r] += ((day[r, k] - day[own, k]) / values[:, :, k].std()) ** 2
    return dict(zip(states.fine.values.tolist(), np.sqrt(total / len(values) / len(moving)), strict=True))


@pytest.mark.parametrize("reach", [40, 70])
def test_analogues_are_those_of_a_plain_loop(states, reach):
    found, expected = analogues(states, reach, n=7), loop(states.isel(time=slice(None)), reach)
    del expected[reach]
    order = sorted(expected, key=expected.__getitem__)
    assert found.fine.values.tolist() == order
    np.testing.assert_allclose(found, [expected[each] for each in order], rtol=1e-6)
    nearest = analogues(states, reach, n=2)
    xr.testing.assert_identical(nearest, found[:2])
    assert found.dims == ("fine",)
    assert set(found.coords) == {"fine", "lat_fine"}
    assert found.attrs["long_name"].endswith(f"reach {reach}")


def test_distances_are_those_of_scipy(states):
    scaled = states.isel(latent=[0, 1, 2]) / states.isel(latent=[0, 1, 2]).astype(float).std(("time", "fine"))
    rows = scaled.transpose("fine", "time", "latent").values.reshape(8, -1)
    expected = squareform(pdist(rows)) / np.sqrt(rows.shape[1])
    for k, reach in enumerate(IDS):
        others = np.delete(IDS, k)
        found = analogues(states, reach, n=7).sel(fine=others)
        np.testing.assert_allclose(found, np.delete(expected[k], k), rtol=1e-6)


def test_a_twin_is_the_nearest_at_distance_nought_and_strangers_are_at_the_root_of_two():
    values = np.random.default_rng(0).normal(size=(len(DAYS), 4, 6))
    values[:, 3] = values[:, 1]
    found = analogues(labelled(values), IDS[1], n=3)
    assert found.fine.values[0] == IDS[3]
    assert found.values[0] == 0
    np.testing.assert_allclose(found[1:], np.sqrt(2), rtol=0.05)


def test_spin_up_does_not_count(states):
    flags = np.zeros(len(DAYS), np.int8)
    flags[:100] = 1
    marked = states.assign_coords(spin_up=("time", flags))
    late = states.isel(time=slice(100, None))
    xr.testing.assert_equal(analogues(marked, 10, n=7), analogues(late, 10, n=7))
    xr.testing.assert_equal(yearly_states(marked), yearly_states(late))
    with pytest.raises(InvalidArgumentError, match="all days are marked as spin-up"):
        analogues(marked.isel(time=slice(0, 100)), 10)


def test_lazy_states_give_the_same_in_one_pass(states):
    passes = []

    def note(block):
        passes.append(block.shape)
        return block

    lazy = states.chunk(time=365, fine=3)
    lazy = lazy.copy(data=lazy.data.map_blocks(note, dtype="f4", meta=np.empty((0, 0, 0), "f4")))
    with dask.config.set(scheduler="synchronous"):
        np.testing.assert_allclose(analogues(lazy, 10, n=7), analogues(states, 10, n=7), rtol=1e-9)
        assert len(passes) == lazy.data.npartitions
        xr.testing.assert_equal(regimes(lazy, n=3), regimes(states, n=3))


# ----------------------------------------------------------------- regimes


def test_yearly_states_are_as_far_apart_as_the_fitted_cycles(states):
    """The distance is that of the cycles themselves over whole years, by numpy's least squares."""
    terms = np.column_stack([np.ones_like(ANGLE), np.cos(ANGLE), np.sin(ANGLE)])
    scaled = states.values[..., :3].astype(np.float64)
    scaled = scaled / scaled.std((0, 1))
    fit = np.linalg.lstsq(terms, scaled.reshape(len(DAYS), -1), rcond=None)[0]
    whole = 2 * np.pi * np.arange(1000) / 1000
    curves = np.column_stack([np.ones_like(whole), np.cos(whole), np.sin(whole)]) @ fit
    curves = curves.reshape(1000, 8, 3).transpose(1, 0, 2).reshape(8, -1)
    found = yearly_states(states)
    assert found.sizes == {"fine": 8, "yearly": 9}
    np.testing.assert_allclose(pdist(found), pdist(curves) / np.sqrt(3000), rtol=1e-5)


def best_partition(rows, n):
    """The partition with the smallest sum of squares, of all there are."""
    best, least = None, np.inf
    for labels in product(range(n), repeat=len(rows)):
        labels = np.array(labels)
        if len(set(labels.tolist())) < n:
            continue
        total = sum(((rows[labels == k] - rows[labels == k].mean(0)) ** 2).sum() for k in range(n))
        if total < least:
            best, least = labels, total
    return best


@pytest.mark.parametrize(("n", "seed"), [(2, 0), (3, 0), (3, 4)])
def test_regimes_are_the_best_of_all_partitions(states, n, seed):
    rows = yearly_states(states).values
    labels, found = best_partition(rows, n), regimes(states, n=n, seed=seed)
    together = labels[:, None] == labels[None, :]
    np.testing.assert_array_equal(found.values[:, None] == found.values[None, :], together)
    count = found.groupby(found).count().values
    assert sorted(count, reverse=True) == count.tolist(), "numbered by the number of reaches"
    centres = np.array([rows[found.values == k + 1].mean(0) for k in range(n)])
    np.testing.assert_array_equal(vq(rows, centres)[0] + 1, found)


def test_regimes_of_temperature_are_those_drawn_and_numbered_from_the_coldest():
    drawn = np.array([3, 1, 2, 2, 1, 3, 2, 1])
    mean, amplitude, phase = np.array([[6.0, 12.0, 12.5], [3.0, 2.0, 9.0], [230.0, 200.0, 200.0]])[
        :, drawn - 1
    ]
    temperature = cycles_of(mean + np.linspace(-0.2, 0.2, 8), amplitude, phase)
    found = regimes(temperature, n=3)
    np.testing.assert_array_equal(found, drawn)
    assert found.dtype == np.int64
    assert found.dims == ("fine",)
    np.testing.assert_array_equal(found.fine, IDS)
    assert found.name == "regime"
    mixed = temperature.isel(fine=[5, 2, 7, 0, 1, 3, 6, 4], time=np.random.default_rng(1).permutation(730))
    np.testing.assert_array_equal(regimes(mixed, n=3).sel(fine=IDS), drawn)


def test_the_time_of_the_summer_tells_regimes_apart():
    """One mean and amplitude, but the summers of some reaches come 40 days later."""
    late = np.array([0, 1, 1, 0, 1, 0, 0, 1])
    found = regimes(cycles_of(np.full(8, 10.0), np.full(8, 8.0), 200 + 40 * late), n=2)
    np.testing.assert_array_equal(found.values[:, None] == found.values, late[:, None] == late)


def test_regimes_of_states_are_numbered_by_temperature(states):
    temperature = cycles_of(np.arange(8.0), np.full(8, 5.0), np.full(8, 200))
    found = regimes(states, n=3, temperature=temperature.isel(fine=slice(None, None, -1)))
    means = temperature.mean("time").groupby(found).mean()
    assert means.regime.values.tolist() == [1, 2, 3]
    assert (np.diff(means) > 0).all()
    plain = regimes(states, n=3)
    np.testing.assert_array_equal(
        found.values[:, None] == found.values, plain.values[:, None] == plain.values
    )
    with pytest.raises(InvalidArgumentError, match=r"the temperature lacks the reaches 40"):
        regimes(states, n=3, temperature=temperature.isel(fine=slice(1, None)))


def test_gaps_do_not_matter_where_cycles_are_whole():
    drawn = np.array([1, 2, 1, 2, 2, 1, 1, 2])
    temperature = cycles_of(5.0 * drawn, 4.0 * drawn, np.full(8, 200))
    seen = np.random.default_rng(2).random(temperature.shape) < 0.6
    np.testing.assert_array_equal(regimes(temperature.where(seen), n=2), drawn)


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.isel(latent=0), r"it needs \('time', 'fine', 'latent'\)"),
        (lambda s: s.drop_vars("fine"), "with days along 'time' and ids along 'fine'"),
        (lambda s: s.isel(time=[]), "as ds.msgl.embed"),
        (lambda s: s * 0, "the same at all reaches and days"),
        (lambda s: s.where(s.latent != 1), "missing on all days, or not finite"),
    ],
    ids=["no-latent", "no-ids", "no-days", "all-equal", "missing"],
)
def test_states_that_cannot_be_compared_are_refused(states, change, message):
    with pytest.raises(InvalidArgumentError, match=message):
        analogues(change(states), 40, n=2)


@pytest.mark.parametrize("n", [0, 8])
def test_the_number_of_analogues(states, n):
    with pytest.raises(InvalidArgumentError, match=f"from 1 to the number of other reaches, 7; got {n}"):
        analogues(states, 40, n=n)


def test_a_reach_without_states(states):
    lost = states.where(states.fine != 10)
    with pytest.raises(InvalidArgumentError, match="states of reach 10 are missing on all days"):
        analogues(lost, 10, n=3)
    assert 10 not in analogues(lost, 40, n=6).fine
    with pytest.raises(InvalidArgumentError, match=r"n is 7, but 6 other reaches .* missing at 10"):
        analogues(lost, 40, n=7)


@pytest.mark.parametrize("form", [lambda t: t, lambda t: t.chunk(time=100)], ids=["eager", "lazy"])
def test_infinite_temperatures_have_no_regime(form):
    array = cycles_of([8.0] * 8, np.arange(8.0), 200.0)
    with pytest.raises(InvalidDatasetError, match="to inf degC, which water cannot have"):
        regimes(form(array.where(array.fine != 10, np.inf)), n=2)


def test_an_unknown_reach(states):
    with pytest.raises(InvalidArgumentError, match=r"there is no reach 41 .* its ids are 40, 10, 30"):
        analogues(states, 41)


def test_regimes_that_cannot_be_found_are_refused(states):
    temperature = cycles_of(np.arange(8.0), np.full(8, 5.0), np.full(8, 200))
    with pytest.raises(InvalidArgumentError, match="reaches that differ, 8; got 9"):
        regimes(temperature, n=9)
    with pytest.raises(InvalidArgumentError, match="reaches that differ, 1; got 2"):
        regimes(temperature * 0, n=2)
    with pytest.raises(InvalidArgumentError, match=r"8 of 8 reaches have fewer than 330 days"):
        regimes(temperature.isel(time=slice(0, 329)))
    with pytest.raises(InvalidArgumentError, match=r"1 of 8 reaches .* or none in a month: 40"):
        regimes(temperature.where((temperature.fine != 40) | (temperature.time.dt.month != 2)))
    with pytest.raises(InvalidArgumentError, match="the temperature is in 'K'"):
        regimes(temperature.assign_attrs(units="K"))
    with pytest.raises(InvalidArgumentError, match=r"it needs \('time', 'fine'\)"):
        regimes(temperature.mean("time"))
