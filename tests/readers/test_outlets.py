"""Lines that go on where others end, held against a loop over end points."""

from __future__ import annotations

import re

import numpy as np
import pytest

from xmsgl.readers.outlets import continuations, doubtful_outlets

geopandas = pytest.importorskip("geopandas")
shapely = pytest.importorskip("shapely")


def test_pairs_against_a_loop():
    rng = np.random.default_rng(0)
    lines = [shapely.LineString(np.add(rng.integers(0, 4, (2, 2)), [[0, 0], [0.0, 0.5]])) for _ in range(40)]
    lines += [shapely.reverse(line) for line in lines]
    lines.append(shapely.MultiLineString([lines[0], lines[1]]))
    expected = {
        (i, j)
        for i, one in enumerate(lines[:-1])
        for j, other in enumerate(lines[:-1])
        if i != j and one.coords[-1] == other.coords[0]
    }
    end, begin = continuations(geopandas.GeoSeries(lines))
    assert expected
    assert sorted(zip(end.tolist(), begin.tolist(), strict=True)) == sorted(expected)


LINES = [[(0, 0), (1, 0)], [(1, 0), (2, 0)], [(1, 0), (1, 5)], [(9, 9), (8, 8)]]


@pytest.mark.parametrize(
    ("outlets", "options", "told"),
    [
        pytest.param([1, 1, 1, 1], {}, "1 reaches have no to and .*: 7 -> 8, 7 -> 9; give", id="two"),
        pytest.param([1, 0, 0, 0], {"minor": [0, 0, 1, 0]}, ": 7 -> 8; give", id="minor"),
        pytest.param([1, 0, 0, 0], {"area": [2.0, 1.0, np.nan, 1.0]}, ": 7 -> 9; give", id="area"),
        pytest.param([0, 1, 1, 1], {}, "^$", id="none"),
        pytest.param([1, 1, 1, 1], {"area": [2.0, 1.0, 1.0, 1.0]}, "^$", id="less water"),
    ],
)
def test_doubts(outlets, options, told):
    lines = geopandas.GeoSeries([shapely.LineString(line) for line in LINES], index=[7, 8, 9, 10])
    given = {"minor": bool, "area": float}
    options = {name: np.array(value, given[name]) for name, value in options.items()}
    text = doubtful_outlets(lines, np.array(outlets, bool), "to", **options)
    assert re.search(told, text)
