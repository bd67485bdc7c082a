"""The operators of a basin: against its graphs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.inputs.choose import choose_features
from xmsgl.inputs.scales import ScaleInputs
from xmsgl.models.methods.registry import create_model
from xmsgl.models.parts.inherited import InheritedInputs
from xmsgl.network.parts import Part
from xmsgl.prediction.operators import Operators
from xmsgl.schema.graphs import build_graph

CPU = torch.device("cpu")
SCALES = ("coarse", "fine")


def test_operators_are_those_of_the_graphs(river):
    operators = Operators.build(river, {"hops": 2}, (105, 101, 999), CPU)
    graphs = build_graph(river, hops=2)
    for ours, theirs in [
        (operators.coarse, graphs.coarse.operator),
        (operators.fine, graphs.fine.operator),
        (operators.interpolation, graphs.interpolation),
        (operators.remap, graphs.remap),
    ]:
        x = torch.randn(theirs.shape[1], 3)
        np.testing.assert_allclose(ours.matmul(x), theirs @ x.numpy(), rtol=1e-5, atol=1e-6)


def test_segments_find_their_row_by_id(river):
    operators = Operators.build(river, {}, (105, 101, 999), CPU)
    assert operators.coarse_segments.tolist() == [1, -1, -1, -1, 0]
    assert operators.fine_segments.tolist() == [1, 1] + [-1] * 7 + [0] * 3
    nobody = Operators.build(river, {}, (), CPU)
    assert set(nobody.coarse_segments.tolist()) == {-1}


def test_a_batch_keeps_inherited_inputs_as_they_are(river):
    inputs = ScaleInputs(river, choose_features(river), "fine")
    days = np.arange(4)[None]
    operators = Operators.build(river, {}, (), CPU)
    batch = operators.batch({"fine": inputs.sources(days)})
    assert isinstance(batch.x_fine, InheritedInputs)
    assert torch.equal(batch.fine_inputs()[0], operators.batch({"fine": inputs.gather(days)}).x_fine)


def test_an_unknown_kernel_is_named(river):
    with pytest.raises(UnknownNameError, match="'flat'"):
        Operators.build(river, {"kernel": "flat"}, (), CPU)


# --------------------------------------------------------- what depends on what


def predictions(operators, inputs):
    """Every prediction of a small model at every node, by scale; several per node at the fine one."""
    module = create_model("msgl", n_features=2, seed=0, hidden=3, heads=1, identity=2, segments=9)
    drawn = torch.Generator().manual_seed(0)
    for weights in (module.identity.table, module.fine_head.out.linear.weight):  # zeros at first
        torch.nn.init.normal_(weights, generator=drawn)
    nodes = {scale: np.arange(values.shape[1]) for scale, values in inputs.items()}
    with torch.no_grad():
        outputs = module.eval().task_outputs(operators.batch(inputs, nodes))
    fine = torch.stack([outputs["interpolation"], outputs["fine"]])
    return {"coarse": outputs["coarse"].numpy(), "fine": fine.numpy()}


def drawn_inputs(ds, days=30):
    rng = np.random.default_rng(1)
    return {scale: rng.normal(size=(days, ds.sizes[scale], 1, 2)).astype(np.float32) for scale in SCALES}


@pytest.mark.parametrize("direction", ["upstream", "downstream", "both"])
def test_a_closure_is_what_changes_the_predictions(two_rivers, direction):
    """Each node spoilt in turn: a prediction is spoilt if and only if its closure holds that node."""
    operators = Operators.build(two_rivers, {"hops": 1, "direction": direction}, (), CPU)
    asked = [(scale, node) for scale in SCALES for node in range(two_rivers.sizes[scale])]
    closures = {(scale, node): operators.closure({scale: np.array([node])}) for scale, node in asked}
    kept = 0
    for scale, node in asked:
        inputs = drawn_inputs(two_rivers)
        inputs[scale][0, node] = np.nan
        values = predictions(operators, inputs)
        spoilt = {
            "coarse": np.isnan(values["coarse"]).any((0, 2)),
            "fine": np.isnan(values["fine"]).any((0, 1, 3)),
        }
        for (where, at), part in closures.items():
            inside = node in part[SCALES.index(scale)]
            kept += inside
            assert inside or not spoilt[where][at]
            # A reach reads segments by its own row of M; a closure keeps what any of its reaches reads.
            assert not inside or spoilt[where][at] or (where, scale) == ("fine", "coarse")
    assert len(asked) < kept <= len(asked) ** 2 // 2


@pytest.mark.parametrize("direction", ["upstream", "downstream", "both"])
def test_what_is_left_out_changes_not_a_bit(two_rivers, direction):
    operators = Operators.build(two_rivers, {"hops": 2, "direction": direction}, (), CPU)
    part = operators.closure({"fine": np.array([5])})
    inputs = drawn_inputs(two_rivers)
    before = predictions(operators, inputs)["fine"][:, :, 5]
    for scale, positions in zip(SCALES, part, strict=True):
        out = np.setdiff1d(np.arange(two_rivers.sizes[scale]), positions)
        assert out.size
        inputs[scale][:, out] = 1e3
    np.testing.assert_array_equal(predictions(operators, inputs)["fine"][:, :, 5], before)
    inputs["fine"][0, part.fine[0]] += 1e3
    assert (predictions(operators, inputs)["fine"][:, :, 5] != before).any()


@pytest.mark.parametrize("direction", ["upstream", "downstream", "both"])
def test_restricted_operators_predict_the_same(two_rivers, direction):
    segments = tuple(two_rivers["coarse"].values[3:].tolist())
    operators = Operators.build(two_rivers, {"direction": direction}, segments, CPU)
    inputs = drawn_inputs(two_rivers)
    whole = predictions(operators, inputs)
    closed = operators.closure({"fine": np.array([2, 7]), "coarse": np.array([1])})
    for part in (closed, *operators.parts(12)):
        few = {scale: values[:, part[k]] for k, (scale, values) in enumerate(inputs.items())}
        found = predictions(operators.restrict(part), few)
        np.testing.assert_allclose(found["coarse"], whole["coarse"][:, part.coarse], atol=1e-6)
        np.testing.assert_allclose(found["fine"], whole["fine"][:, :, part.fine], atol=1e-6)


def test_parts_are_the_two_rivers(two_rivers):
    operators = Operators.build(two_rivers, {}, (), CPU)
    parts = operators.parts(12)
    assert sorted(np.unique(two_rivers["fine"][part.fine] > 1000).tolist() for part in parts) == [
        [False],
        [True],
    ]
    for part in parts:
        river = operators.closure({"fine": part.fine[:1]})
        assert all(map(np.array_equal, river, part))
    assert len(operators.parts(24)) == 1


def test_a_selection_that_is_not_closed_is_refused(two_rivers):
    operators = Operators.build(two_rivers, {}, (), CPU)
    part = operators.parts(12)[0]
    for open_part in (Part(part.coarse, part.fine[1:]), Part(part.coarse[1:], part.fine)):
        with pytest.raises(InvalidArgumentError, match="weights would be lost"):
            operators.restrict(open_part)
