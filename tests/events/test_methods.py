"""Estimates of the source: the likelihood against all sources tried by least squares, and scores."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, UnknownNameError
from xmsgl.events import locate, perturb, score, simulate
from xmsgl.events.kinds import KINDS, profile
from xmsgl.events.river import HeatedRiver


@pytest.fixture(scope="module")
def clear(basin):
    """Events with hardly any noise."""
    return simulate(basin, n=12, sensors=0.3, noise=0.01, seed=5)


def explained(river, places, residual, first, source, shape, sign) -> float:
    """Sum of squares that the best heat of one source, kind and day explains, by numpy's least squares."""
    path = river.path(source)
    column = np.zeros_like(residual)
    response = river.response(first, len(residual), path, shape[None])[0]
    for k, place in enumerate(places):
        if place in path:
            column[:, k] = response[:, path.tolist().index(place)]
    (heat,), *_ = np.linalg.lstsq(column.reshape(-1, 1), residual.ravel(), rcond=None)
    return (residual**2).sum() - ((residual - heat * column) ** 2).sum() if heat * sign > 0 else -np.inf


def test_the_likelihood_search_finds_the_best_of_all(basin, clear) -> None:
    river = HeatedRiver.of(basin)
    places = basin.indexes["fine"].get_indexer(clear.sensor)
    found = locate(clear, basin, "likelihood")
    heated = np.flatnonzero(np.isfinite(found.magnitude.values))[:3]
    for k in heated:
        event = clear.isel(event=k)
        residual = event.residual.values.astype(float)
        first = basin.indexes["time"].get_loc(event.first_day.values)
        kind = str(found.kind.values[k])
        every = [
            (explained(river, places, residual, first, source, profile(kind, d, 60, onset), KINDS[kind].sign))
            for source in range(basin.sizes["fine"])
            for onset in (found.onset.values[k],)
            for d in range(KINDS[kind].shortest, KINDS[kind].longest + 1)
        ]
        mine = [
            explained(river, places, residual, first, source, profile(kind, d, 60, onset), KINDS[kind].sign)
            for source in [basin.indexes["fine"].get_loc(found.source.values[k])]
            for onset in (found.onset.values[k],)
            for d in range(KINDS[kind].shortest, KINDS[kind].longest + 1)
        ]
        assert max(mine) == pytest.approx(max(every), rel=1e-9)


def test_without_noise_the_search_is_right_and_the_rules_are_not(basin, clear) -> None:
    scores = {
        name: score(locate(clear, basin, name), clear, basin)
        for name in ("likelihood", "largest", "travel-time")
    }
    best = scores["likelihood"]
    assert float(best.distance) < 0.3 * float(best.spacing)
    assert float(best.magnitude_rmse) < 0.1
    assert float(best.onset_error) == 0
    for rule in ("largest", "travel-time"):
        assert float(scores[rule].magnitude_rmse) > 2 * float(best.magnitude_rmse)


def test_scores_are_those_of_networkx(basin, events) -> None:
    found = locate(events, basin, "largest")
    got = score(found, events, basin)
    graph = nx.Graph()
    length = dict(zip(basin.fine.values, basin.length_fine.values, strict=True))
    for reach, below in zip(basin.fine.values, basin.downstream_fine.values, strict=True):
        if below:
            graph.add_edge(reach, below, metres=length[reach])  # between upstream ends
    end = dict(zip(basin.fine.values, basin.downstream_fine.values, strict=True))
    (outlet,) = [reach for reach, below in end.items() if not below]
    graph.add_edge(outlet, "sea", metres=length[outlet])

    def apart(a: int, b: int) -> float:
        return nx.shortest_path_length(graph, end[a] or "sea", end[b] or "sea", weight="metres")

    distances = [apart(a, b) for a, b in zip(events.source.values, found.source.values, strict=True)]
    assert float(got.distance) == pytest.approx(np.median(distances))
    errors = (found.magnitude - events.magnitude).dropna("event")
    assert float(got.magnitude_rmse) == pytest.approx(float(np.sqrt((errors**2).mean())))
    assert int(got.magnitude_n) == errors.size < int(got.n) == 48


def test_estimates_with_labels_are_scored_by_them(basin, events) -> None:
    labelled = events.assign_coords(event=np.arange(48) + 100)
    found = locate(events, basin, "largest").assign_coords(event=labelled.event)
    shuffled = found.isel(event=np.random.default_rng(0).permutation(48))
    xr.testing.assert_identical(score(shuffled, labelled, basin), score(found, labelled, basin))
    other = found.assign_coords(event=np.arange(48) + 101)
    with pytest.raises(
        InvalidArgumentError, match="not of the same events, each once, but differ in 100, 148"
    ):
        score(other, labelled, basin)


