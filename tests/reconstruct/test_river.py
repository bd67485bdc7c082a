"""The river that reconstruction works on, where the drainage areas are not those of a tree."""

from __future__ import annotations

import numpy as np
import pytest

from xmsgl.models.file.covariance import ErrorCovariance, ErrorPart
from xmsgl.models.file.intervals import IntervalTable
from xmsgl.reconstruct.river import River

ALONG = ErrorPart(2.0, 60.0, 1.0, 0.0)
SPREAD = IntervalTable("fine", (0.05, 0.5, 0.95), (1.0,), (100,), ((-1.6, 0.0, 1.6),))


@pytest.fixture(scope="module")
def shrinking(river_once):
    """The small river with its drainage areas given to the wrong reaches."""
    area = river_once["drainage_area_fine"]
    return river_once.assign(drainage_area_fine=area.copy(data=np.random.default_rng(2).permutation(area)))


def smallest_eigenvalue(river):
    every = np.arange(len(river.area))
    along, _ = river.apart(every, every).correlations(ErrorCovariance(ALONG, ALONG, 0.0, 1e6, 1e6, SPREAD))
    np.testing.assert_allclose(along, along.T, atol=1e-6)
    return np.linalg.eigvalsh(along).min()


def test_correlations_along_the_river_are_those_of_some_errors(river_once, shrinking):
    as_given = River.of(shrinking)
    area = shrinking["drainage_area_fine"].to_numpy().astype(float)
    wrong = River(as_given.downstream, as_given.length, area, as_given.segment, None)
    assert smallest_eigenvalue(wrong) < -0.1
    assert smallest_eigenvalue(as_given) > -1e-5
    assert smallest_eigenvalue(River.of(river_once)) > -1e-5


def test_areas_of_segments_are_not_those_of_reaches(river_once):
    """The water at a reach in mid-segment is not that of the whole segment."""
    of_segments = River.of(river_once.drop_vars("drainage_area_fine"))
    neither = River.of(river_once.drop_vars(["drainage_area_fine", "drainage_area_coarse"]))
    np.testing.assert_array_equal(of_segments.area, neither.area)
    assert not np.array_equal(of_segments.area, River.of(river_once).area)
