"""Hidden states: labelled, lazy, equal for every chunking, and those of a plain loop over the cell."""

from __future__ import annotations

from dataclasses import replace

import dask
import numpy as np
import pytest
import torch
import xarray as xr

from tests.small import PLAIN, QUICK
from xmsgl.datasets import simulated
from xmsgl.errors import CheckpointError, InvalidArgumentError
from xmsgl.inputs.scales import ScaleInputs
from xmsgl.inputs.windows import Window
from xmsgl.models.file.model import Model
from xmsgl.models.methods.msgl import MSGL
from xmsgl.prediction.downscale import downscale
from xmsgl.prediction.embed import embed
from xmsgl.prediction.operators import Operators
from xmsgl.prediction.predictor import Engine
from xmsgl.training.train import train

DAYS, WINDOW, WARMUP = 160, 60, 15
SETTINGS = {
    **QUICK,
    "features": PLAIN,
    "warmup": WARMUP,
    "hidden": 5,
    "heads": 1,
    "identity": 2,
    "validation": None,
}
CHUNKINGS = [{"time": 160}, {"time": 41, "coarse": 2, "fine": 5}, {"time": 7, "fine": 1}, {"coarse": 1}]


def short(ds):
    return ds.isel(time=slice(0, DAYS))


def trained(ds, method="msgl", **settings):
    settings = {**SETTINGS, **settings}
    if method != "msgl":
        settings.pop("heads")
    return train(short(ds), method, **settings)


@pytest.fixture(scope="module")
def model(river_once):
    return trained(river_once)


@pytest.fixture(scope="module")
def whole(river_once, model):
    return embed(short(river_once), model)


@pytest.fixture(scope="module")
def inputs_of(preceded):
    """The inputs of a window with its warm-up, cut from the whole record, and the graphs."""

    def cut(ds, model, window):
        spec = model.spec
        operators = Operators.build(ds, spec.graph, spec.segments, torch.device("cpu"))
        longer, days = preceded(ds, WARMUP + 89), np.arange(window.start - WARMUP, window.stop) + WARMUP + 89
        inputs = {}
        for scale in ("coarse", "fine"):
            inputs[scale] = ScaleInputs(longer, spec.features, scale)
            inputs[scale].use(spec.scaling[scale])
        return operators.batch({scale: of.gather(days[None]) for scale, of in inputs.items()})

    return cut


