"""The compiled prediction against the cell's plain loop and the torch head in double precision."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sparse
import torch

from tests.small import in_days
from xmsgl.errors import InvalidArgumentError
from xmsgl.models.cell.compiled import scan as compiled
from xmsgl.models.methods.fused_head import compiled_predict, fold_head
from xmsgl.models.methods.heads import FineHead
from xmsgl.models.methods.msgl import MSGL, FineOnly
from xmsgl.models.parts.batch import Batch
from xmsgl.models.parts.inherited import InheritedInputs
from xmsgl.models.parts.operator import GraphOperator

#: time, coarse, fine, batch, feature, hidden: one of everything, odd sizes, several blocks, many windows
SIZES = {
    "one": (1, 1, 1, 1, 1, 1),
    "odd": (5, 7, 17, 3, 5, 7),
    "one-block": (6, 20, 90, 1, 7, 20),
    "three-blocks": (4, 70, 700, 1, 10, 20),
    "windows": (3, 9, 90, 5, 4, 12),
    "more-windows-than-a-block": (2, 3, 5, 300, 3, 4),
    "wide": (3, 30, 70, 2, 9, 33),
}


def ragged(rng, rows, columns):
    """Rows of zero to many weights; a third of the rows are empty."""
    matrix = sparse.random_array((rows, columns), density=min(0.5, 6 / columns), rng=rng).tolil()
    matrix[::3] = 0
    matrix[rows // 2, :] = rng.uniform(size=columns)
    return matrix.tocsr()


def remap(rng, rows, columns):
    where = np.sort(rng.integers(0, columns, rows))
    return sparse.csr_array((np.ones(rows), where, np.arange(rows + 1)), shape=(rows, columns))


def make(rng, sizes, *, anchored=True, wide=1.0, backend="auto", identity=0):
    """Return a model with random parameters and a batch, in single precision."""
    days, coarse, fine, batch, features, hidden = sizes
    options = {"anchored": anchored, "backend": backend, "identity": identity, "segments": 4}
    model = MSGL(features, hidden=hidden, heads=1, **options).eval()
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
        model.fine_head.norm.weight *= wide

    def inputs(n):
        return torch.tensor(rng.normal(size=(days, n, batch, features)), dtype=torch.float32)

    shapes = ((coarse, coarse), (fine, fine), (fine, coarse))
    graphs = [GraphOperator(ragged(rng, *shape)) for shape in shapes]
    joint = GraphOperator(remap(rng, fine, coarse))
    return model, Batch(inputs(coarse), inputs(fine), *graphs, joint)


def in_double(model, batch):
    """Return the plain loop and the torch head on the same numbers."""
    exact = MSGL(
        model.cell.n_features, hidden=model.cell.hidden, heads=1, anchored=model.anchored, backend="reference"
    )
    exact.load_state_dict(model.state_dict())
    names = [field.name for field in dataclasses.fields(batch)]
    doubled = {
        name: part.to(dtype=torch.float64) for name in names if (part := getattr(batch, name)) is not None
    }
    return exact.double().eval(), Batch(**doubled)


@pytest.fixture
def count(monkeypatch):
    """Count the calls of the compiled prediction."""
    calls = []

    def counted(*arguments, **options):
        calls.append(1)
        return compiled_predict(*arguments, **options)

    monkeypatch.setattr("xmsgl.models.methods.msgl.compiled_predict", counted)
    return calls


@pytest.mark.parametrize("anchored", [True, False], ids=["anchored", "as-published"])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
def test_the_prediction_equals_the_plain_one(rng_state, sizes, anchored, count):
    model, batch = make(rng_state, sizes, anchored=anchored)
    prediction, memory = model.stream(batch)
    assert count
    exact, doubled = in_double(model, batch)
    expected, left = exact.stream(doubled)
    scale = float(expected.abs().max())
    torch.testing.assert_close(prediction.double(), expected, rtol=1e-5, atol=3e-6 * scale)
    for got, true in zip(memory["fine"], left["fine"], strict=True):
        torch.testing.assert_close(got.double(), true, rtol=1e-5, atol=1e-5)


def test_gelu_near_zero_and_far_from_it(rng_state):
    """The inner channels reach from -60 to 60; the error stays at the rounding of single precision."""
    model, batch = make(rng_state, (3, 40, 400, 1, 4, 8), wide=20.0)
    inner = []
    exact, doubled = in_double(model, batch)
    exact.fine_head.inner.register_forward_hook(lambda *given: inner.append(given[2]))
    expected = exact.stream(doubled)[0]
    assert (inner[0].abs() > 30).any()
    assert (inner[0].abs() < 0.1).any()
    error = (model.stream(batch)[0].double() - expected).abs().max()
    assert float(error) < 1e-6 * float(expected.abs().max()) + 3e-6


def test_states_that_do_not_differ_between_channels(rng_state):
    """At zero everywhere the norm divides by its smallest number."""
    model, batch = make(rng_state, SIZES["odd"])
    with torch.no_grad():
        for name in ("W_ih", "W_hh", "b", "W_q", "b_q"):
            getattr(model.cell, name).zero_()
    exact, doubled = in_double(model, batch)
    torch.testing.assert_close(
        model.stream(batch)[0].double(), exact.stream(doubled)[0], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("pieces", [(1, 1, 1, 6), (4, 5), (8, 1)], ids=str)
def test_pieces_give_the_same_bits(rng_state, pieces):
    model, batch = make(rng_state, (9, 30, 300, 2, 3, 6))
    whole, end = model.stream(batch)
    parts, memory, first = [], None, 0
    for days in pieces:
        piece = dataclasses.replace(
            batch,
            x_coarse=batch.x_coarse[first : first + days],
            x_fine=batch.x_fine[first : first + days],
        )
        prediction, memory = model.stream(piece, memory)
        parts.append(prediction)
        first += days
    assert torch.equal(torch.cat(parts), whole)
    for scale in ("coarse", "fine"):
        assert all(torch.equal(a, b) for a, b in zip(memory[scale], end[scale], strict=True))


def test_threads_give_the_same_bits(rng_state, monkeypatch):
    monkeypatch.setattr(compiled, "_WORK", 1.0)
    model, batch = make(rng_state, (12, 60, 900, 1, 3, 5))
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(model.stream(batch)[0])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


@pytest.mark.parametrize("backend", ["torch", "reference"])
def test_other_backends_use_the_torch_head(rng_state, backend, count):
    model, batch = make(rng_state, SIZES["odd"])
    plain, _ = make(np.random.default_rng(0), SIZES["odd"], backend=backend)
    plain.load_state_dict(model.state_dict())
    fast = model.stream(batch)[0]
    calls = len(count)
    torch.testing.assert_close(plain.stream(batch)[0], fast, rtol=1e-5, atol=1e-5)
    assert len(count) == calls


def test_nan_is_not_hidden(rng_state):
    model, batch = make(rng_state, SIZES["odd"])
    batch.x_fine[0, 4, 0] = torch.nan
    batch.x_coarse[0, 2, 1] = torch.nan
    exact, doubled = in_double(model, batch)
    assert torch.equal(model.stream(batch)[0].isnan(), exact.stream(doubled)[0].isnan())


def test_the_folded_head_on_one_state(rng_state):
    """By hand, in double precision: what the kernel multiplies is what the head does."""
    torch.manual_seed(1)
    head = FineHead(6).double().eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_()
    z = torch.tensor(rng_state.normal(size=12))
    inner, direct = fold_head(head)
    quads = inner.reshape(2, 14, 4).astype(float)
    rows = np.concatenate([quads[0], quads[1]], axis=1)[:, :6]
    sums = z.numpy() @ rows[:12] / np.sqrt(z.numpy().var() + direct[14]) + rows[12]
    by_hand = (
        torch.nn.functional.gelu(torch.tensor(sums)).numpy() @ rows[13] + z.numpy() @ direct[:12] + direct[12]
    )
    np.testing.assert_allclose(by_hand, head(z[:6], z[6:]).item(), rtol=1e-6)
    assert direct[13] == np.float32(1 / 12)


@pytest.mark.parametrize(
    "part", ["operator", "interpolation", "hidden", "cell", "context", "base", "x", "none"]
)
def test_shapes_that_do_not_fit_are_refused(rng_state, part):
    model, batch = make(rng_state, SIZES["odd"])
    days, coarse, fine, windows, _, hidden = SIZES["odd"]
    state, context = torch.zeros(fine, windows, hidden), torch.zeros(days, coarse, windows, hidden)
    given = {
        "x": batch.x_fine,
        "operator": batch.fine_graph,
        "weights": model.cell.weights(),
        "state": (state, state),
        "across": (context, batch.interpolation),
        "head": fold_head(model.fine_head),
        "base": torch.zeros(days, fine, windows),
    }
    wrong = {
        "x": {"x": batch.x_fine[..., :-1]},
        "operator": {"operator": batch.coarse_graph},
        "interpolation": {"across": (context, batch.fine_graph)},
        "context": {"across": (context[:-1], batch.interpolation)},
        "none": {"across": None},
        "hidden": {"state": (state[:-1], state)},
        "cell": {"state": (state, state[..., :-1])},
        "base": {"base": given["base"][:, :-1]},
    }
    compiled_predict(**given)
    with pytest.raises(InvalidArgumentError, match=r"must be \(.*got|needs a context"):
        compiled_predict(**{**given, **wrong[part]})


INHERITED = {"one": (3, 5, 5, 1), "few": (4, 6, 11, 3), "block": (3, 40, 250, 10), "blocks": (3, 50, 700, 7)}


def inherit(rng, sizes, windows=1):
    days, sources, nodes, features = sizes
    rows = torch.tensor(rng.normal(size=(days, sources, windows, features)), dtype=torch.float32)
    fixed = torch.tensor(rng.normal(size=(nodes, features)), dtype=torch.float32)
    return InheritedInputs(rows, torch.tensor(rng.integers(0, sources, nodes)), fixed)


@pytest.mark.parametrize("windows", [1, 2])
@pytest.mark.parametrize("sizes", INHERITED.values(), ids=INHERITED.keys())
@pytest.mark.parametrize("identity", [0, 2])
def test_inherited_inputs_give_the_bits_of_their_expansion(rng_state, sizes, identity, windows, count):
    days, coarse, fine, features = sizes
    model, batch = make(rng_state, (days, coarse, fine, windows, features, 6), identity=identity)
    few = torch.tensor(rng_state.integers(-1, 4, fine))
    inherited = inherit(rng_state, sizes, windows)
    batch = dataclasses.replace(
        batch, x_fine=inherited, fine_segments=few, coarse_segments=torch.arange(coarse) % 4
    )
    assert inherited.expand().shape == inherited.shape == (days, fine, windows, features)
    expected = (
        torch.stack([inherited.rows[:, place] for place in inherited.place], dim=1) + inherited.fixed[:, None]
    )
    assert torch.equal(inherited.expand(), expected)
    expanded = dataclasses.replace(batch, x_fine=expected)
    assert torch.equal(model.stream(batch)[0], model.stream(expanded)[0])
    assert len(count) == 2
    plain, _ = make(
        np.random.default_rng(0), (days, coarse, fine, 1, features, 6), identity=identity, backend="torch"
    )
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(plain.stream(batch)[0], model.stream(batch)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sizes", INHERITED.values(), ids=INHERITED.keys())
def test_a_linear_head_equals_the_plain_one(rng_state, sizes, count):
    _, _, fine, features = sizes
    model = FineOnly(features, hidden=7).eval()
    batch = Batch(x_fine=inherit(rng_state, sizes), fine_graph=GraphOperator(ragged(rng_state, fine, fine)))
    exact = FineOnly(features, hidden=7, backend="reference").double().eval()
    exact.load_state_dict(model.state_dict())
    doubled = Batch(
        x_fine=batch.x_fine.expand().double(), fine_graph=batch.fine_graph.to(dtype=torch.float64)
    )
    assert model.fused
    assert not exact.fused
    got, end = model.stream(batch)
    assert count
    torch.testing.assert_close(got.double(), exact.stream(doubled)[0], rtol=1e-5, atol=1e-5)
    parts, memory = [], None
    for piece in in_days(batch, 2):
        prediction, memory = model.stream(piece, memory)
        parts.append(prediction)
    assert torch.equal(torch.cat(parts), got)
    assert all(torch.equal(a, b) for a, b in zip(memory["fine"], end["fine"], strict=True))


@pytest.mark.parametrize(
    "wrong",
    [{"place": torch.tensor([0, 2])}, {"place": torch.tensor([0, -1])}, {"fixed": torch.zeros(2, 4)}],
    ids=["beyond", "negative", "features"],
)
def test_sources_that_are_not_there_are_refused(wrong):
    given = {"rows": torch.zeros(5, 2, 1, 3), "place": torch.tensor([0, 1]), "fixed": torch.zeros(2, 3)}
    with pytest.raises(InvalidArgumentError, match=r"place .* with positions of sources"):
        InheritedInputs(**{**given, **wrong})


def test_numba_is_imported_at_first_use_only():
    code = "import sys, xmsgl.models.methods.msgl; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
