"""Inputs that reaches take from their segments, in training: as if each reach had had its own."""

from __future__ import annotations

import pytest
import scipy.sparse as sparse
import torch

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.cell.cell import RecurrentGraphCell
from xmsgl.models.cell.compiled import scan as compiled
from xmsgl.models.methods.msgl import FineOnly
from xmsgl.models.parts.batch import Batch
from xmsgl.models.parts.inherited import InheritedInputs
from xmsgl.models.parts.operator import GraphOperator

#: days, sources, nodes, windows, features, hidden: little, several blocks, many features, many windows
SIZES = {
    "one": (1, 1, 1, 1, 1, 1),
    "few": (6, 4, 11, 3, 2, 5),
    "blocks": (4, 50, 700, 1, 15, 20),
    "block-of-windows": (3, 20, 150, 5, 7, 6),
    "more-windows-than-a-block": (2, 3, 5, 300, 3, 4),
}


def draw(rng, sizes, dtype=torch.float32):
    """Sources in no order, the last of which nobody inherits from where there are several."""
    days, sources, nodes, windows, features, _ = sizes
    rows = torch.tensor(rng.normal(size=(days, sources, windows, features)), dtype=dtype)
    place = torch.tensor(rng.integers(0, max(1, sources - 1), nodes))
    return InheritedInputs(rows, place, torch.tensor(rng.normal(size=(nodes, features)), dtype=dtype))


def expand(x):
    """What the inputs mean, node by node."""
    return torch.stack([x.rows[:, source] + own for source, own in zip(x.place, x.fixed, strict=True)], dim=1)


def operator_of(rng, nodes, dtype):
    matrix = sparse.random_array((nodes, nodes), density=min(0.5, 6 / nodes), rng=rng)
    return GraphOperator(matrix, dtype=dtype)


def cell_of(sizes, dtype, backend="numba", dropout=0.0):
    """The same parameters for every backend; biases start at zero, where an error in them would not show."""
    torch.manual_seed(3)
    cell = RecurrentGraphCell(*sizes[4:], backend=backend, dropout=dropout).to(dtype)
    with torch.no_grad():
        cell.b.normal_()
        cell.b_q.normal_()
    return cell


def run(x, operator, state, sizes, weight, **options):
    """Return outputs and all gradients but those of the inputs."""
    cell = cell_of(sizes, weight.dtype, **options)
    leaves = [*cell.parameters(), *(part.requires_grad_() for part in state)]
    torch.manual_seed(0)
    hidden, (_, last) = cell(x, operator, tuple(state))
    loss = (hidden * weight).sum() + (last**2 * weight[0]).sum()
    return [hidden.detach(), last.detach(), *torch.autograd.grad(loss, leaves)]


def draw_run(rng, sizes, dtype=torch.float32):
    days, _, nodes, windows, _, hidden = sizes
    state = [torch.tensor(rng.normal(size=(nodes, windows, hidden)), dtype=dtype) for _ in "hc"]
    weight = torch.tensor(rng.normal(size=(days, nodes, windows, hidden)), dtype=dtype)
    return operator_of(rng, nodes, dtype), state, sizes, weight


# ------------------------------------------------------------ the way there and back


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
def test_training_gives_the_bits_of_the_expansion(rng_state, sizes):
    x = draw(rng_state, sizes)
    others = draw_run(rng_state, sizes)
    assert torch.equal(x.expand(), expand(x))
    got, expected = run(x, *others, dropout=0.3), run(expand(x), *others, dropout=0.3)
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
def test_training_equals_the_plain_loop_in_double(rng_state, sizes):
    x = draw(rng_state, sizes, torch.float64)
    others = draw_run(rng_state, sizes, torch.float64)
    got, expected = run(x, *others), run(expand(x), *others, backend="reference")
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11 * float(b.abs().max()))


@pytest.mark.parametrize("backend", ["torch", "reference"])
def test_other_backends_take_the_expansion(rng_state, backend):
    sizes = SIZES["few"]
    x, others = draw(rng_state, sizes), draw_run(rng_state, sizes)
    got, expected = run(x, *others, backend=backend), run(expand(x), *others, backend=backend)
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_passes_gradcheck(rng_state):
    sizes = 3, 2, 4, 2, 2, 3
    x, operator = draw(rng_state, sizes, torch.float64), operator_of(rng_state, 4, torch.float64)
    shapes = [(4, 2, 3), (4, 2, 3), (2, 12), (3, 12), (12,), (3, 3), (3,)]
    leaves = [torch.tensor(rng_state.normal(size=shape), requires_grad=True) for shape in shapes]
    nodes = torch.tensor([3, 0, 3])

    def scan(h, c, *weights):
        return compiled.compiled_scan(x, operator, compiled.CellWeights(*weights), (h, c), None, nodes)

    assert torch.autograd.gradcheck(scan, leaves, atol=1e-7)