def by_hand(module, x, graph):
    """The recurrent graph cell in numpy, in double precision, day by day, (time, node, hidden)."""
    names = ("W_ih", "W_hh", "b", "W_q", "b_q")
    W_ih, W_hh, b, W_q, b_q = (getattr(module.cell, name).detach().double().numpy() for name in names)
    matrix = graph.to_scipy().toarray().astype(np.float64)
    h = c = np.zeros((x.shape[1], len(W_q)))
    days = []
    for x_t in x[:, :, 0].detach().double().numpy():
        i, f, o, g = np.split(x_t @ W_ih + h @ W_hh + b, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * (c + matrix @ np.tanh(h @ W_q + b_q)) + i * np.tanh(g)
        h = o * np.tanh(c)
        days.append(h)
    return np.array(days)


WINDOWS = [Window(0, 60, WARMUP), Window(60, 120, WARMUP), Window(120, 160, WARMUP)]


@pytest.mark.parametrize("window", WINDOWS, ids=["first", "second", "cut-off"])
def test_the_states_are_those_of_a_plain_loop_over_the_cell(river, model, whole, inputs_of, window):
    module, batch = model.module(), inputs_of(short(river), model, window)
    expected = by_hand(module, *module.read(batch, "fine"))[WARMUP:]
    np.testing.assert_allclose(whole[window.start : window.stop], expected, atol=1e-5)


def test_states_at_the_segments_are_carried_to_their_reaches(river, inputs_of):
    model = trained(river, "remap")
    ds, module = short(river), model.module()
    expected = by_hand(module, *module.read(inputs_of(ds, model, WINDOWS[1]), "coarse"))[WARMUP:]
    segment = ds.indexes["coarse"].get_indexer(ds["coarse_segment"])
    np.testing.assert_allclose(embed(ds, model)[60:120], expected[:, segment], atol=1e-5)


def test_the_head_makes_the_prediction_of_the_states(river):
    """The output layer of fine-only, applied by hand, gives the downscaled temperature."""
    model, ds = trained(river, "fine-only"), short(river)
    states, scaling = embed(ds, model), model.spec.scaling["fine"]
    layer = model.module().head.linear
    weight, bias = layer.weight.detach().numpy()[0], layer.bias.item()
    degrees = (states.values @ weight + bias) * scaling.label_deviation + scaling.label_mean
    np.testing.assert_allclose(downscale(ds, model), np.maximum(degrees, 0), atol=1e-4)


@pytest.mark.parametrize("backbone", ["lstm", "stgcn", {"name": "dynamic", "depth": 2}], ids=str)
def test_every_backbone_has_states(river, inputs_of, backbone):
    model, ds = trained(river, backbone=backbone), short(river)
    states, module = embed(ds, model), model.module()
    with torch.no_grad():
        expected = module.hidden_states(inputs_of(ds, model, WINDOWS[2]), "fine")[WARMUP:, :, 0]
    np.testing.assert_allclose(states[120:], expected, atol=1e-5)


@pytest.mark.parametrize("backend", ["torch", "reference"])
def test_every_implementation_of_the_cell_gives_the_same(river, model, whole, backend):
    """Also with the inputs of segments, which the reaches inherit."""
    spec = replace(model.spec, architecture={**model.spec.architecture, "backend": backend})
    np.testing.assert_allclose(embed(short(river), Model(spec, model.weights)), whole, atol=1e-5)


def test_without_a_fine_task_states_are_those_that_the_interpolation_reads(river, inputs_of):
    model, ds = trained(river, tasks=("coarse", "interpolation")), short(river)
    module, batch = model.module(), inputs_of(ds, model, WINDOWS[0])
    states = by_hand(module, *module.read(batch, "coarse"))[WARMUP:]
    expected = np.einsum("fc,tch->tfh", batch.interpolator().to_scipy().toarray(), states)
    np.testing.assert_allclose(embed(ds, model)[:60], expected, atol=1e-5)


# ------------------------------------------------------------------ labels


def test_the_result_is_labelled(river, model, whole):
    ds, prediction = short(river), downscale(short(river), model)
    assert whole.dims == ("time", "fine", "latent")
    assert whole.sizes == {"time": DAYS, "fine": 12, "latent": 5}
    assert whole.dtype == np.float32
    assert set(whole.coords) == {*prediction.coords, "latent"}
    for name, coord in prediction.coords.items():
        xr.testing.assert_identical(whole.coords[name], coord)
    assert whole["latent"].values.tolist() == [0, 1, 2, 3, 4]
    assert whole.attrs["units"] == "1"
    assert whole.attrs["network"] == "msgl"
    assert whole.attrs["model_sha256"] == model.sha256
    assert f"embed(method='msgl', model sha256 {model.sha256[:12]})" in whole.attrs["history"]
    xr.testing.assert_equal(ds.msgl.embed(model, device="cpu"), whole)


def test_days_and_reaches_in_another_order_give_the_same_by_label(river, model, whole):
    ds = short(river)
    backwards = embed(ds.isel(time=slice(None, None, -1)), model)
    assert backwards.indexes["time"].equals(whole.indexes["time"][::-1])
    np.testing.assert_array_equal(backwards.sortby("time"), whole)
    mixed = embed(ds.isel(fine=np.random.default_rng(1).permutation(12)), model)
    np.testing.assert_allclose(mixed.sel(fine=whole["fine"]), whole, atol=1e-6)


# ---------------------------------------------------------------- laziness


def test_lazy_in_lazy_out(river, model, refuse_to_compute):
    with refuse_to_compute():
        result = embed(short(river).chunk(time=50, fine=5), model)
    assert result.chunks == ((60, 60, 40), (12,), (5,))
    assert result.dtype == np.float32


@pytest.mark.parametrize("chunks", CHUNKINGS, ids=str)
def test_every_chunking_gives_the_same(river, model, whole, chunks):
    result = embed(short(river).chunk(chunks), model)
    with dask.config.set(scheduler="synchronous"):
        np.testing.assert_allclose(result, whole, rtol=0, atol=1e-6)
        np.testing.assert_allclose(result[70:80, [3, 1], 2], whole[70:80, [3, 1], 2], rtol=0, atol=1e-6)


def test_basins_in_each_others_midst_give_what_each_gives_alone(two_rivers, river, model):
    ds = short(two_rivers)
    kept = [name for name in ds.data_vars if "time" not in ds[name].dims]
    lazy = embed(ds.chunk(time=50).assign({name: ds[name] for name in kept}), model)
    assert len(lazy.chunks[1]) > 1
    alone = embed(short(river), model)
    np.testing.assert_allclose(lazy.sel(fine=alone["fine"]), alone, rtol=0, atol=1e-6)


def test_states_and_predictions_of_one_model_are_different_tasks(river, model, whole):
    lazy = short(river).chunk(time=50)
    states, temperature = dask.compute(embed(lazy, model), downscale(lazy, model))
    np.testing.assert_allclose(states, whole, atol=1e-6)
    np.testing.assert_allclose(temperature, downscale(short(river), model), atol=1e-5)


def test_pieces_of_days_change_nothing(river, model, whole, monkeypatch):
    lengths, run = [], MSGL.embed

    def note(self, batch, memory=None):
        found = run(self, batch, memory)
        lengths.append(len(found[0]))
        return found

    monkeypatch.setattr(MSGL, "embed", note)
    monkeypatch.setattr("xmsgl.prediction.predictor._DAYS", 7)
    monkeypatch.setitem(Engine.__init__.__kwdefaults__, "piece", 1)
    np.testing.assert_allclose(embed(short(river), model), whole, atol=1e-6)
    assert max(lengths) == 7
    assert sum(lengths) == DAYS + 3 * WARMUP


# ------------------------------------------------- which network, and errors


def test_of_an_ensemble_the_first_member_is_used(river, model, whole):
    other = Model(model.spec, {name: w + 0.01 for name, w in model.weights.items()}, model.history)
    ds, pair = short(river), Model.join([model, other])
    first = embed(ds, pair)
    np.testing.assert_array_equal(first, whole)
    assert first.attrs["network"] == "msgl, member 0 of 2"
    assert first.attrs["model_sha256"] == pair.sha256
    assert float(abs(embed(ds, pair.member(1)) - whole).max()) > 0.01


def test_of_a_stack_the_first_network_is_used(river):
    ds = short(river)
    parts = [{"method": "trees", "iterations": 3}, {"method": "remap", "hidden": 4, "epochs": 1}]
    options = {"window": WINDOW, "validation": "folds:2", "device": "cpu", "progress": False}
    stack = train(ds, "stack", parts=parts, **options)
    assert [part.method for part in stack.parts[:2]] == ["trees", "remap"]
    found = embed(ds, stack)
    np.testing.assert_array_equal(found, embed(ds, stack.parts[1]))
    assert found.attrs["network"] == "part 1 of a stack, remap"


def test_trees_have_no_states(river):
    trees = train(short(river), "trees", iterations=3, validation=None)
    with pytest.raises(InvalidArgumentError, match=r"trees, has no hidden states; give a network"):
        embed(short(river), trees)
    with pytest.raises(InvalidArgumentError, match="Trees has no hidden states"):
        trees.module().embed(None)


def test_states_that_are_not_finite_are_refused(river, model):
    weights = {**model.weights, "cell.W_ih": torch.full_like(model.weights["cell.W_ih"], 3e38)}
    with pytest.raises(CheckpointError, match="hidden state is not finite"):
        embed(short(river), Model(model.spec, weights, model.history))


def test_the_warm_up_may_be_chosen(river, model, whole):
    cold = embed(short(river), model, warmup=0)
    assert float(abs(cold - whole)[60].max()) > 10 * float(abs(cold - whole)[119].max())
    with pytest.raises(InvalidArgumentError, match="warmup must be 0 to"):
        embed(short(river), model, warmup=-1)


@pytest.mark.filterwarnings("ignore::xmsgl.errors.ExtrapolationWarning")
def test_packaged_models():
    """By default the one for ungauged reaches; the one for sensors is of trees alone."""
    ds = simulated(n_coarse=3, reaches_per_segment=2, years=1)
    found = ds.msgl.embed()
    assert found.attrs["network"] == "part 0 of a stack, msgl"
    xr.testing.assert_equal(found, ds.msgl.embed("delaware-ungauged"))
    assert ds.msgl.embed("delaware-gauged").attrs["network"] == "part 0 of a stack, remap"
    with pytest.raises(InvalidArgumentError, match="has no hidden states"):
        ds.msgl.embed("delaware-sensors")
