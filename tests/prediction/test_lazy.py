"""The dask graph of a prediction: few tasks, with names that say what they do, and equal numbers."""

from __future__ import annotations

from collections import Counter

import dask
import dask.array as da
import numpy as np
import pytest
import torch
import xarray as xr
from dask.callbacks import Callback

from tests.small import PLAIN, TWO_FEATURES
from xmsgl.network.parts import closure
from xmsgl.prediction.operators import Operators, basin_groups
from xmsgl.training.train import train
from xmsgl.util.options import set_options


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
    statics = river.drop_dims("time").chunk()
    lazy = river.assign(slope_coarse=statics.slope_coarse)
    found = lazy.msgl.downscale(model)
    assert kinds(found.__dask_graph__())["xmsgl-read"] == 2  # the driver and the slope
    np.testing.assert_array_equal(found.values, river.msgl.downscale(model).values)


def test_only_the_days_asked_for_are_computed(river, model):
    found = river.chunk(time=61).msgl.downscale(model).isel(time=slice(300, 310))
    (asked,) = dask.optimize(found)
    assert kinds(asked.__dask_graph__())["xmsgl-downscale"] <= 2


class OnDisk:
    """An array that notes which blocks are read, as a file would be."""

    def __init__(self, name, values, notes):
        self.name, self.values, self.notes = name, values, notes
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    def __getitem__(self, where):
        self.notes.append((self.name, *(each.start for each in where)))
        return self.values[where]


def from_disk(ds, chunks, notes, kept=()):
    """Replace all numbers but some by dask arrays of files."""
    return ds.assign(
        {
            name: each.copy(
                data=da.from_array(
                    OnDisk(name, each.values, notes),
                    chunks=tuple(chunks[dim] for dim in each.dims),
                    meta=np.empty((0,) * each.ndim, each.dtype),
                )
            )
            for name, each in ds.data_vars.items()
            if name not in kept
        }
    )


def test_all_drivers_are_read_by_one_task_for_each_block(river, refuse_to_compute):
    """13 chunks a dimension of 12 reaches, 5 segments, 800 days; optimised by dask alone."""
    settings = {**TWO_FEATURES, "features": PLAIN, "window": 32}
    model = train(river.isel(time=slice(0, 200)), "msgl", validation=None, **settings)
    notes = []
    lazy = from_disk(river, {"time": 62, "coarse": 1, "fine": 1}, notes)
    with refuse_to_compute():
        found = lazy.msgl.downscale(model)
        (best,) = dask.optimize(found)
    drivers = {"air_temperature_coarse", "precipitation_coarse", "solar_radiation_coarse"}
    blocks, statics, windows = 13 * 5, 5 + 12, found.data.numblocks[0]
    files = len(lazy.data_vars)
    assert windows > 20
    graph = best.__dask_graph__()
    assert kinds(graph)["xmsgl-read"] == blocks + statics
    # A window is an alias and a task, each file a constant.
    assert len(graph) <= blocks + statics + 2 * windows + files + 2
    assert notes == []
    np.testing.assert_array_equal(found.values, river.msgl.downscale(model).values)
    assert len(notes) == len(set(notes))
    assert drivers <= {name for name, *_ in notes}
    assert len([name for name, *_ in notes if name in drivers]) == 3 * blocks


# ------------------------------------------------------------------- groups


TOPOLOGY = {f"{what}_{scale}" for what in ("downstream", "length") for scale in ("coarse", "fine")}
TOPOLOGY |= {"coarse_segment"}


def basins(river_of, count, days=200):
    """Rivers beside each other, each with weather of its own; their ids are a thousand apart."""
    parts = []
    for number in range(count):
        one = river_of(days, seed=number)
        for name in ("downstream_coarse", "downstream_fine", "coarse_segment"):
            one[name] = one[name].where(one[name] == 0, one[name] + 1000 * number)
        parts.append(one.assign_coords({s: one[s] + 1000 * number for s in ("coarse", "fine")}))
    return xr.merge(
        [
            xr.concat([p[[n for n in p.data_vars if scale in p[n].dims]] for p in parts], scale)
            for scale in ("coarse", "fine")
        ]
    )


def mixed(ds, seed=2):
    rng = np.random.default_rng(seed)
    return ds.isel({scale: rng.permutation(ds.sizes[scale]) for scale in ("coarse", "fine")})


