"""Reaches with a sensor, against the outlets that the reconstruction uses and a walk down the river."""

from __future__ import annotations

import numpy as np
import pytest

import xmsgl
from xmsgl.plot.sensors import segment_places, sensor_reaches
from xmsgl.reconstruct.river import River


@pytest.mark.parametrize("seed", range(3))
def test_a_segment_without_an_observed_reach_is_at_its_outlet(seed):
    ds = xmsgl.datasets.simulated(n_coarse=8, reaches_per_segment=4, years=1, seed=seed)
    rng = np.random.default_rng(seed)
    own, segments = rng.random(32) < 0.1, rng.random(8) < 0.6
    segment = segment_places(ds)
    outlets = River.of(ds).outlets
    alone = [k for k in np.flatnonzero(segments) if not own[segment == k].any()]
    assert alone
    wanted = sorted([*np.flatnonzero(own), *outlets[alone]])
    assert sensor_reaches(ds, own, segments[segment]).tolist() == wanted


def test_without_segments_or_topology_the_observed_reaches_remain(river):
    own = np.arange(12) == 4
    everywhere = np.ones(12, bool)
    for bare in (river.drop_vars("downstream_fine"), river.drop_vars("coarse_segment")):
        assert sensor_reaches(bare, own, everywhere).tolist() == [4]
    unknown = river.assign(coarse_segment=river.coarse_segment.where(river.coarse_segment != 105, 0))
    # Reaches 2, 4, 7 and 9 flow out of segments 101 to 104; 5 is the observed one of 103.
    assert (river.fine.values[sensor_reaches(unknown, own, everywhere)]).tolist() == [2, 4, 5, 9]
