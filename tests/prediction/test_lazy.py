"""The dask graph of a prediction: few tasks, with names that say what they do, and equal numbers."""

from __future__ import annotations

from collections import Counter

import dask
import numpy as np
import pytest

from tests.small import TWO_FEATURES
from xmsgl.training.train import train


@pytest.fixture(scope="module")
def model(river_once):
    return train(river_once.isel(time=slice(0, 200)), "msgl", validation=None, **TWO_FEATURES)


def kinds(graph):
    """Count the tasks of a graph by the first words of their keys."""
    names = [key[0] if isinstance(key, tuple) else key for key in graph]
    return Counter("-".join(name.split("-")[:2]) if name.startswith("xmsgl") else "other" for name in names)


@pytest.mark.parametrize("chunks", [{"time": 800}, {"time": 61}, {"time": 61, "coarse": 2, "fine": 5}])
@pytest.mark.parametrize("carry", [False, True])
def test_a_window_is_one_task(river, model, chunks, carry):
    lazy = river.chunk(chunks)
    found = lazy.msgl.downscale(model, carry=carry)
    windows = found.data.numblocks[0]
    blocks = sum(np.prod(each.data.numblocks) for each in lazy.variables.values() if each.chunks is not None)
    graph = found.__dask_graph__()
    counted = kinds(graph)
    assert counted["xmsgl-downscale"] == windows > 10
    assert counted["xmsgl-model"] == 1
    assert counted["xmsgl-state"] == (windows - 1 if carry else 0)
    assert len(graph) <= 2 * blocks + (5 if carry else 3) * windows
    np.testing.assert_array_equal(found.values, river.msgl.downscale(model, carry=carry).values)


def test_a_driver_in_memory_is_one_block(river, model):
    lazy = river.chunk(time=61).assign(air_temperature_coarse=river.air_temperature_coarse)
    found = lazy.msgl.downscale(model)
    assert kinds(found.__dask_graph__())["xmsgl-air_temperature_coarse"] == 1
    np.testing.assert_array_equal(found.values, river.msgl.downscale(model).values)


def test_only_the_days_asked_for_are_computed(river, model):
    found = river.chunk(time=61).msgl.downscale(model).isel(time=slice(300, 310))
    (asked,) = dask.optimize(found)
    assert kinds(asked.__dask_graph__())["xmsgl-downscale"] <= 2