def test_groups_are_whole_basins(river_of):
    ds = mixed(basins(river_of, 3, 5))
    groups = [group.kept for group in basin_groups(ds, {})]
    assert [group.fine.size for group in groups] == [12, 12, 12]
    built = Operators.build(ds, {"limit": np.inf}, (), torch.device("cpu"))
    for group in groups:
        assert len({*(ds.fine.values[group.fine] // 1000), *(ds.coarse.values[group.coarse] // 1000)}) == 1
        read = closure(*built._matrices(), coarse_nodes=group.coarse, fine_nodes=group.fine)
        np.testing.assert_array_equal(read.fine, group.fine)
        np.testing.assert_array_equal(read.coarse, group.coarse)
    for name in TOPOLOGY:
        assert len(basin_groups(ds.assign({name: ds[name].chunk()}), {})) == 1


@pytest.mark.parametrize(("count", "expected"), [(16, 16), (17, 9), (40, 8)])
def test_many_basins_share_groups(river_of, count, expected):
    """A group has at most an eighth of all reaches: 2 of 17 basins, 5 of 40."""
    groups = [group.kept for group in basin_groups(basins(river_of, count, 3), {})]
    assert len(groups) == expected
    assert sorted(np.concatenate([group.fine for group in groups])) == list(range(12 * count))


def test_a_group_has_a_largest_size(river_of):
    with set_options(largest_basin=13):
        assert len(basin_groups(basins(river_of, 20, 3), {})) == 20


def computed(array):
    """Return the values of an array and the numbers of the groups whose windows were computed."""
    names = []
    with (
        Callback(pretask=lambda key, *_: names.append(key)),
        dask.config.set({"optimization.fuse.active": False}),
    ):
        values = array.compute(scheduler="synchronous").values
    return values, Counter(n.split("-")[3] for n in names if str(n).startswith("xmsgl-downscale"))


@pytest.mark.parametrize("carry", [False, True])
def test_reaches_of_one_basin_need_that_basin_alone(river_of, model, carry):
    ds, notes = basins(river_of, 3), []
    lazy = from_disk(ds, {"time": 50, "coarse": 2, "fine": 7}, notes, kept=TOPOLOGY)
    found = lazy.msgl.downscale(model, carry=carry)
    windows = found.data.numblocks[0]
    assert found.chunks[1] == (12, 12, 12)
    expected = ds.msgl.downscale(model, carry=carry)
    values, tasks = computed(found.isel(fine=slice(14, 17)))
    np.testing.assert_allclose(values, expected.isel(fine=slice(14, 17)), atol=1e-5)
    assert tasks == {"1": windows}
    assert {at for name, _, *at in notes if name == "air_temperature_coarse" for at in at} == {4, 6, 8}
    notes.clear()
    values, tasks = computed(found)
    np.testing.assert_allclose(values, expected, atol=1e-5)
    assert tasks == {str(k): windows for k in range(3)}
    assert len(notes) == len(set(notes))


def test_basins_in_runs_are_chunks_of_their_own(river_of, model):
    """Two basins of 12 reaches, the second in the middle of the first."""
    ds = basins(river_of, 2)
    ds = ds.isel(fine=[*range(5), *range(12, 24), *range(5, 12)])
    lazy = ds.chunk(time=50).assign({name: ds[name] for name in TOPOLOGY})
    found = lazy.msgl.downscale(model)
    assert found.chunks[1] == (5, 12, 7)
    assert computed(found.isel(fine=slice(17, None)))[1].keys() == {"0"}
    np.testing.assert_allclose(found, ds.msgl.downscale(model), atol=1e-5)


@pytest.mark.parametrize("seed", range(50))
def test_every_chunking_of_mixed_basins_gives_the_same(river_of, model, seed):
    rng = np.random.default_rng(seed)
    ds = mixed(basins(river_of, 3), seed)
    statics = [name for name in ds.data_vars if "time" not in ds[name].dims]
    kept = {*TOPOLOGY, *rng.choice(statics, 4).tolist()}
    lazy = ds.chunk(
        {dim: int(rng.integers(1 if dim != "time" else 20, n + 1)) for dim, n in ds.sizes.items()}
    )
    lazy = lazy.assign({name: ds[name] for name in kept})
    whole = ds.chunk().msgl.downscale(model)
    found = lazy.msgl.downscale(model)
    assert kinds(found.__dask_graph__())["xmsgl-downscale"] == 3 * whole.data.numblocks[0]
    np.testing.assert_array_equal(found.fine, ds.fine)
    np.testing.assert_allclose(found, whole, atol=1e-5)
