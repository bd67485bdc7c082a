"""The compiled cell against the plain loop, finite differences and the math library."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from scipy.special import expit

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.cell.cell import CELL_BACKENDS, RecurrentGraphCell
from xmsgl.models.cell.compiled import scan as compiled
from xmsgl.models.parts.operator import GraphOperator

#: time, node, batch, feature, hidden: one of everything, odd sizes, several blocks, many windows
SIZES = {
    "one": (1, 1, 1, 1, 1),
    "tiny": (5, 3, 1, 2, 2),
    "odd": (9, 17, 3, 5, 7),
    "one-block": (7, 40, 1, 7, 20),
    "two-blocks": (4, 300, 1, 7, 20),
    "windows": (3, 90, 5, 4, 12),
    "more-windows-than-a-block": (2, 3, 300, 3, 4),
    "wide": (3, 70, 1, 30, 33),
    "wider": (2, 5, 2, 4, 64),
}


def run(backend, sizes, operator, arrays, dtype, *, dropout=0.0, uses="both"):
    """Return outputs and all gradients; parameters and dropout are the same for every backend."""
    _, _, _, features, hidden = sizes
    torch.manual_seed(3)
    cell = RecurrentGraphCell(features, hidden, backend=backend, dropout=dropout).to(dtype)
    with torch.no_grad():  # biases start at zero, where an error in them would not show
        cell.b.normal_()
        cell.b_q.normal_()
    x, h, c, weight = (torch.tensor(array, dtype=dtype) for array in arrays)
    leaves = [leaf.requires_grad_() for leaf in (x, h, c)]
    torch.manual_seed(0)
    hidden_states, (_, last) = cell(x, operator, (h, c))
    loss = torch.zeros((), dtype=dtype)
    if uses != "state":
        loss = loss + (hidden_states * weight).sum()
    if uses != "hidden":
        loss = loss + (last**2 * weight[0]).sum()
    return [hidden_states.detach(), last.detach(), *torch.autograd.grad(loss, [*leaves, *cell.parameters()])]


def draw(rng, sizes):
    days, nodes, batch, features, hidden = sizes
    shapes = [(days, nodes, batch, features), (nodes, batch, hidden), (nodes, batch, hidden)]
    return [rng.normal(size=shape) for shape in (*shapes, (days, nodes, batch, hidden))]


def assert_same(got, expected, tolerance):
    names = "hidden", "cell", "dx", "dh0", "dc0", "dW_ih", "dW_hh", "db", "dW_q", "db_q"
    for name, a, b in zip(names, got, expected, strict=True):
        scale = float(b.abs().max())
        torch.testing.assert_close(
            a, b, rtol=tolerance, atol=tolerance * scale, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
def test_values_and_gradients_equal_the_plain_loop_in_double(rng_state, ragged_operator, sizes):
    operator, arrays = ragged_operator(sizes[1], torch.float64), draw(rng_state, sizes)
    got, expected = (run(name, sizes, operator, arrays, torch.float64) for name in ("numba", "reference"))
    assert_same(got, expected, 1e-12)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
def test_single_precision_is_as_close_to_the_truth_as_the_plain_loop(rng_state, ragged_operator, sizes):
    operator, arrays = ragged_operator(sizes[1], torch.float32), draw(rng_state, sizes)
    exact = run("reference", sizes, operator.to(dtype=torch.float64), arrays, torch.float64)
    got = run("numba", sizes, operator, arrays, torch.float32)
    plain = run("reference", sizes, operator, arrays, torch.float32)
    for a, b, truth in zip(got, plain, exact, strict=True):
        scale = float(truth.abs().max())
        allowed = 1e-6 * scale + 3 * float((b - truth).abs().max())
        assert float((a - truth).abs().max()) <= allowed


@pytest.mark.parametrize("uses", ["hidden", "state", "both"])
@pytest.mark.parametrize("dropout", [0.0, 0.4], ids=["no-dropout", "dropout"])
def test_what_the_loss_uses_and_dropout(rng_state, ragged_operator, uses, dropout):
    sizes = 6, 270, 2, 3, 6
    operator, arrays = ragged_operator(270, torch.float64), draw(rng_state, sizes)
    got, expected = (
        run(name, sizes, operator, arrays, torch.float64, dropout=dropout, uses=uses)
        for name in ("numba", "reference")
    )
    assert_same(got, expected, 1e-12)


def test_passes_gradcheck_with_a_mask(rng_state, ragged_operator):
    operator = ragged_operator(4, torch.float64)
    shapes = [(3, 4, 2, 2), (4, 2, 3), (4, 2, 3), (2, 12), (3, 12), (12,), (3, 3), (3,)]
    leaves = [torch.tensor(rng_state.normal(size=shape), requires_grad=True) for shape in shapes]
    mask = torch.tensor(rng_state.integers(0, 2, (4, 2, 3)) * 1.25)

    def scan(x, h, c, *weights):
        return compiled.compiled_scan(x, operator, compiled.CellWeights(*weights), (h, c), mask)

    assert torch.autograd.gradcheck(scan, leaves, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["single", "double"])
def test_strided_inputs_states_and_gradients(rng_state, ragged_operator, dtype):
    operator = ragged_operator(20, dtype)
    cell = RecurrentGraphCell(3, 8, backend="numba").to(dtype)
    x = torch.tensor(rng_state.normal(size=(2, 20, 8, 6)), dtype=dtype).permute(2, 1, 0, 3)[..., ::2]
    state = tuple(torch.tensor(rng_state.normal(size=(8, 2, 20)), dtype=dtype).permute(2, 1, 0) for _ in "hc")
    weight = torch.tensor(rng_state.normal(size=(20, 8, 2, 8)), dtype=dtype).transpose(0, 1)
    results = []
    for inputs, start, grad in (
        (x, state, weight),
        (x.contiguous(), [s.contiguous() for s in state], weight.contiguous()),
    ):
        hidden, _ = cell(inputs, operator, tuple(start))
        results.append([hidden.detach(), *torch.autograd.grad(hidden, list(cell.parameters()), grad)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    spread = torch.autograd.grad(cell(x, operator)[0].sum(), list(cell.parameters()))
    whole = torch.autograd.grad(
        cell(x, operator)[0], list(cell.parameters()), torch.ones(8, 20, 2, 8, dtype=dtype)
    )
    assert all(torch.equal(a, b) for a, b in zip(spread, whole, strict=True))


def test_inference_gives_the_same_and_continues(rng_state, ragged_operator):
    operator = ragged_operator(30, torch.float32)
    cell = RecurrentGraphCell(4, 6, backend="numba")
    x = torch.tensor(rng_state.normal(size=(11, 30, 2, 4)), dtype=torch.float32)
    hidden, (last_h, last_c) = cell(x, operator)
    with torch.no_grad():
        head, state = cell(x[:4], operator)
        tail, (end_h, end_c) = cell(x[4:], operator, state)
    assert torch.equal(torch.cat([head, tail]), hidden.detach())
    assert torch.equal(end_h, last_h.detach())
    assert torch.equal(end_c, last_c.detach())
    assert not end_c.requires_grad


def test_keeps_inputs_and_two_states(rng_state, ragged_operator):
    operator = ragged_operator(480, torch.float32)
    cell = RecurrentGraphCell(3, 8, backend="numba")
    x = torch.tensor(rng_state.normal(size=(30, 480, 1, 3)), dtype=torch.float32)
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        cell(x, operator)
    assert sum(kept.values()) / 4 <= x.numel() + 2.5 * 30 * 480 * 8


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["single", "double"])
def test_sigmoid_and_tanh_against_the_math_library(dtype):
    # One feature reaches the gates of hidden channel 0 unchanged; q stays zero, so c = f c' + i g.
    x = np.concatenate([np.linspace(-30, 30, 4001), np.geomspace(1e-6, 1, 200), [0.0, 1e4, -1e4]])
    zero = np.zeros_like(x)

    def hidden_states(weights, h, c):
        cell = RecurrentGraphCell(1, 1, backend="numba").to(
            torch.float64 if dtype == np.float64 else torch.float32
        )
        with torch.no_grad():
            for parameter in cell.parameters():
                parameter.zero_()
            cell.W_ih.copy_(torch.tensor(weights))
            operator = GraphOperator(sparse.csr_array((x.size, x.size)), dtype=cell.W_ih.dtype)
            parts = (torch.tensor(v.astype(dtype)).reshape(-1, 1, 1) for v in (x, h, c))
            inputs, *state = parts
            return [v.numpy().ravel().astype(float) for v in cell(inputs[None], operator, tuple(state))[1]]

    given = x.astype(dtype).astype(float)
    sigmoid = expit(given)
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    floor = 2e-9 if dtype == np.float32 else 1e-17  # where sigmoid is cut to be flat
    _, c = hidden_states([[0.0, 1.0, 0.0, 0.0]], zero, zero + 1)
    np.testing.assert_allclose(c, sigmoid, rtol=tolerance, atol=floor)
    _, c = hidden_states([[0.0, 0.0, 0.0, 1.0]], zero, zero)
    np.testing.assert_allclose(c, 0.5 * np.tanh(given), rtol=tolerance, atol=0)
    h, _ = hidden_states([[0.0, 0.0, 0.0, 0.0]], zero, 2 * x)
    np.testing.assert_allclose(h, 0.5 * np.tanh(given), rtol=tolerance, atol=0)


def test_nan_spreads_to_its_readers_only(rng_state):
    operator = GraphOperator(sparse.csr_array(np.array([[1.0, 0, 0], [1.0, 0, 0], [0, 0, 1.0]])))
    cell = RecurrentGraphCell(2, 4, backend="numba")
    x = torch.zeros(3, 3, 1, 2)
    x[0, 0] = torch.nan
    hidden, _ = cell(x, operator)
    assert hidden[0, 0].isnan().all()
    assert hidden[1, 1].isnan().all()  # reads reach 0
    assert hidden[:, 2].isfinite().all()


def test_results_with_threads_repeat_exactly(rng_state, ragged_operator, monkeypatch):
    monkeypatch.setattr(compiled, "_WORK", 1.0)
    before = torch.get_num_threads()
    sizes = 12, 700, 1, 3, 5
    operator, arrays = ragged_operator(700, torch.float64), draw(rng_state, sizes)
    try:
        torch.set_num_threads(1)
        alone = run("numba", sizes, operator, arrays, torch.float64)
        torch.set_num_threads(3)
        assert compiled.sizes_of(torch.zeros(12, 700, 1, 3), weights_like(5), keep=True).workers == 3
        first, second = (run("numba", sizes, operator, arrays, torch.float64) for _ in range(2))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(first[0], alone[0])
    assert_same(first, alone, 1e-12)


def weights_like(hidden):
    return compiled.CellWeights(*(torch.zeros(hidden, hidden) for _ in range(5)))


def test_a_thread_that_cannot_start_is_reported_without_waiting(rng_state, ragged_operator, monkeypatch):
    monkeypatch.setattr(compiled, "_WORK", 1.0)
    start, started = threading.Thread.start, []

    def refuse_the_second(thread):
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    before = torch.get_num_threads()
    operator = ragged_operator(800, torch.float32)
    cell = RecurrentGraphCell(2, 3, backend="numba")
    monkeypatch.setattr(threading.Thread, "start", refuse_the_second)
    try:
        torch.set_num_threads(3)
        with torch.no_grad(), pytest.raises(RuntimeError, match="new thread"):
            cell(torch.zeros(5, 800, 1, 2), operator)
    finally:
        torch.set_num_threads(before)
    assert not started[0].is_alive()


def test_single_thread_repeats_exactly(rng_state, ragged_operator):
    sizes = 20, 400, 2, 7, 20
    operator, arrays = ragged_operator(400, torch.float32), draw(rng_state, sizes)
    first, second = (run("numba", sizes, operator, arrays, torch.float32) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_numba_is_imported_at_first_use_only():
    code = "import sys, xmsgl.models.cell.cell; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_auto_is_the_default_and_compiled_on_the_cpu(rng_state, ragged_operator):
    assert RecurrentGraphCell(1).backend == "auto"
    sizes = 4, 30, 2, 3, 5
    operator, arrays = ragged_operator(30, torch.float32), draw(rng_state, sizes)
    auto, numba = (run(name, sizes, operator, arrays, torch.float32) for name in ("auto", "numba"))
    assert all(torch.equal(a, b) for a, b in zip(auto, numba, strict=True))


def test_refuses_another_device():
    operator = GraphOperator(sparse.eye_array(2))
    with pytest.raises(InvalidArgumentError, match="on the CPU, but the inputs are on meta"):
        CELL_BACKENDS["numba"](
            torch.zeros(1, 2, 1, 1, device="meta"),
            operator,
            compiled.CellWeights(*[None] * 5),
            (None, None),
            None,
        )
