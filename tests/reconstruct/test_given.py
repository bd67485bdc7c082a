"""The error given its neighbours, against dense linear algebra, networkx and plain Python."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.models.file.covariance import ErrorCovariance, ErrorPart
from xmsgl.models.file.intervals import IntervalTable
from xmsgl.reconstruct import _loops
from xmsgl.reconstruct.given import LIMIT, Asked, Errors, Places, error_given
from xmsgl.reconstruct.river import River

SPREAD = IntervalTable("fine", (0.05, 0.5, 0.95), (1.0,), (100,), ((-1.6, 0.0, 1.6),))
COVARIANCE = ErrorCovariance(
    ErrorPart(2.0, 60.0, 0.6, 0.1), ErrorPart(0.7, 2.5, 0.7, 0.2), 0.05, 30e3, 150e3, SPREAD
)
T = 40


def make_river(n, seed, *, coordinates):
    rng = np.random.default_rng(seed)
    down = np.array([-1, -1] + [int(rng.integers(max(0, i - 4), i)) for i in range(2, n)])
    length = rng.uniform(500, 9000, n)
    area = np.zeros(n)
    for i in reversed(range(n)):
        area[i] += rng.uniform(1, 20)
        if down[i] >= 0:
            area[down[i]] += area[i]
    place = rng.normal(size=(n, 3))
    place = place * 0.01 + [1, 0, 0]
    place /= np.linalg.norm(place, axis=1)[:, None]
    return River(down, length, area, np.arange(n) // 3, place if coordinates else None)


def plain_distances(river):
    """Distances along the river and flow connection of all pairs, by networkx; `inf` between basins."""
    n = len(river.length)
    graph = nx.Graph()
    graph.add_nodes_from((i, end) for i in range(n) for end in ("up", "middle", "down"))
    for i in range(n):
        graph.add_edge((i, "up"), (i, "middle"), metres=river.length[i] / 2)
        graph.add_edge((i, "middle"), (i, "down"), metres=river.length[i] / 2)
        if river.downstream[i] >= 0:
            graph.add_edge((i, "down"), (int(river.downstream[i]), "up"), metres=0.0)
    flow = nx.DiGraph((i, int(d)) for i, d in enumerate(river.downstream) if d >= 0)
    flow.add_nodes_from(range(n))
    metres, water = np.full((n, n), np.inf), np.eye(n)
    for i in range(n):
        found = nx.single_source_dijkstra_path_length(graph, (i, "middle"), weight="metres")
        for j in range(n):
            metres[i, j] = found.get((j, "middle"), np.inf)
        for j in nx.descendants(flow, i):
            water[i, j] = water[j, i] = np.sqrt(river.area[i] / river.area[j])
    return metres, water


def dense(river, errors, reach, day, covariance, until=T):
    """Mean and variance of a new observation at a reach and day, given all errors at once."""
    t, k = np.nonzero(np.isfinite(errors.values))
    t, k = t[t <= until], k[t <= until]
    metres, water = plain_distances(river)
    places = np.append(errors.reach[k], reach)
    days = np.append(t, day)
    d, w = metres[np.ix_(places, places)], water[np.ix_(places, places)]
    land = d
    if river.place is not None:
        chord = np.linalg.norm(river.place[places][:, None] - river.place[places], axis=2)
        land = 2 * 6_371_000 * np.arcsin(chord / 2)
    total = covariance.noise * np.eye(len(places))
    for part in (covariance.slow, covariance.fast):
        space = part.along_river * w * np.exp(-d / covariance.river) + part.across_land * np.exp(
            -land / covariance.land
        )
        space += (1 - part.along_river - part.across_land) * (places[:, None] == places)
        total += part.variance * space * np.exp(-np.abs(days[:, None] - days) / part.days)
    observed = errors.values[t, k].astype(float)
    weights = np.linalg.solve(total[:-1, :-1], total[:-1, -1])
    return weights @ observed, total[-1, -1] - weights @ total[:-1, -1]


def ask(reach, day, until=T, hidden=-1, gap=-1):
    reach, day = np.atleast_1d(reach), np.atleast_1d(day)
    return Asked(reach, day, *(np.full(day.size, value) for value in (until, hidden, gap)))


def find(river, errors, asked):
    return error_given(errors, asked, Places.of(river, np.unique(asked.reach), errors.reach), COVARIANCE)


@pytest.mark.parametrize("coordinates", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_dense_solution_where_all_errors_are_read(seed, coordinates):
    """Eight sensors have an error on the day, one before and one after, which are all read."""
    river = make_river(20, seed, coordinates=coordinates)
    rng = np.random.default_rng(seed)
    reaches = np.sort(rng.choice(20, 8, replace=False))
    values = np.full((T + 1, 8), np.nan, np.float32)
    day = 20
    values[[day - 2, day, day + 4]] = rng.normal(0, 2, (3, 8))
    errors = Errors(values, reaches)
    for reach in range(20):
        mean, deviation = find(river, errors, ask(reach, day))
        expected, variance = dense(river, errors, reach, day, COVARIANCE)
        assert mean[0] == pytest.approx(expected, abs=2e-4)
        assert deviation[0] ** 2 == pytest.approx(variance, rel=1e-4)


@pytest.mark.parametrize("mode", ["filter", "forecast", "smooth"])
def test_two_sensors_are_read_on_all_offsets(mode):
    river = make_river(9, 3, coordinates=True)
    rng = np.random.default_rng(0)
    reaches = np.array([2, 6])
    values = np.full((T * 2, 2), np.nan, np.float32)
    day = T
    until = {"filter": day, "forecast": day - 2, "smooth": 2 * T}[mode]
    for step in (0, 1, 3, 9, 27):
        values[min(day, until) - step] = rng.normal(0, 2, 2)
    for step in (0, 1, 3, 9):
        values[day + 5 + step] = rng.normal(0, 2, 2)
    errors = Errors(values, reaches)
    for reach in (2, 4, 8):
        mean, deviation = find(river, errors, ask(reach, day, until))
        expected, variance = dense(river, errors, reach, day, COVARIANCE, until)
        assert mean[0] == pytest.approx(expected, abs=2e-4)
        assert deviation[0] ** 2 == pytest.approx(variance, rel=1e-4)


def test_without_errors_the_prior_is_left():
    river = make_river(6, 0, coordinates=True)
    values = np.full((T, 2), np.nan, np.float32)
    values[0] = 3.0
    far = Errors(np.concatenate([values, np.full((LIMIT + 1, 2), np.nan, np.float32)]), np.array([1, 4]))
    mean, deviation = find(river, far, ask(3, T + LIMIT))
    assert mean[0] == 0
    assert deviation[0] ** 2 == pytest.approx(2.0 + 0.7 + 0.05, rel=1e-5)


def plain_days(seen, t, until, limit, gap, offsets):
    """Days read of a sensor, by lists."""
    found = []
    earlier = [d for d in seen if d <= min(t, until) and (gap < 0 or d < t - gap)]
    for offset in offsets if earlier else []:
        there = [d for d in earlier if d <= max(earlier) - offset]
        if not there or t - max(there) > limit:
            break
        found += [max(there)] if max(there) not in found else []
    later = [d for d in seen if d > t and (gap < 0 or d > t + gap)]
    for offset in offsets[:-1] if later else []:
        there = [d for d in later if d >= min(later) + offset]
        if not there or min(there) > until or min(there) - t > limit:
            break
        found += [min(there)] if min(there) not in found else []
    return found


@settings(deadline=None, max_examples=200)
@given(
    seen=st.lists(st.integers(0, 99), unique=True, max_size=60),
    t=st.integers(0, 99),
    ahead=st.integers(-10, 100),
    gap=st.integers(-1, 20),
    limit=st.integers(1, 60),
)
def test_days_read_of_a_sensor(seen, t, ahead, gap, limit):
    values = np.full((100, 1), np.nan, np.float32)
    values[seen] = 1.0
    until = min(99, max(0, t + ahead))
    last, following = _loops.nearest_days(values)
    place, day = np.zeros(_loops.MOST, np.int64), np.zeros(_loops.MOST, np.int64)
    hidden = 0 if gap >= 0 else -1
    n = _loops.collect(
        last,
        following,
        np.zeros(1, np.int64),
        t,
        until,
        limit,
        hidden,
        gap,
        np.zeros(1, np.int64),
        place,
        day,
    )
    assert day[:n].tolist() == plain_days(sorted(seen), t, until, limit, gap, _loops.OFFSETS.tolist())
    assert not place[:n].any()


def test_a_hidden_segment_is_not_read():
    river = make_river(12, 1, coordinates=True)
    reaches = np.array([0, 1, 2, 7])  # three of them on the first segment
    values = np.random.default_rng(0).normal(0, 2, (T, 4)).astype(np.float32)
    marked = values.copy()
    marked[:, :3] += 100
    found = [find(river, Errors(each, reaches), ask([1, 8], [10, 10], hidden=0)) for each in (values, marked)]
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("seed", range(3))
def test_distances_along_the_river(seed):
    river = make_river(25, seed, coordinates=False)
    metres, water = plain_distances(river)
    sources = np.array([0, 3, 11, 24])
    apart = river.apart(np.arange(25), sources)
    np.testing.assert_allclose(apart.river, metres[:, sources], rtol=1e-6)
    np.testing.assert_allclose(apart.water, water[:, sources], rtol=1e-6)


def test_days_in_a_row_are_as_days_alone():
    """A factor is kept from day to day where the same lags are read, and only there."""
    river = make_river(15, 4, coordinates=True)
    rng = np.random.default_rng(4)
    values = rng.normal(0, 2, (80, 5)).astype(np.float32)
    values[rng.random(80) < 0.1] = np.nan  # all sensors at once, so that most days are alike
    values[40, 1] = np.nan
    errors = Errors(values, np.array([1, 4, 6, 9, 13]))
    reach, day = np.repeat([0, 6], 80), np.tile(np.arange(80), 2)
    together = find(river, errors, ask(reach, day, 79))
    alone = [find(river, errors, ask(r, d, 79)) for r, d in zip(reach, day, strict=True)]
    np.testing.assert_array_equal(together, np.concatenate(alone, axis=1))
