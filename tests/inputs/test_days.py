"""Drivers on disk: the same bits as in memory, each block read once, and never more held than allowed."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl.inputs.days import BlockCache, StoredDrivers, driver_bytes, fetch
from xmsgl.inputs.features import TRANSFORMS, Feature, trailing_mean
from xmsgl.inputs.scales import ScaleInputs

DAYS, NODES = 700, 9
PLENTY = 10**9


@pytest.fixture
def values():
    return np.random.default_rng(0).gamma(0.3, 4.0, (DAYS, NODES)).astype(np.float32)


@pytest.fixture
def reads():
    return []


@pytest.fixture
def basin(values, reads):
    """A driver of nine segments whose chunks note when they are read."""

    def note(block, block_info=None):
        if block_info:
            reads.append(tuple(block_info[0]["chunk-location"]))
        return block

    lazy = da.from_array(values, chunks=(100, 4)).map_blocks(note, dtype=np.float32)
    ids = np.arange(NODES)
    return xr.Dataset(
        {
            "precipitation_coarse": (("time", "coarse"), lazy),
            "coarse_segment": ("fine", ids[::-1].copy()),
        },
        {"coarse": ids, "fine": ids, "time": pd.date_range("2001-01-01", periods=DAYS)},
    )


def feature(days=1, transform="log1p"):
    return Feature("precipitation", "mm d-1", dynamic=True, transform=transform, days=days)


def stored(ds, *features, limit=PLENTY):
    return StoredDrivers(ds, features, BlockCache(limit))


@pytest.mark.parametrize("limit", [1, 20_000, PLENTY], ids=["nothing-kept", "some", "all"])
@pytest.mark.parametrize("days", [1, 7, 90, 400])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_days_are_those_of_the_whole_record(basin, values, limit, days, dtype):
    basin = basin.assign(precipitation_coarse=basin["precipitation_coarse"].astype(dtype))
    one = feature(days)
    whole = trailing_mean(values.astype(dtype), days) if days > 1 else values.astype(dtype)
    expected = TRANSFORMS["log1p"](whole).astype(np.float32)
    series = stored(basin, one, limit=limit).days("precipitation_coarse", one)
    for first, stop in [(650, 700), (0, 5), (99, 101), (63, 340), (0, 700)]:
        np.testing.assert_array_equal(series.between(first, stop), expected[first:stop])
    windows = np.array([[0, 0, 0, 1, 2], [696, 697, 698, 699, 699]])
    some = np.array([1, 5, 8])
    np.testing.assert_array_equal(series.read(windows, some), expected[windows][..., some])


def test_some_nodes_of_a_record_are_the_same_days(basin, values):
    one, few = feature(30), np.array([2, 3, 7])
    drivers = stored(basin, one)
    series = drivers.days("precipitation_coarse", one)
    series.between(0, 300)  # so that some of the running totals are known
    (fewer,) = drivers.restrict({"coarse": few}).values()
    expected = np.log1p(trailing_mean(values, 30)).astype(np.float32)
    kept = type(series)(fewer, "log1p", 30)
    np.testing.assert_array_equal(kept.between(250, 700, few), expected[250:, few])
    np.testing.assert_array_equal(kept.between(10, 60, few[1:]), expected[10:60, few[1:]])


def test_a_chunk_is_read_once_where_everything_is_kept(basin, reads):
    both = feature(), feature(7)
    drivers = stored(basin, *both)
    for one in both:
        series = drivers.days("precipitation_coarse", one)
        for first in range(0, DAYS, 50):
            series.between(first, first + 50)
    assert sorted(reads) == [(k, j) for k in range(7) for j in range(3)]


def test_the_days_of_a_window_are_read_together(basin, reads):
    one, week = feature(), feature(7)
    drivers = stored(basin, one, week)
    series = [drivers.days("precipitation_coarse", each) for each in (one, week)]
    fetch(series, [(203, 350)])
    assert sorted(set(reads)) == [(k, j) for k in (1, 2, 3) for j in range(3)]  # the week before begins in 1
    reads.clear()
    series[0].between(203, 350)
    assert reads == []


def test_only_chunks_of_the_nodes_asked_for_are_read(basin, reads):
    one = feature()
    (few,) = stored(basin, one).restrict({"coarse": np.array([4, 6])}).values()
    few.between(0, 150)
    assert sorted(reads) == [(0, 1), (1, 1)]


def test_no_more_is_kept_than_allowed(basin):
    limit = 3 * 100 * NODES * 4
    cache, one = BlockCache(limit), feature()
    series = StoredDrivers(basin, [one], cache).days("precipitation_coarse", one)
    for first in (0, 300, 100, 500, 200, 0):
        series.between(first, first + 150)
        held = sum(block.nbytes for block in cache._held.values())
        assert cache.size == held <= limit
        assert all(block.base is None for block in cache._held.values())  # not a part of something larger
    assert cache.size > 0


def test_what_was_not_used_for_longest_goes_first():
    cache, block = BlockCache(100), np.zeros(5)  # 40 bytes
    cache.put("a", block)
    cache.put("b", block)
    assert cache.get("a") is block
    cache.put("c", block)
    assert [cache.get(name) is not None for name in "abc"] == [True, False, True]
    cache.put("large", np.zeros(20))
    assert cache.get("large") is None
    assert cache.size == 80


@pytest.mark.parametrize("scale", ["coarse", "fine"])
@pytest.mark.parametrize("limit", [1, PLENTY])
def test_inputs_and_their_scaling_are_those_in_memory(basin, scale, limit):
    features = feature(), feature(7), feature(90, "identity")
    loaded = basin.compute()
    whole = ScaleInputs(loaded, features, scale)
    lazy = ScaleInputs(basin, features, scale, loaded, stored=stored(basin, *features, limit=limit))
    chosen = np.random.default_rng(1).random(DAYS) < 0.7
    assert lazy.fit(chosen) == whole.fit(chosen)
    days = np.stack([np.arange(200), np.arange(500, 700)])
    np.testing.assert_array_equal(lazy.gather(days), whole.gather(days))


def test_the_size_in_memory_counts_each_feature_at_each_scale(basin):
    assert driver_bytes(basin, [feature(), feature(7)]) == 2 * 4 * DAYS * NODES
    both = basin.assign(precipitation_fine=basin["precipitation_coarse"].rename(coarse="fine"))
    assert driver_bytes(both, [feature()]) == 2 * 4 * DAYS * NODES