@pytest.mark.parametrize("method", ["largest", "travel-time"])
def test_the_rules_do_not_depend_on_the_order_of_reaches(basin, events, method) -> None:
    order = np.random.default_rng(1).permutation(basin.sizes["fine"])
    one, other = (locate(events, ds, method) for ds in (basin, basin.isel(fine=order)))
    np.testing.assert_array_equal(one.source, other.source)
    np.testing.assert_allclose(one.magnitude, other.magnitude, rtol=1e-9)


def test_a_rule_needs_the_noise(basin, events) -> None:
    with pytest.raises(InvalidDatasetError, match=r"'noise' of residual is None.*attrs\[\"noise\"\] = 0.1"):
        locate(events.assign(residual=events.residual.drop_attrs()), basin, "travel-time")


def test_what_is_not_of_this_river_is_named(basin, events) -> None:
    with pytest.raises(UnknownNameError, match="likelihood"):
        locate(events, basin, "likelyhood")
    with pytest.raises(InvalidArgumentError, match="days of the events"):
        locate(events, basin.isel(time=slice(0, 400)))
    with pytest.raises(InvalidArgumentError, match="not in this dataset"):
        locate(events.assign_coords(sensor=events.sensor + 500_000), basin)
    found = locate(events, basin, "largest")
    with pytest.raises(InvalidArgumentError, match="47 estimates for 48 events"):
        score(found.isel(event=slice(1, None)), events, basin)
    with pytest.raises(InvalidArgumentError, match="not in this dataset"):
        score(found.assign(source=found.source + 500_000), events, basin)
    with pytest.raises(InvalidDatasetError, match="residual"):
        locate(events.drop_vars("residual"), basin)
    with pytest.raises(InvalidDatasetError, match="missing values"):
        locate(events.assign(residual=events.residual.where(events.day > 3)), basin)


def test_records_filtered_to_several_bands_are_each_searched_with_their_own(basin, clear) -> None:
    some = clear.isel(event=slice(0, 4))
    kinds = [some, perturb(some, band=(3, 10)), perturb(some, band=(10, 30))]
    together = locate(xr.concat(kinds, "event"), basin, "likelihood")
    xr.testing.assert_equal(together, xr.concat([locate(each, basin) for each in kinds], "event"))
    with pytest.raises(InvalidDatasetError, match="longest_period"):
        locate(kinds[1].drop_vars("longest_period"), basin)


def test_a_search_that_knows_of_a_filter_finds_the_best_of_all(basin, clear) -> None:
    """Every first day of the event found, filtered here by a matrix of sines and cosines."""
    late = perturb(clear, band=(3, 10))
    assert (late.shortest_period == 3).all()
    assert (late.longest_period == 10).all()
    wave = np.fft.fft(np.eye(60), axis=0)
    keep = np.abs(np.fft.fftfreq(60))
    keep = (wave.conj().T @ (((keep >= 1 / 10) & (keep <= 1 / 3))[:, None] * wave)).real / 60
    river, places = HeatedRiver.of(basin), basin.indexes["fine"].get_indexer(clear.sensor)
    found = locate(late, basin, "likelihood")
    k = int(np.flatnonzero(np.isfinite(found.magnitude.values))[0])
    residual, kind = late.residual.values[k].astype(float), str(found.kind.values[k])
    first = basin.indexes["time"].get_loc(late.first_day.values[k])
    source = basin.indexes["fine"].get_loc(found.source.values[k])
    path = river.path(source)
    gains = {}
    for onset in range(5, 30):
        for days in range(KINDS[kind].shortest, KINDS[kind].longest + 1):
            column = np.zeros_like(residual)
            response = river.response(first, 60, path, profile(kind, days, 60, onset)[None])[0]
            for j, place in enumerate(places):
                if place in path:
                    column[:, j] = keep @ response[:, path.tolist().index(place)]
            (heat,), *_ = np.linalg.lstsq(column.reshape(-1, 1), residual.ravel(), rcond=None)
            left = ((residual - heat * column) ** 2).sum()
            if heat * KINDS[kind].sign > 0:
                gains[left] = (onset, np.log10(abs(heat)))
    onset, magnitude = gains[min(gains)]
    assert int(found.onset[k]) == onset
    assert float(found.magnitude[k]) == pytest.approx(magnitude, rel=1e-6)


def test_the_search_leaves_lost_sensors_out(basin, clear) -> None:
    lost = clear.copy(deep=True)
    lost.residual[:, :, [1, 3]] = 0.0
    others = np.setdiff1d(np.arange(clear.sizes["sensor"]), [1, 3])
    for one, other in zip(
        locate(lost, basin).values(), locate(clear.isel(sensor=others), basin).values(), strict=True
    ):
        assert one.equals(other)
