"""One small river and its events for all tests of this folder."""

from __future__ import annotations

import pytest

import xmsgl
from xmsgl.events import simulate


@pytest.fixture(scope="session")
def basin():
    return xmsgl.datasets.simulated(n_coarse=6, reaches_per_segment=5, years=2, seed=4)


@pytest.fixture(scope="session")
def events(basin):
    return simulate(basin, n=48, sensors=0.3, seed=2)
