"""The recurrent graph cell against NumPy, autograd and finite differences."""

from __future__ import annotations

import importlib.util
import json
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sparse
import torch

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.models.cell.cell import CELL_BACKENDS, RecurrentGraphCell
from xmsgl.models.parts.operator import GraphOperator

#: Without a GPU Triton's kernels run in its interpreter, see tests/conftest.py; on one, in test_gpu.py.
NO_TRITON = importlib.util.find_spec("triton") is None or torch.cuda.is_available()
BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(NO_TRITON, reason="Triton is not here, or not interpreted"))
    if name == "triton"
    else name
    for name in CELL_BACKENDS
]
FAST = [backend for backend in BACKENDS if backend != "reference"]


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
    np.testing.assert_allclose(got.detach(), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(got_h.detach(), last_h, rtol=0, atol=1e-12)
    np.testing.assert_allclose(got_c.detach(), last_c, rtol=0, atol=1e-12)
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


def outcome(backend, operator, arrays, dtype, *, dropout=0.0, uses="both"):
    """Values, the last cell state, and the gradients of everything."""
    x, h0, c0, weights = (torch.tensor(array, dtype=dtype) for array in arrays)
    cell = double_cell(x.shape[-1], h0.shape[-1], backend, dropout).to(dtype)
    leaves = [leaf.requires_grad_() for leaf in (x, h0, c0)]
    torch.manual_seed(0)  # the same mask for all
    hidden, (h, c) = cell(x, operator, (h0, c0))
    loss = torch.zeros((), dtype=dtype)
    if uses != "state":
        loss = loss + (hidden * weights).sum()
    if uses != "hidden":
        loss = loss + (c**2 * weights[0]).sum() + (h * weights[1]).sum()
    return [hidden.detach(), c.detach(), *torch.autograd.grad(loss, [*leaves, *cell.parameters()])]


def draw(rng, days, nodes, batch, features, hidden):
    node, channel = (nodes, batch), (hidden,)
    shapes = (days, *node, features), node + channel, node + channel, (days, *node, *channel)
    return [rng.normal(size=shape) for shape in shapes]


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("uses", ["hidden", "state", "both"])
@pytest.mark.parametrize("dropout", [0.0, 0.4], ids=["no-dropout", "dropout"])
def test_gradients_equal_autograd(rng_state, backend, dropout, uses):
    operator, _ = random_operator(rng_state, 7)
    arrays = draw(rng_state, 11, 7, 2, 3, 4)
    got, expected = (
        outcome(name, operator, arrays, torch.float64, dropout=dropout, uses=uses)
        for name in (backend, "reference")
    )
    for fast, reference in zip(got, expected, strict=True):
        torch.testing.assert_close(fast, reference, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("backend", FAST)
def test_single_precision_is_within_a_hundred_thousandth(rng_state, backend):
    operator, _ = random_operator(rng_state, 12, torch.float32)
    arrays = draw(rng_state, 20, 12, 2, 7, 20)
    got, expected = (outcome(n, operator, arrays, torch.float32, dropout=0.2) for n in (backend, "reference"))
    for fast, reference in zip(got, expected, strict=True):
        scale = float(reference.abs().max())
        torch.testing.assert_close(fast, reference, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("backend", BACKENDS)
def test_passes_gradcheck(rng_state, backend):
    operator, _ = random_operator(rng_state, 3)
    cell = double_cell(2, 2, backend)
    leaves = [
        torch.tensor(rng_state.normal(size=s), requires_grad=True)
        for s in [(3, 3, 2, 2), (3, 2, 2), (3, 2, 2)]
    ]
    names = [name for name, _ in cell.named_parameters()]

    def run(x, h, c, *parameters):
        given = dict(zip(names, parameters, strict=True))
        hidden, (_, last) = torch.func.functional_call(cell, given, (x, operator, (h, c)))
        return hidden, last

    # In an interpreter all numbers one by one take most of a minute; random directions do not.
    fast = backend == "triton"
    assert torch.autograd.gradcheck(run, (*leaves, *cell.parameters()), atol=1e-7, fast_mode=fast)


@pytest.mark.parametrize("backend", FAST)
def test_backward_twice_over_one_graph(rng_state, backend):
    operator, _ = random_operator(rng_state, 4)
    cell = double_cell(2, 3, backend)
    hidden, _ = cell(torch.tensor(rng_state.normal(size=(6, 4, 1, 2))), operator)
    first = torch.autograd.grad(hidden.sum(), list(cell.parameters()), retain_graph=True)
    second = torch.autograd.grad(hidden.sum(), list(cell.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("backend", FAST)
def test_state_continues_a_window(rng_state, backend):
    operator, _ = random_operator(rng_state, 5)
    cell = double_cell(3, 4, backend)
    x = torch.tensor(rng_state.normal(size=(12, 5, 2, 3)))
    whole, (_, last) = cell(x, operator)
    with torch.no_grad():  # which keeps two cell states only
        head, state = cell(x[:7], operator)
        tail, (_, end) = cell(x[7:], operator, state)
    torch.testing.assert_close(torch.cat([head, tail]), whole, rtol=0, atol=1e-14)
    torch.testing.assert_close(end, last, rtol=0, atol=1e-14)
    assert not end.requires_grad


@pytest.mark.parametrize("backend", FAST)
def test_batch_of_windows_equals_windows_alone(rng_state, backend):
    operator, _ = random_operator(rng_state, 5)
    cell = double_cell(3, 4, backend)
    x = torch.tensor(rng_state.normal(size=(8, 5, 3, 3)))
    together, _ = cell(x, operator)
    for window in range(3):
        alone, _ = cell(x[:, :, window : window + 1], operator)
        torch.testing.assert_close(together[:, :, window : window + 1], alone, rtol=0, atol=1e-14)


@pytest.mark.parametrize("backend", FAST)
def test_strided_inputs_give_the_same(rng_state, backend):
    operator, _ = random_operator(rng_state, 5)
    cell = double_cell(3, 4, backend)
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


def test_dropout_draws_one_mask_per_call_and_none_in_evaluation(rng_state):
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


def test_results_are_reproducible(rng_state):
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


def peak_bytes(run, path):
    """Peak memory of a call: tensors as torch counts them, arrays as Python does."""
    with torch.profiler.profile(profile_memory=True) as profile:
        tracemalloc.start()
        try:
            run()
            arrays = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    profile.export_chrome_trace(str(path))
    events = [event for event in json.loads(path.read_text())["traceEvents"] if event["name"] == "[memory]"]
    change = [event["args"]["Bytes"] for event in sorted(events, key=lambda event: event["ts"])]
    return arrays + int(np.cumsum(change).max())


@pytest.mark.parametrize(
    ("backend", "days", "nodes"), [("torch", 365, 456), ("numba", 365, 456), ("reference", 60, 456)]
)
def test_memory_of_a_step(rng_state, tmp_path, backend, days, nodes):
    """A year takes at most 4 values per reach, day and channel; plain autograd many more."""
    operator = GraphOperator(sparse.random_array((nodes, nodes), density=6 / nodes, rng=rng_state))
    cell = RecurrentGraphCell(7, 20, backend=backend)
    x = torch.zeros(days, nodes, 1, 7, requires_grad=True)
    gradient = torch.ones(days, nodes, 1, 20)

    def step():
        cell.zero_grad()
        hidden, _ = cell(x, operator)
        hidden.backward(gradient)

    step()  # compiles and fills the caches
    x.grad = None
    numbers = peak_bytes(step, tmp_path / "trace.json") / 4 / (days * nodes * 20)
    if backend == "reference":
        assert numbers > 8
    else:
        assert 2 < numbers <= 4


@pytest.mark.parametrize("backend", FAST)
def test_keeps_only_inputs_and_two_states(rng_state, backend):
    operator = GraphOperator(sparse.eye_array(60), dtype=torch.float32)
    cell = RecurrentGraphCell(3, 8, backend=backend)
    x = torch.tensor(rng_state.normal(size=(40, 60, 1, 3)), dtype=torch.float32)
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        cell(x, operator)
    assert 2 * 40 * 60 * 8 <= sum(kept.values()) / 4 - x.numel() <= 2.5 * 40 * 60 * 8


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
