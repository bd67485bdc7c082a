"""River lines: text forms and midpoints, and pairs of lines that meet, compared with a loop."""

from __future__ import annotations

import re

import numpy as np
import pytest

geopandas = pytest.importorskip("geopandas")
shapely = pytest.importorskip("shapely")

from xmsgl.readers.geometry import (  # noqa: E402
    EQUAL_AREA,
    continuations,
    doubtful_outlets,
    encode_lines,
    midpoints,
)


@pytest.fixture
def lines():
    angle = np.linspace(0.0, np.pi, 400)
    half_circle = np.column_stack([1.7e6 + 5e3 * np.cos(angle), 2.2e6 + 5e3 * np.sin(angle)])
    tiny = [(1.7e6, 2.2e6, 3.0), (1.7e6 + 0.2, 2.2e6, 4.0)]
    return geopandas.GeoSeries([shapely.LineString(half_circle), shapely.LineString(tiny)], crs=EQUAL_AREA)


def test_encoded_lines_stay_within_the_tolerance(lines):
    texts = encode_lines(lines)
    assert all(text == text.upper() for text in texts)
    decoded = geopandas.GeoSeries(shapely.from_wkb(texts), crs="EPSG:4326").to_crs(EQUAL_AREA)
    assert (decoded.geom_type == "LineString").all()
    assert not decoded.has_z.any()
    assert shapely.hausdorff_distance(decoded.iloc[0], lines.iloc[0]) < 52.0
    assert len(decoded.iloc[0].coords) < 40


def test_midpoint_lies_half_way_along(lines):
    lat, lon = midpoints(lines)
    top = geopandas.GeoSeries.from_xy([1.7e6], [2.205e6], crs=EQUAL_AREA).to_crs("EPSG:4326").iloc[0]
    assert (lon[0], lat[0]) == pytest.approx((top.x, top.y), abs=1e-5)


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
    ("outlets", "options", "words"),
    [
        pytest.param([1, 1, 1, 1], {}, "1 reaches have no to and .*: 7 -> 8, 7 -> 9; give", id="two"),
        pytest.param([1, 0, 0, 0], {"minor": [0, 0, 1, 0]}, ": 7 -> 8; give", id="minor"),
        pytest.param([1, 0, 0, 0], {"area": [2.0, 1.0, np.nan, 1.0]}, ": 7 -> 9; give", id="area"),
        pytest.param([0, 1, 1, 1], {}, "^$", id="none"),
        pytest.param([1, 1, 1, 1], {"area": [2.0, 1.0, 1.0, 1.0]}, "^$", id="less water"),
    ],
)
def test_doubtful_outlets(outlets, options, words):
    lines = geopandas.GeoSeries([shapely.LineString(line) for line in LINES], index=[7, 8, 9, 10])
    given = {"minor": bool, "area": float}
    options = {name: np.array(value, given[name]) for name, value in options.items()}
    text = doubtful_outlets(lines, np.array(outlets, bool), "to", **options)
    assert re.search(words, text)
