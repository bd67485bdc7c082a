"""The recurrent graph cell against NumPy, autograd and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sparse
import torch

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.models.cell import CELL_BACKENDS, GraphOperator, RecurrentGraphCell, register_cell_backend

BACKENDS = ["torch", "reference"]


def random_operator(rng, nodes, dtype=torch.float64):
    matrix = sparse.random_array((nodes, nodes), density=0.4, rng=rng).tocsr() + sparse.eye_array(nodes)
    return GraphOperator(matrix, dtype=dtype), matrix.toarray()


def double_cell(features, hidden, backend, dropout=0.0):
    torch.manual_seed(3)
    cell = RecurrentGraphCell(features, hidden, backend=backend, dropout=dropout).double()
    with torch.no_grad():  # biases start at zero, where an error in them would not show
        cell.b.normal_()
        cell.b_q.normal_()
    return cell


def numpy_cell(cell, x, matrix, h, c):
    """One node, one window, one day at a time."""
    weights = {name: value.detach().numpy() for name, value in cell.named_parameters()}
    size = cell.hidden
    days, nodes, batch, _ = x.shape
    out = np.empty((days, nodes, batch, size))
    h, c = h.copy(), c.copy()
    for t in range(days):
        q = np.tanh(h @ weights["W_q"] + weights["b_q"])
        h_new, c_new = np.empty_like(h), np.empty_like(c)
        for n in range(nodes):
            message = sum(matrix[n, m] * q[m] for m in range(nodes))
            for k in range(batch):
                z = x[t, n, k] @ weights["W_ih"] + h[n, k] @ weights["W_hh"] + weights["b"]
                i, f, o = (1 / (1 + np.exp(-z[j * size : (j + 1) * size])) for j in range(3))
                g = np.tanh(z[3 * size :])
                c_new[n, k] = f * (c[n, k] + message[k]) + i * g
                h_new[n, k] = o * np.tanh(c_new[n, k])
        h, c = h_new, c_new
        out[t] = h
    return out, h, c


@pytest.mark.parametrize(("features", "hidden", "expected"), [(7, 20, 2660), (1, 1, 14), (30, 32, 9120)])
def test_parameter_count(features, hidden, expected):
    cell = RecurrentGraphCell(features, hidden)
    assert [name for name, _ in cell.named_parameters()] == ["W_ih", "W_hh", "b", "W_q", "b_q"]
    assert sum(parameter.numel() for parameter in cell.parameters()) == expected


def test_initial_values_are_xavier_and_zero():
    cell = RecurrentGraphCell(7, 20)
    for matrix in (cell.W_ih, cell.W_hh, cell.W_q):
        bound = (6 / sum(matrix.shape)) ** 0.5
        assert 0.8 * bound < matrix.abs().max() <= bound
    assert not cell.b.any()
    assert not cell.b_q.any()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch", [1, 3])
def test_values_equal_a_numpy_loop(rng_state, backend, batch):
    operator, matrix = random_operator(rng_state, 6)
    cell = double_cell(4, 5, backend)
    x, h, c = (rng_state.normal(size=s) for s in [(9, 6, batch, 4), (6, batch, 5), (6, batch, 5)])
    expected, last_h, last_c = numpy_cell(cell, x, matrix, h, c)
    state = torch.tensor(h), torch.tensor(c)
    got, (got_h, got_c) = cell(torch.tensor(x), operator, state)
    np.testing.assert_allclose(got.detach(), expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(got_h.detach(), last_h, rtol=0, atol=1e-13)
    np.testing.assert_allclose(got_c.detach(), last_c, rtol=0, atol=1e-13)
    with torch.no_grad():
        quiet, (_, quiet_c) = cell(torch.tensor(x), operator, state)
    np.testing.assert_array_equal(quiet, got.detach())
    np.testing.assert_array_equal(quiet_c, got_c.detach())


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_steps_by_hand_on_five_reaches(backend):
    # Reaches 0 and 1 meet in 2, which flows to 3 and on to 4; each reads itself and what lies upstream.
    rows = [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0.25, 0.25, 0.5, 0, 0], [0, 0, 0.5, 0.5, 0], [0, 0, 0, 1, 0]]
    cell = RecurrentGraphCell(1, 1, backend=backend).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.W_ih[0, 3] = 1.0  # only the candidate reads the input; all gates stay at one half
        cell.W_q[0, 0] = 2.0
    x = torch.zeros(2, 5, 1, 1, dtype=torch.float64)
    x[0, 0] = np.arctanh(0.8)  # g = 0.8 at reach 0 on the first day
    hidden, (_, c) = cell(x, GraphOperator(sparse.csr_array(rows), dtype=torch.float64))
    # day 1: c = 0.5 * 0.8 = 0.4 and h = 0.5 tanh(0.4) = 0.189974481 at reach 0, nothing elsewhere
    assert hidden[0].ravel().tolist() == pytest.approx([0.189974481, 0, 0, 0, 0], abs=1e-9)
    # day 2: q_0 = tanh(2 * 0.189974481) = 0.362663143; c_0 = (0.4 + q_0) / 2; c_2 = q_0 / 8
    assert c.ravel().tolist() == pytest.approx([0.381331572, 0, 0.045332893, 0, 0], abs=1e-9)
    assert hidden[1].ravel().tolist() == pytest.approx([0.181931652, 0, 0.022650932, 0, 0], abs=1e-9)


@pytest.mark.parametrize("uses", ["hidden", "state", "both"])
@pytest.mark.parametrize("dropout", [0.0, 0.4], ids=["no-dropout", "dropout"])
def test_fused_gradients_equal_autograd(rng_state, dropout, uses):
    operator, _ = random_operator(rng_state, 7)
    arrays = [rng_state.normal(size=s) for s in [(11, 7, 2, 3), (7, 2, 4), (7, 2, 4)]]
    weights = torch.tensor(rng_state.normal(size=(11, 7, 2, 4)))
    results = []
    for backend in BACKENDS:
        cell = double_cell(3, 4, backend, dropout)
        leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
        torch.manual_seed(0)
        hidden, (h, c) = cell(leaves[0], operator, (leaves[1], leaves[2]))
        loss = torch.zeros((), dtype=torch.float64)
        if uses != "state":
            loss = loss + (hidden * weights).sum()
        if uses != "hidden":
            loss = loss + (c**2 * weights[0]).sum() + (h * weights[1]).sum()
        results.append([loss.detach(), *torch.autograd.grad(loss, [*leaves, *cell.parameters()])])
    for fused, reference in zip(*results, strict=True):
        torch.testing.assert_close(fused, reference, rtol=1e-10, atol=1e-10)


def test_fused_passes_gradcheck(rng_state):
    operator, _ = random_operator(rng_state, 3)
    cell = double_cell(2, 2, "torch")
    leaves = [
        torch.tensor(rng_state.normal(size=s), requires_grad=True)
        for s in [(4, 3, 2, 2), (3, 2, 2), (3, 2, 2)]
    ]
    names = [name for name, _ in cell.named_parameters()]

    def run(x, h, c, *parameters):
        given = dict(zip(names, parameters, strict=True))
        hidden, (_, last) = torch.func.functional_call(cell, given, (x, operator, (h, c)))
        return hidden, last

    assert torch.autograd.gradcheck(run, (*leaves, *cell.parameters()), atol=1e-7)


def test_backward_twice_over_one_graph(rng_state):
    operator, _ = random_operator(rng_state, 4)
    cell = double_cell(2, 3, "torch")
    hidden, _ = cell(torch.tensor(rng_state.normal(size=(6, 4, 1, 2))), operator)
    first = torch.autograd.grad(hidden.sum(), list(cell.parameters()), retain_graph=True)
    second = torch.autograd.grad(hidden.sum(), list(cell.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_state_continues_a_window(rng_state):
    operator, _ = random_operator(rng_state, 5)
    cell = double_cell(3, 4, "torch")
    x = torch.tensor(rng_state.normal(size=(12, 5, 2, 3)))
    whole, _ = cell(x, operator)
    head, state = cell(x[:7], operator)
    tail, _ = cell(x[7:], operator, state)
    torch.testing.assert_close(torch.cat([head, tail]), whole, rtol=0, atol=1e-14)


def test_batch_of_windows_equals_windows_alone(rng_state):
    operator, _ = random_operator(rng_state, 5)
    cell = double_cell(3, 4, "torch")
    x = torch.tensor(rng_state.normal(size=(8, 5, 3, 3)))
    together, _ = cell(x, operator)
    for window in range(3):
        alone, _ = cell(x[:, :, window : window + 1], operator)
        torch.testing.assert_close(together[:, :, window : window + 1], alone, rtol=0, atol=1e-14)


def test_strided_inputs_give_the_same(rng_state):
    operator, _ = random_operator(rng_state, 5)
    cell = double_cell(3, 4, "torch")
    x = torch.tensor(rng_state.normal(size=(2, 5, 8, 3))).permute(2, 1, 0, 3)
    assert not x.is_contiguous()
    torch.testing.assert_close(cell(x, operator)[0], cell(x.contiguous(), operator)[0], rtol=0, atol=0)


def test_single_precision_stays_close_over_a_year(rng_state):
    operator, _ = random_operator(rng_state, 20)
    cell = double_cell(7, 20, "torch")
    x = torch.tensor(rng_state.normal(size=(365, 20, 1, 7)))
    exact, _ = cell(x, operator)
    single, _ = cell.float()(x.float(), operator.to(dtype=torch.float32))
    assert float((single - exact).detach().abs().max()) < 2e-5


def test_dropout_draws_one_mask_a_call_and_rests_in_evaluation(rng_state):
    operator, _ = random_operator(rng_state, 30)
    cell = double_cell(3, 8, "torch", dropout=0.5)
    x = torch.tensor(rng_state.normal(size=(2, 30, 1, 3)))
    alone = GraphOperator(sparse.csr_array((30, 30)), dtype=torch.float64)  # nothing is passed on
    hidden, _ = cell(x, alone)
    dropped = hidden == 0  # c stays 0 exactly where the candidate is dropped, on every day
    assert 0.35 < float(dropped[0].double().mean()) < 0.65
    assert torch.equal(dropped[0], dropped[1])
    cell.eval()
    assert torch.equal(cell(x, operator)[0], cell(x, operator)[0])


def test_same_numbers_every_time(rng_state):
    operator, _ = random_operator(rng_state, 40, torch.float32)
    x = torch.tensor(rng_state.normal(size=(20, 40, 2, 7)), dtype=torch.float32)
    runs = []
    for _ in range(2):
        torch.manual_seed(7)
        cell = RecurrentGraphCell(7, 20)
        hidden, _ = cell(x, operator)
        hidden.square().sum().backward()
        runs.append([hidden.detach(), *(parameter.grad for parameter in cell.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_fused_keeps_only_inputs_and_two_states(rng_state):
    operator, _ = random_operator(rng_state, 10)
    cell = double_cell(3, 4, "torch")
    x = torch.tensor(rng_state.normal(size=(50, 10, 1, 3)))
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        cell(x, operator)
    small = sum(p.numel() for p in cell.parameters()) + 2 * 10 * 4
    assert sum(kept.values()) / 8 <= x.numel() + 2 * 50 * 10 * 4 + small


@pytest.mark.parametrize("name", ["torch", "numba"])
def test_autocast_computes_in_single_precision(rng_state, name):
    operator, _ = random_operator(rng_state, 12, torch.float32)
    cell = RecurrentGraphCell(3, 5, backend=name, dropout=0.5)
    x = torch.tensor(rng_state.normal(size=(6, 12, 1, 3)), dtype=torch.float32)

    def run(x, *, cast):
        torch.manual_seed(0)  # the same mask
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=cast):
            hidden, _ = cell(x, operator)
        return [hidden.detach(), *torch.autograd.grad(hidden.sum(), list(cell.parameters()))]

    for given in (x, x.bfloat16()):
        expected, got = run(given.float(), cast=False), run(given, cast=True)
        assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_another_backend_can_be_registered(monkeypatch):
    monkeypatch.delitem(CELL_BACKENDS, "mine", raising=False)
    calls = []

    @register_cell_backend("mine")
    def mine(*arguments):
        calls.append(1)
        return CELL_BACKENDS["reference"](*arguments)

    RecurrentGraphCell(1, 2, backend="mine")(torch.zeros(2, 3, 1, 1), GraphOperator(sparse.eye_array(3)))
    assert calls == [1]
    del CELL_BACKENDS["mine"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"n_features": 0}, InvalidArgumentError),
        ({"hidden": 0}, InvalidArgumentError),
        ({"dropout": 1.0}, InvalidArgumentError),
        ({"backend": "magic"}, UnknownNameError),
    ],
    ids=["no-features", "no-hidden", "dropout-of-all", "unknown-backend"],
)
def test_constructor_refuses(arguments, error):
    with pytest.raises(error):
        RecurrentGraphCell(**{"n_features": 2, **arguments})


@pytest.mark.parametrize(
    ("shape", "nodes", "state", "words"),
    [
        ((4, 3, 2), 3, None, "time >= 1"),
        ((4, 3, 1, 5), 3, None, "2 features"),
        ((4, 3, 1, 2), 6, None, "3 nodes"),
        ((4, 3, 1, 2), 3, (3, 2, 20), "state"),
    ],
    ids=["no-batch-axis", "features", "nodes", "state"],
)
def test_forward_refuses_shapes_that_do_not_fit(shape, nodes, state, words):
    operator = GraphOperator(sparse.eye_array(nodes))
    given = None if state is None else (torch.zeros(state), torch.zeros(state))
    with pytest.raises(InvalidArgumentError, match=words):
        RecurrentGraphCell(2)(torch.zeros(shape), operator, given)
