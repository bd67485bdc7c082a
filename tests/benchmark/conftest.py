"""The small river as a source of the benchmark."""

from __future__ import annotations

import numpy as np
import pytest

from xmsgl.benchmark import sources
from xmsgl.benchmark.sources import SOURCES, Source, late_years, register_source
from xmsgl.util.options import set_options

pytest.importorskip("pyarrow")


@pytest.fixture(autouse=True)
def quiet():
    with set_options(progress=False):
        yield


@pytest.fixture
def rich(river):
    """The river with all that could give a label away (extremes, a process model, a truth), and a map."""
    daily = river["water_temperature_fine"]
    river["water_temperature_max_fine"] = (daily + 1.0).assign_attrs(daily.attrs)
    river["true_temperature_fine"] = daily.fillna(12.0).assign_attrs(daily.attrs)
    air = river["air_temperature_coarse"]
    river["simulated_temperature_coarse"] = np.maximum(0.8 * air + 3, 0).assign_attrs(
        units="degC", long_name="temperature of a process model"
    )
    river["lat_fine"] = "fine", np.linspace(40.5, 40.0, 12)
    river["lon_fine"] = "fine", np.linspace(-75.5, -75.0, 12)
    return river


@pytest.fixture
def offer():
    """Register a dataset as the source "tiny"; the last one given counts.

    Only a dataset that names its sub-segments has them drawn by the spatial protocol.
    """

    def give(ds):
        register_source("tiny", Source(lambda: ds, late_years, hold_out_by="subsegment_fine"))

    yield give
    SOURCES.pop("tiny", None)
    sources._open.cache_clear()


@pytest.fixture
def tiny(rich, offer):
    offer(rich)
    return rich
