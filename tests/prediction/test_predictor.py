"""A model on a device, bound to one network: against windows cut from the whole record."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import xarray as xr

from tests.small import PLAIN
from tests.small import QUICK as ANY
from xmsgl.datasets import simulated
from xmsgl.errors import DeviceMemoryError, InvalidArgumentError, InvalidDatasetError
from xmsgl.inputs.features import feature_variables
from xmsgl.inputs.scales import ScaleInputs
from xmsgl.inputs.windows import Window, cut_windows
from xmsgl.network.numbering import mean_spread
from xmsgl.prediction.operators import Operators
from xmsgl.prediction.predictor import Engine
from xmsgl.prediction.prefetch import alone_on, resolve_device
from xmsgl.schema.graphs import build_graph
from xmsgl.training.train import train

QUICK = {**ANY, "features": PLAIN}


@pytest.fixture(scope="module")
def model(river_once):
    settings = {**QUICK, "warmup": 15}
    return train(river_once.isel(time=slice(0, 130)), "msgl", **settings)


def fixed_part(ds):
    return ds[[name for name in ds.variables if "time" not in ds[name].dims]]


@pytest.mark.parametrize("memory", [89, 200], ids=["just-enough", "more"])
def test_a_window_alone_gives_what_it_gives_in_the_whole_record(river, model, memory):
    """Warm-up and trailing means reach back before the window, and no further than the days given."""
    ds = river.isel(time=slice(0, 250))
    spec = model.spec
    engine = Engine(model, fixed_part(ds), "cpu")
    operators = Operators.build(ds, spec.graph, spec.segments, torch.device("cpu"))
    drivers = ds[feature_variables(ds, spec.features, dynamic=True)]
    scaling = spec.scaling["fine"]
    for window in cut_windows(250, 60, 15):
        inputs = {}
        for scale in ("coarse", "fine"):
            whole = ScaleInputs(ds, spec.features, scale)
            whole.use(spec.scaling[scale])
            inputs[scale] = whole.gather(window.days(window.stop - window.start, 250)[None])
        expected = model.module().stream(operators.batch(inputs))[0][15:, :, 0].numpy()
        expected = expected * scaling.label_deviation + scaling.label_mean
        days = slice(max(0, window.start - 15 - memory), window.stop)
        np.testing.assert_allclose(engine.run(drivers.isel(time=days), window), expected, atol=2e-4)


@pytest.mark.parametrize("method", ["msgl", "fine-only", "remap"])
def test_pieces_of_days_change_nothing(river, method):
    ds = river.isel(time=slice(0, 130))
    settings = {**QUICK, "warmup": 15}
    model = train(ds, method, **settings)
    drivers = ds[feature_variables(ds, model.spec.features, dynamic=True)]
    lengths = []

    def run(piece, window):
        engine = Engine(model, fixed_part(ds), "cpu", piece=piece)
        stream = engine._module.stream
        engine._module.stream = lambda batch, left: lengths.append(days_of(batch)) or stream(batch, left)
        return engine.run(drivers, window)

    for window in (Window(20, 130, 15), Window(0, 130, 200), Window(0, 130, 33)):
        whole = run(10**9, window)
        assert lengths == [130 - window.start + window.warmup]
        lengths.clear()
        np.testing.assert_array_equal(run(1, window), whole)
        assert len(lengths) > 1
        assert sum(lengths) == 130 - window.start + window.warmup
        lengths.clear()


def short_of_memory(monkeypatch, engine, most):
    """Let the GPU of an engine be too small for arrays of more than so many bytes."""
    stream, sizes = engine._stream, []

    def too_large(batch, before):
        sizes.append(engine._piece)
        if engine._piece > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return stream(batch, before)

    monkeypatch.setattr(engine, "_stream", too_large)
    return sizes


def test_a_gpu_that_is_too_small_gets_smaller_pieces(river, model, monkeypatch, caplog):
    ds, window = river.isel(time=slice(0, 130)), Window(20, 130, 15)
    drivers = ds[feature_variables(ds, model.spec.features, dynamic=True)]
    engine = Engine(model, fixed_part(ds), "cpu", piece=2**24)
    expected = engine.run(drivers, window)
    sizes = short_of_memory(monkeypatch, engine, 2**22)
    np.testing.assert_array_equal(engine.run(drivers, window), expected)
    assert sizes == [2**24, 2**23, 2**22]
    assert [record.message for record in caplog.records if "out of memory" in record.message] == [
        f"the GPU is out of memory: trying again with arrays of {size} MiB" for size in (8, 4)
    ]
    short_of_memory(monkeypatch, engine, 0)
    with pytest.raises(DeviceMemoryError, match="use device='cpu', or give fewer basins at a time"):
        engine.run(drivers, window)


def test_one_thread_at_a_time_uses_a_gpu():
    inside, most = [], []

    def use(device):
        with alone_on(torch.device(device)):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            inside.pop()

    for device, expected in (("cuda", {1}), ("cpu", {1, 2, 3, 4})):
        most.clear()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(use, [device] * 4))
        assert set(most) <= expected
        assert (max(most) > 1) == (device == "cpu")


def days_of(batch):
    return len(batch.x_coarse if batch.x_fine is None else batch.x_fine)


def test_a_head_over_time_gets_its_whole_window(river):
    settings = {**QUICK, "warmup": 15}
    ds = river.isel(time=slice(0, 130))
    model = train(ds, "msgl", tasks=("coarse", "interpolation"), **settings)
    drivers = ds[feature_variables(ds, model.spec.features, dynamic=True)]
    small, large = (Engine(model, fixed_part(ds), "cpu", piece=piece) for piece in (1, 10**9))
    np.testing.assert_array_equal(
        small.run(drivers, Window(0, 130, 15)), large.run(drivers, Window(0, 130, 15))
    )


# ------------------------------------------------------------ several rivers


def beside(*rivers):
    """One dataset of disconnected rivers, their ids a thousand apart, their nodes interleaved."""
    parts = []
    for number, one in enumerate(rivers):
        away = 1000 * number
        part = one.assign_coords(coarse=one["coarse"].values + away, fine=one["fine"].values + away)
        for scale in ("coarse", "fine"):
            ids = one[f"downstream_{scale}"].values
            part[f"downstream_{scale}"] = (scale, np.where(ids > 0, ids + away, 0), {"units": "1"})
        part["coarse_segment"] = ("fine", one["coarse_segment"].values + away, {"units": "1"})
        parts.append(part)
    scales = {
        scale: xr.concat([p[[n for n in p.data_vars if scale in p[n].dims]] for p in parts], scale)
        for scale in ("coarse", "fine")
    }
    rng = np.random.default_rng(5)
    mixed = {scale: ds.isel({scale: rng.permutation(ds.sizes[scale])}) for scale, ds in scales.items()}
    return mixed["coarse"].merge(mixed["fine"])


@pytest.fixture
def rivers(river):
    """A river, a warmer one with a reach less, and one that is both joined at the mouth: 12, 11 and 23."""
    ds = river.isel(time=slice(0, 130)).drop_vars(["water_temperature_coarse", "water_temperature_fine"])
    warmer = ds.isel(fine=slice(1, None))
    warmer["air_temperature_coarse"] = warmer["air_temperature_coarse"] + 4
    joined = beside(ds, warmer)
    for scale, outlet in (("coarse", 105), ("fine", 12)):
        joined[f"downstream_{scale}"].values[joined[scale].values == outlet] = outlet + 1000
    return [ds, warmer, joined]


@pytest.mark.parametrize(
    ("reaches", "sizes"),
    [(1, [12, 11, 23]), (23, [23, 23]), (46, [46]), (10**6, [46])],
    ids=["alone", "two-together", "just-all", "all"],
)
def test_rivers_beside_each_other_are_as_alone(rivers, model, reaches, sizes):
    together = beside(*rivers)
    features = feature_variables(together, model.spec.features, dynamic=True)
    engine = Engine(model, fixed_part(together), "cpu", reaches=reaches)
    assert sorted(len(part.fine) for part, _ in engine._groups[0].parts) == sorted(sizes)
    windows = Window(0, 60, 15), Window(60, 130, 0)
    first, left = engine.resume(together[features].isel(time=slice(0, 60)), windows[0], None)
    second, _ = engine.resume(together[features], windows[1], left)
    got = xr.DataArray(
        np.concatenate([first, second]), dims=("time", "fine"), coords={"fine": together["fine"]}
    )
    for number, one in enumerate(rivers):
        alone = Engine(model, fixed_part(one), "cpu").run(one[features], Window(0, 130, 15))
        ids = one["fine"].values + 1000 * number
        np.testing.assert_allclose(got.sel(fine=ids), alone, atol=2e-5)


def test_parts_of_the_network_change_no_bit(rivers, model):
    together = beside(*rivers)
    drivers = together[feature_variables(together, model.spec.features, dynamic=True)]
    results = [
        Engine(model, fixed_part(together), "cpu", reaches=reaches).run(drivers, Window(60, 130, 15))
        for reaches in (1, 23, 100)
    ]
    np.testing.assert_array_equal(results[0], results[2])
    np.testing.assert_array_equal(results[1], results[2])


def test_reaches_in_any_order_are_computed_in_a_good_one(model):
    ordered = simulated(n_coarse=60, reaches_per_segment=40, years=1).isel(time=slice(0, 20))
    rng = np.random.default_rng(3)
    mixed = ordered.isel(fine=rng.permutation(ordered.sizes["fine"]), coarse=rng.permutation(60))
    results, spreads = [], []
    for ds in (ordered, mixed):
        engine = Engine(model, fixed_part(ds), "cpu")
        drivers = ds[feature_variables(ds, model.spec.features, dynamic=True)]
        values = xr.DataArray(engine.run(drivers, Window(0, 20, 5)), dims=("time", "fine"))
        results.append(values.assign_coords(fine=ds["fine"].values).sel(fine=ordered["fine"].values))
        spreads.append(mean_spread(engine._groups[0].parts[0][1].fine.to_scipy()))
    built = build_graph(mixed, "fine", **model.spec.graph).operator
    assert mean_spread(built) > 512
    assert max(spreads) < 200
    np.testing.assert_allclose(results[1], results[0], atol=1e-4)


def test_an_engine_leaves_its_dataset_lazy(river, model):
    lazy = fixed_part(river.chunk())
    Engine(model, lazy, "cpu")
    assert all(lazy[name].chunks is not None for name in lazy.data_vars)


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InvalidArgumentError, match="'quantum' is not a valid torch device"):
        resolve_device("quantum")
    if not torch.cuda.is_available():
        with pytest.raises(InvalidArgumentError, match="torch finds none; use device='auto' or 'cpu'"):
            resolve_device("cuda")


@pytest.mark.parametrize("lazy", [False, True], ids=["memory", "lazy"])
@pytest.mark.parametrize(
    ("name", "where", "value"),
    [
        ("air_temperature_coarse", {"time": [3, 4], "coarse": 1}, np.nan),
        ("air_temperature_coarse", {"time": 0, "coarse": 1}, np.inf),
        ("precipitation_coarse", {"coarse": 2}, np.nan),
        ("solar_radiation_coarse", {"time": 5}, np.nan),
        ("elevation_fine", {"fine": [0, 3]}, np.nan),
        ("slope_coarse", {"coarse": 1}, np.inf),
    ],
)
def test_what_is_missing_is_filled_as_advised(river, model, name, where, value, lazy):
    ds = river.isel(time=slice(0, 130)).copy(deep=True)
    ds[name][where] = value
    ds = ds.chunk({"time": 40}) if lazy else ds
    with pytest.raises(InvalidDatasetError, match=f"{name}: ") as caught:
        ds.msgl.downscale(model).compute()
    (fault,) = caught.value.faults
    scope = {"ds": ds, "np": np}
    exec(fault[fault.index("ds[") :], scope)
    assert np.isfinite(scope["ds"].msgl.downscale(model).compute()).all()
