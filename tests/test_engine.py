"""A model on a device, bound to one network: against windows cut from the whole record."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xmsgl.engine import Engine, resolve_device
from xmsgl.errors import InvalidArgumentError
from xmsgl.fit import train
from xmsgl.operators import Operators
from xmsgl.windows import ScaleInputs, cut_windows, feature_variables


@pytest.fixture(scope="module")
def model(river_once):
    settings = {"hidden": 4, "window": 60, "warmup": 15, "epochs": 1, "device": "cpu", "progress": False}
    return train(river_once.isel(time=slice(0, 130)), **settings)


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
        expected = model.module().predict(operators.batch(inputs))[15:, :, 0].numpy()
        expected = expected * scaling.label_deviation + scaling.label_mean
        days = slice(max(0, window.start - 15 - memory), window.stop)
        np.testing.assert_allclose(engine.run(drivers.isel(time=days), window), expected, atol=2e-4)


def test_an_engine_leaves_its_dataset_lazy(river, model):
    lazy = fixed_part(river.chunk())
    Engine(model, lazy, "cpu")
    assert all(lazy[name].chunks is not None for name in lazy.data_vars)


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InvalidArgumentError, match="'quantum' is not one that torch knows"):
        resolve_device("quantum")
    if not torch.cuda.is_available():
        with pytest.raises(InvalidArgumentError, match="sees no GPU; use device='auto' or 'cpu'"):
            resolve_device("cuda")