@pytest.mark.parametrize("part", ["rows", "fixed"])
def test_gradients_of_the_inputs_themselves(rng_state, part):
    sizes = SIZES["few"]
    x = draw(rng_state, sizes, torch.float64)
    getattr(x, part).requires_grad_()
    operator, _, _, weight = draw_run(rng_state, sizes, torch.float64)
    torch.manual_seed(0)
    cell = RecurrentGraphCell(*sizes[4:]).double()
    got, expected = (
        torch.autograd.grad((cell(inputs, operator)[0] * weight).sum(), getattr(x, part))[0]
        for inputs in (x, expand(x))
    )
    torch.testing.assert_close(got, expected)
    assert got.abs().sum() > 0


def test_widening_and_conversion(rng_state):
    columns = torch.tensor(rng_state.normal(size=(11, 2)), dtype=torch.float32)
    x = draw(rng_state, SIZES["few"])
    wide = torch.cat([expand(x), columns[:, None].expand(6, -1, 3, -1)], dim=-1)
    assert torch.equal(x.widen(columns).expand(), wide)
    assert x.to(torch.float32) is x
    torch.testing.assert_close(x.to(torch.float64).expand(), expand(x).double())


@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 4), (2, 3)], ids=str)
def test_fixed_numbers_of_another_shape_are_refused(shape):
    with pytest.raises(InvalidArgumentError, match=r"fixed \(node, feature\), got shapes"):
        InheritedInputs(torch.zeros(5, 2, 3, 4), torch.tensor([0, 1]), torch.zeros(shape))


# ------------------------------------------------------------ some nodes


@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize("nodes", [[], [3], [690, 0, 255, 256, 3, 511], [5, 600, 5]], ids=str)
def test_chosen_nodes_equal_those_of_all(rng_state, nodes, backend):
    sizes = SIZES["blocks"]
    x, chosen = draw(rng_state, sizes), torch.tensor(nodes, dtype=torch.int64)
    operator = operator_of(rng_state, 700, torch.float32)
    weight = torch.tensor(rng_state.normal(size=(4, len(nodes), 1, 20)), dtype=torch.float32)
    results = []
    for cell in (cell_of(sizes, torch.float32, backend), cell_of(sizes, torch.float32)):
        states = (
            cell(expand(x), operator)[0].index_select(1, chosen) if results else cell.at(x, operator, chosen)
        )
        gradients = torch.autograd.grad((states * weight).sum(), [*cell.parameters()])
        results.append([states.detach(), *gradients])
    for got, expected in zip(*results, strict=True):
        largest = float(expected.abs().max()) if expected.numel() else 0.0
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5 * largest)
    cell = cell_of(sizes, torch.float32, backend)
    with torch.no_grad():
        assert torch.equal(cell.at(x, operator, chosen), results[0][0])


@pytest.mark.parametrize("windows", [1, 3])
def test_backward_of_chosen_nodes_holds_no_gradient_of_all(rng_state, windows):
    sizes = 5, 20, 300, windows, 3, 8
    x, operator = draw(rng_state, sizes), operator_of(rng_state, 300, torch.float32)
    chosen = torch.tensor([299, 7])
    given = []
    states = cell_of(sizes, torch.float32).at(x, operator, chosen)
    assert states.shape == (5, 2, windows, 8)
    states.grad_fn.register_prehook(lambda gradients: given.extend(gradients))
    states.sum().backward()
    assert given[0].shape == states.shape


def test_a_model_of_one_scale_does_not_expand_inherited_inputs(rng_state, monkeypatch):
    sizes = SIZES["few"]
    x, operator = draw(rng_state, sizes), operator_of(rng_state, 11, torch.float32)
    nodes = torch.tensor([2, 9])
    model = FineOnly(2, hidden=5, recurrent_dropout=0.0)
    wanted = {
        name: model.task_outputs(Batch(x_fine=inputs, fine_graph=operator, fine_nodes=nodes))["fine"]
        for name, inputs in (("expanded", expand(x)), ("inherited", x))
    }
    assert torch.equal(wanted["inherited"], wanted["expanded"])

    def refuse(_):
        raise AssertionError("inputs of every reach were written out")

    monkeypatch.setattr(InheritedInputs, "expand", refuse)
    again = model.task_outputs(Batch(x_fine=x, fine_graph=operator, fine_nodes=nodes))["fine"]
    again.sum().backward()
    assert torch.equal(again, wanted["expanded"])
