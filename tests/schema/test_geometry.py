"""Places half-way along lines, against geodesics on the ellipsoid."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from xmsgl.schema.geometry import half_way, pieces

shapely = pytest.importorskip("shapely")


def drawn(rng, north):
    """A line of 1 to 8 steps, up to 3 km each way."""
    steps = rng.normal(0, 0.01, (int(rng.integers(1, 9)), 2))
    return np.array([-75.0, north]) + np.vstack([np.zeros(2), steps.cumsum(axis=0)])


def walked(geod, paths):
    """Go half of the way on the ellipsoid, step by step."""
    steps = [(a, b) for path in paths for a, b in pairwise(path)]
    lengths = [geod.inv(*a, *b)[2] for a, b in steps]
    left = sum(lengths) / 2
    for (a, b), length in zip(steps, lengths, strict=True):
        if left <= length:
            return geod.fwd(*a, geod.inv(*a, *b)[0], left)[:2], sum(lengths)
        left -= length
    raise AssertionError


def test_half_way_on_the_ground():
    geod = pytest.importorskip("pyproj").Geod(ellps="WGS84")
    rng = np.random.default_rng(0)
    n = 200
    line = rng.permutation(np.r_[np.arange(n), rng.integers(0, n, 80)])  # some are in several pieces
    paths = [drawn(rng, rng.uniform(-65, 65)) for _ in line]
    found = half_way(paths, line, n + 1)
    assert np.isnan(found[n]).all()
    for k in range(n):
        place, length = walked(geod, [paths[i] for i in np.flatnonzero(line == k)])
        assert geod.inv(*place, *found[k])[2] < 0.004 * length


def test_dots_stay_and_lost_places_stay_alone():
    paths = [[[1.0, 2.0]], [[1.0, 2.0], [1.0, 2.0]], [[0.0, 0.0], [np.nan, 1.0]], [[3.0, 1.0], [3.0, 2.0]]]
    found = half_way([np.array(path) for path in paths], np.array([0, 1, 2, 3]), 4)
    np.testing.assert_allclose(found[[0, 1, 3]], [[1, 2], [1, 2], [3, 1.5]])


def test_nothing_has_no_middle():
    assert np.isnan(half_way([], np.array([], dtype=np.int64), 2)).all()


def test_pieces_stay_as_they_are_stored():
    line_in_two = "MULTILINESTRING ((1 0, 2 0), (0 0, 1 0))"
    given = shapely.from_wkt([line_in_two, "POINT (5 6)", "LINESTRING EMPTY", "LINESTRING (3 3, 4 4)"])
    paths, line = pieces(np.array([None, *given], dtype=object))
    assert line.tolist() == [1, 1, 2, 4]
    expected = [[[1, 0], [2, 0]], [[0, 0], [1, 0]], [[5, 6]], [[3, 3], [4, 4]]]
    assert [path.tolist() for path in paths] == expected


def test_pieces_of_nothing():
    paths, line = pieces(np.array([None, None], dtype=object))
    assert (paths, line.tolist()) == ([], [])
