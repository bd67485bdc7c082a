"""Training with drivers on disk: the same model as in memory, and no more memory than allowed."""

from __future__ import annotations

import logging
import subprocess
import sys
import tracemalloc
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import xmsgl
from tests.small import QUICK, same
from xmsgl.inputs.batches import TrainingData
from xmsgl.inputs.choose import choose_features
from xmsgl.inputs.days import BlockCache
from xmsgl.inputs.validation import split_labels
from xmsgl.training.settings import TrainSettings
from xmsgl.training.stacking import prepare_all
from xmsgl.training.start import Start

LIMIT = 20_000  # bytes, about a third of the drivers below
SETTINGS = {**QUICK, "window": 100, "epochs": 3, "validation": 0.3, "seed": 3}


@pytest.fixture(scope="module")
def own_drivers(river_once):
    """The river with weather of its reaches' own, of which three have observations."""
    rng = np.random.default_rng(0)
    rain = rng.gamma(0.2, 3.0, (river_once.sizes["time"], river_once.sizes["fine"])).astype(np.float32)
    labels = river_once["water_temperature_fine"]
    return river_once.assign(
        precipitation_fine=(("time", "fine"), rain, {"units": "mm d-1"}),
        water_temperature_fine=labels.where(labels["fine"].isin([1, 2, 3])),
    )


@pytest.fixture(scope="module")
def on_disk(own_drivers, tmp_path_factory):
    path = tmp_path_factory.mktemp("larger") / "river.zarr"
    own_drivers.chunk(time=110, fine=5).to_zarr(path, consolidated=False)
    return xr.open_zarr(path, consolidated=False)


def trained(ds, method, **settings):
    with xmsgl.set_options(training_memory=LIMIT):
        return ds.msgl.train(method, **{**SETTINGS, **settings})


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("msgl", {}),
        ("msgl", {"batch": 3, "scaling": "own", "anchored": False, "features": ["default", "season"]}),
        ("msgl", {"validation": "segments", "patience": 1, "refit": True}),
        ("fine-only", {"features": ["weather_memory", "statics"], "epochs": 5, "patience": 1}),
        ("fine-only", {"ensemble": 2, "hops": 1}),
        ("async-msgl", {"features": ["default", "neighbour_anomalies:10km"]}),
    ],
    ids=["msgl", "own-scaling", "segments", "early-stop", "ensemble", "pseudo-labels"],
)
def test_the_model_is_the_one_trained_in_memory(own_drivers, on_disk, method, settings, caplog):
    with caplog.at_level(logging.INFO):
        lazy = trained(on_disk, method, **settings)
    assert "more than training_memory" in caplog.text
    memory = trained(own_drivers, method, **settings)
    np.testing.assert_equal(lazy.history, memory.history)
    assert lazy.spec.scaling == memory.spec.scaling
    assert lazy.spec.intervals == memory.spec.intervals
    assert same(lazy, memory)


def test_trees_are_those_grown_in_memory(own_drivers, on_disk):
    settings = {"window": 60, "validation": 0.3, "progress": False}
    with xmsgl.set_options(training_memory=LIMIT):
        lazy, memory = (ds.msgl.train("trees", **settings) for ds in (on_disk, own_drivers))
    assert lazy.sha256 == memory.sha256


def test_a_checkpoint_of_either_is_continued_by_the_other(own_drivers, on_disk, tmp_path):
    whole = trained(own_drivers, "msgl")
    for first, second in ((own_drivers, on_disk), (on_disk, own_drivers)):
        states = []

        def stop(standing, states=states):
            states.append(standing.state.epoch)
            if len(states) == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            trained(first, "msgl", checkpoint=tmp_path / "c", observers=[stop])
        assert states == [0, 1, 2]
        assert same(trained(second, "msgl", resume=tmp_path / "c"), whole)


def test_folds_share_what_is_kept_of_the_drivers(on_disk):
    settings, cache = TrainSettings.of("remap", validation="folds:3", window=100), BlockCache(LIMIT)
    folds = prepare_all(on_disk, settings, Start(None), torch.device("cpu"), cache)
    arrays = {on_disk[f"{name}_coarse"].data.name for name in ("air_temperature", "precipitation")}
    for ready in folds:
        for _ in ready.source.validation(("coarse",)):
            assert 0 < cache.size <= LIMIT
            assert {array for (array, _), _ in cache._held} & arrays  # the same blocks in each fold


def test_the_start_of_a_long_record_is_measured_the_same(river_once, tmp_path):
    long = xr.concat([river_once, river_once.isel(time=slice(0, 250))], "time", data_vars="minimal")
    long = long.assign_coords(time=pd.date_range("2001-10-01", periods=long.sizes["time"]))
    models = [trained(ds, "remap", epochs=1) for ds in (long, long.chunk(time=200))]
    assert models[0].spec.spin_up
    assert models[0].spec.spin_up == models[1].spec.spin_up


def test_drivers_below_the_limit_and_those_in_memory_are_loaded(own_drivers, caplog):
    with caplog.at_level(logging.INFO):
        own_drivers.chunk().msgl.train("remap", **{**SETTINGS, "epochs": 1})
        trained(own_drivers, "remap", epochs=1)
    assert "training_memory" not in caplog.text


def drawn(days, nodes, drivers):
    """A dataset whose drivers are drawn anew whenever they are read, so that nothing holds them."""
    rng = da.random.default_rng(0)
    ids = np.arange(1, nodes + 1)
    names = {f"driver{k}_coarse": rng.normal(size=(days, nodes), chunks=(200, 100)) for k in range(drivers)}
    labels = np.full((days, nodes), np.nan, np.float32)
    labels[:, ::10] = 5.0
    labels[::2, ::10] = 9.0
    return xr.Dataset(
        {name: (("time", "coarse"), each.astype(np.float32), {"units": "1"}) for name, each in names.items()}
        | {
            "water_temperature_coarse": (("time", "coarse"), labels),
            "downstream_coarse": ("coarse", np.append(ids[1:], 0)),
            "coarse_segment": ("fine", ids),
        },
        {"coarse": ids, "fine": ids, "time": pd.date_range("2001-01-01", periods=days)},
    )


def peak(ds, limit):
    """The largest number of bytes held while inputs are fitted and an epoch of batches is made."""
    split = split_labels(ds, ["coarse"], window=50, validation=None, seed=0)
    settings = {"window": 50, "warmup": 10, "batch": 1, "seed": 0, "split": split, "scales": ["coarse"]}
    tracemalloc.start()
    try:
        data = TrainingData(ds, choose_features(ds), cache=BlockCache(limit), **settings)
        for _ in data.training_batches(1):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_bounded_by_the_limit_and_what_a_step_needs():
    """Measured in a process of its own: tracemalloc counts what threads of other tests hold, too."""
    days, nodes, drivers = 1200, 300, 10
    label, whole = 4 * days * nodes, 4 * days * nodes * drivers
    window = 4 * 60 * nodes * drivers
    limit = 2**20
    # The first is small, and imports what the others need.
    code = f"""
from tests.training.test_larger import drawn, peak
peak(drawn(100, 5, 2), 1)
ds = drawn({days}, {nodes}, {drivers})
print(peak(ds, {2 * whole}), peak(ds, {limit}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    in_memory, bounded = map(int, done.stdout.split())
    assert in_memory > whole
    # Labels and their masks; a batch, its copy and the blocks that it is cut from.
    assert bounded < limit + 3 * label + 6 * window < whole
