from __future__ import annotations

import numpy as np
import pytest

geopandas = pytest.importorskip("geopandas")
shapely = pytest.importorskip("shapely")

from xmsgl.readers.geometry import EQUAL_AREA, encode_lines, midpoints  # noqa: E402


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
