from __future__ import annotations

import numpy as np
import pytest

from xmsgl.simulate.layout import cut_line, draw_layout, hex_wkb, midpoint, path_length


@pytest.fixture(scope="module")
def layout():
    return draw_layout(60, 6.0, np.random.default_rng(2))


def test_segments_meet_and_rarely_cross(layout) -> None:
    shapely = pytest.importorskip("shapely")
    lines = [shapely.LineString(line) for line in layout.lines]
    for i, j in enumerate(layout.downstream):
        if j >= 0:
            np.testing.assert_allclose(layout.lines[i][-1], layout.lines[j][0])
    crossings = sum(
        lines[i].crosses(lines[j]) and layout.downstream[i] != j and layout.downstream[j] != i
        for i in range(60)
        for j in range(i)
    )
    assert crossings <= 2


def test_cutting_keeps_the_line(layout) -> None:
    line = layout.lines[5]
    pieces = cut_line(line, 6, np.random.default_rng(0))
    assert len(pieces) == 6
    np.testing.assert_array_equal(pieces[0][0], line[0])
    np.testing.assert_allclose(pieces[-1][-1], line[-1])
    lengths = np.array([path_length(piece) for piece in pieces])
    assert 0.9 * path_length(line) < lengths.sum() <= path_length(line) + 1e-9
    assert lengths.min() > path_length(line) / 6 / 3.5


def test_midpoint_halves_the_way() -> None:
    np.testing.assert_allclose(midpoint(np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0]])), [3.0, 0.0])


def test_hex_wkb_is_read_by_shapely(layout) -> None:
    shapely = pytest.importorskip("shapely")
    line = layout.lines[3]
    read = shapely.from_wkb(hex_wkb(line))
    assert read.geom_type == "LineString"
    np.testing.assert_array_equal(np.array(read.coords), line)
    assert hex_wkb(line) == shapely.to_wkb(shapely.LineString(line), hex=True, byte_order=1)
