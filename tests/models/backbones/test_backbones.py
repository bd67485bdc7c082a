"""The backbones, each against a plain loop over days with dense matrices."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from numpy.polynomial import chebyshev
from scipy.sparse.csgraph import dijkstra
from torch.func import functional_call
from torch.nn import functional

from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.models.backbones.convolution import CausalConvolution, ChebyshevConvolution, DiffusionConvolution
from xmsgl.models.backbones.dynamic import DynamicGraph
from xmsgl.models.backbones.recurrent import GraphAttentionLSTM, PlainLSTM
from xmsgl.models.backbones.registry import create_backbone
from xmsgl.models.backbones.stgcn import STGCN
from xmsgl.models.backbones.wavenet import GraphWaveNet
from xmsgl.models.methods.registry import create_model
from xmsgl.models.parts.operator import GraphOperator

#: Beside the recurrent graph cell, which has tests of its own.
OTHERS = ["lstm", "gat-lstm", "graph-wavenet", "stgcn", "dynamic"]


def operator_of(dense, dtype=torch.float64):
    return GraphOperator(sparse.csr_array(dense), dtype=dtype)


@pytest.fixture
def graph(rng_state):
    """Nine nodes with directed edges; rows sum to 1; one stored weight is zero."""
    dense = rng_state.uniform(size=(9, 9)) * (rng_state.uniform(size=(9, 9)) < 0.3) + np.eye(9)
    dense[4] = 0
    dense[4, 4] = 1  # reads itself alone
    matrix = sparse.csr_array(dense / dense.sum(1, keepdims=True))
    matrix.data[matrix.indptr[2] + 1] = 0.0
    return GraphOperator(matrix, dtype=torch.float64)


@pytest.fixture
def days(rng_state):
    """Inputs of forty days, nine nodes, two windows and three features."""
    return torch.tensor(rng_state.normal(size=(40, 9, 2, 3)))


def small(name, features=3, hidden=4, seed=0):
    """Make a backbone in double precision with random parameters."""
    torch.manual_seed(seed)
    make = {
        "lstm": PlainLSTM,
        "gat-lstm": GraphAttentionLSTM,
        "graph-wavenet": lambda *sizes: GraphWaveNet(*sizes, dilations=(1, 3, 2)),
        "stgcn": lambda *sizes: STGCN(*sizes, dilations=((1, 2), (3, 1))),
        "dynamic": lambda *sizes: DynamicGraph(*sizes, k=2, update=6, mix=0.8),
    }[name]
    backbone = make(features, hidden).double()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return backbone


# ------------------------------------------------- plain loops, a node and a day at a time


def weights_of(module):
    return {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def layer_norm(x, weight, bias):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * weight + bias


def plain_lstm(x, w):
    """Gates in the order of torch: i, f, g, o."""
    h = c = np.zeros((*x.shape[1:3], w["lstm.weight_hh_l0"].shape[1]))
    out = []
    for day in x:
        gates = day @ w["lstm.weight_ih_l0"].T + h @ w["lstm.weight_hh_l0"].T
        i, f, g, o = np.split(gates + w["lstm.bias_ih_l0"] + w["lstm.bias_hh_l0"], 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.stack(out)


def plain_gat_lstm(x, w, A):
    heads, channels = w["attention.att"].shape[1:]
    attended = np.empty((*x.shape[:3], heads * channels))
    for t, b in np.ndindex(x.shape[0], x.shape[2]):
        sent = x[t, :, b] @ w["attention.lin_l.weight"].T + w["attention.lin_l.bias"]
        asked = x[t, :, b] @ w["attention.lin_r.weight"].T + w["attention.lin_r.bias"]
        for i, k in np.ndindex(len(A), heads):
            own = slice(k * channels, (k + 1) * channels)
            read = np.flatnonzero(A[i])
            edge = A[i, read, None] * w["attention.lin_edge.weight"][own, 0]
            inner = sent[read, own] + asked[i, own] + edge
            score = np.where(inner > 0, inner, 0.2 * inner) @ w["attention.att"][0, k]
            share = np.exp(score) / np.exp(score).sum()
            attended[t, i, b, own] = share @ sent[read, own] + w["attention.bias"][own]
    elu = np.where(attended > 0, attended, np.expm1(attended))
    return plain_lstm(np.concatenate([x, elu], -1), w)


def plain_convolution(z, t, w, name, dilation):
    """Day t of a causal convolution; days before the first are zero."""
    out = w[f"{name}.bias"]
    for tap, matrix in enumerate(w[f"{name}.weight"]):
        if t - tap * dilation >= 0:
            out = out + z[t - tap * dilation] @ matrix.T
    return np.broadcast_to(out, (*z.shape[1:3], len(w[f"{name}.bias"])))


def plain_polynomial(day, w, name, matrices):
    """``b + sum_k P_k x W_k`` with dense matrices P_k."""
    width = day.shape[-1]
    parts = np.split(w[f"{name}.linear.weight"], len(matrices))
    terms = [np.einsum("ij,jbc->ibc", P, day) @ W.T for P, W in zip(matrices, parts, strict=True)]
    return sum(terms) + w[f"{name}.linear.bias"][:width]


def plain_wavenet(x, w, A, dilations):
    z = x @ w["start.weight"].T + w["start.bias"]
    skipped = 0
    for layer, dilation in enumerate(dilations):
        both = np.stack([plain_convolution(z, t, w, f"gates.{layer}", dilation) for t in range(len(z))])
        candidate, gate = np.split(both, 2, axis=-1)
        gated = np.tanh(candidate) * sigmoid(gate)
        skipped = skipped + gated @ w[f"skips.{layer}.weight"].T + w[f"skips.{layer}.bias"]
        if layer < len(dilations) - 1:
            powers = [np.linalg.matrix_power(A, k) for k in range(3)]
            mixed = np.stack([plain_polynomial(day, w, f"diffusions.{layer}", powers) for day in gated])
            z = layer_norm(z + mixed, w[f"norms.{layer}.weight"], w[f"norms.{layer}.bias"])
    return np.maximum(np.maximum(skipped, 0) @ w["end.weight"].T + w["end.bias"], 0)


def plain_stgcn(x, w, A, dilations):
    def gated(z, name, dilation):
        both = np.stack([plain_convolution(z, t, w, name, dilation) for t in range(len(z))])
        value, gate = np.split(both, 2, axis=-1)
        return (value + z) * sigmoid(gate)

    polynomials = [np.eye(len(A)), -A, 2 * A @ A - np.eye(len(A))]
    z = x @ w["start.weight"].T + w["start.bias"]
    for number, (first, second) in enumerate(dilations):
        block = f"blocks.{number}"
        u = gated(z, f"{block}.first", first)
        mixed = np.stack([plain_polynomial(day, w, f"{block}.graph", polynomials) for day in u])
        z = gated(np.maximum(u + mixed, 0), f"{block}.second", second)
        z = layer_norm(z, w[f"{block}.norm.weight"], w[f"{block}.norm.bias"])
    return z


def plain_cell(x, w, A):
    h = c = np.zeros((*x.shape[1:3], len(w["cell.W_q"])))
    out = []
    for day in x:
        i, f, o, g = np.split(day @ w["cell.W_ih"] + h @ w["cell.W_hh"] + w["cell.b"], 4, axis=-1)
        message = np.einsum("ij,jbc->ibc", A, np.tanh(h @ w["cell.W_q"] + w["cell.b_q"]))
        c = sigmoid(f) * (c + message) + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.stack(out)


def distances(A):
    """Shortest paths over edges of length log(largest of the row / weight), here by SciPy."""
    with np.errstate(divide="ignore"):
        length = np.log(A.max(1, keepdims=True) / A)
    return dijkstra(sparse.csr_array(np.where(np.isfinite(length), np.maximum(length, 1e-300), 0)))


def plain_dynamic(x, w, A, k, update, mix):
    z0 = plain_cell(x, w, A)
    away = distances(A)
    out = []
    for t in range(len(x)):
        first = t - t % update
        seen = z0[first - 1] if first else np.zeros(z0.shape[1:])
        mixed = np.zeros((*A.shape, x.shape[2]))
        for i, b in np.ndindex(len(A), x.shape[2]):
            last = np.sort(away[i][np.isfinite(away[i])])[: k + 1][-1]
            nearest = np.flatnonzero(away[i] <= last + 1e-9)  # those as far away as the last belong to them
            asked = w["query.weight"] @ seen[i, b] + w["query.bias"]
            score = [
                asked @ w["key.weight"] @ seen[j, b] / np.sqrt(len(asked)) + w["decay"] * np.log1p(away[i, j])
                for j in nearest
            ]
            share = mix * sigmoid(w["gate.weight"][0] @ seen[i, b] + w["gate.bias"][0])
            mixed[i, :, b] = (1 - share) * A[i]
            mixed[i, nearest, b] += share * np.exp(score) / np.exp(score).sum()
        layers = [z0[t]]
        for layer in range(2):
            read = np.einsum("ijb,jbc->ibc", mixed, layers[-1])
            layers.append(np.maximum(read @ w[f"graph.{layer}.weight"].T + w[f"graph.{layer}.bias"], 0))
        out.append(np.concatenate(layers, -1) @ w["join.weight"].T + w["join.bias"])
    return np.stack(out)


PLAIN = {
    "lstm": lambda x, w, A: plain_lstm(x, w),
    "gat-lstm": plain_gat_lstm,
    "graph-wavenet": lambda x, w, A: plain_wavenet(x, w, A, (1, 3, 2)),
    "stgcn": lambda x, w, A: plain_stgcn(x, w, A, ((1, 2), (3, 1))),
    "dynamic": lambda x, w, A: plain_dynamic(x, w, A, 2, 6, 0.8),
}


@pytest.mark.parametrize("name", OTHERS)
def test_equals_the_plain_loop(name, graph, days):
    backbone = small(name)
    expected = PLAIN[name](days.numpy(), weights_of(backbone), graph.to_scipy().toarray())
    hidden, _ = backbone(days, graph)
    assert hidden.shape == (40, 9, 2, 4)
    np.testing.assert_allclose(hidden.detach().numpy(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("taps", "dilation"), [(1, 1), (2, 1), (2, 5), (3, 2)])
def test_convolution_over_days_is_torchs(taps, dilation, rng_state):
    convolution = CausalConvolution(3, 5, taps=taps, dilation=dilation).double()
    x = torch.tensor(rng_state.normal(size=(12, 4, 3)))
    kernel = convolution.weight.permute(1, 2, 0).flip(-1)
    padded = functional.pad(x.permute(1, 2, 0), (convolution.span, 0))
    expected = functional.conv1d(padded, kernel, convolution.bias, dilation=dilation).permute(2, 0, 1)
    output, after = convolution(x, x.new_zeros(convolution.span, 4, 3))
    torch.testing.assert_close(output, expected)
    assert torch.equal(after, padded.permute(2, 0, 1)[len(padded[0, 0]) - convolution.span :])


@pytest.mark.parametrize("hops", [1, 2, 3, 5])
@pytest.mark.parametrize("cls", [DiffusionConvolution, ChebyshevConvolution])
def test_convolution_over_the_graph_is_a_polynomial(cls, hops, graph, rng_state):
    """On the eigenvectors of a symmetric operator the polynomial is one of its eigenvalues."""
    half = graph.to_scipy().toarray()
    matrix = (half + half.T) / 4
    values, vectors = np.linalg.eigh(matrix)
    convolution = cls(2, hops).double()
    parts = convolution.linear.weight.detach().numpy().reshape(hops + 1, 2, 2)
    x = rng_state.normal(size=(3, 9, 1, 2))
    expected = convolution.linear.bias.detach().numpy()[:2]
    for k, part in enumerate(parts):
        one = np.eye(hops + 1)[k]
        of = chebyshev.chebval(-values, one) if cls is ChebyshevConvolution else values**k
        expected = expected + np.einsum("ij,tjbc->tibc", vectors * of @ vectors.T, x) @ part.T
    output = convolution(torch.tensor(x), operator_of(matrix))
    np.testing.assert_allclose(output.detach().numpy(), expected, rtol=1e-10, atol=1e-10)


# --------------------------------------------------------------- time and graph


@pytest.mark.parametrize("name", OTHERS)
def test_days_depend_on_days_before_them_as_far_as_the_memory_reaches(name, graph, days):
    backbone = small(name)
    changed = days.clone()
    changed[20] += 1.0
    difference = backbone(changed, graph)[0] - backbone(days, graph)[0]
    touched = (difference != 0).flatten(1).any(1).numpy()
    stop = 21 + backbone.memory if hasattr(backbone, "memory") else 40
    np.testing.assert_array_equal(np.flatnonzero(touched), np.arange(20, stop))


@pytest.mark.parametrize(
    ("name", "steps"), [("lstm", 0), ("gat-lstm", 1), ("graph-wavenet", 4), ("stgcn", 4), ("dynamic", 6)]
)
def test_nodes_depend_on_what_the_graph_lets_them_read(name, steps, rng_state):
    """In a chain where each node reads the one before, information travels `steps` nodes and no further."""
    chain = operator_of(np.eye(9) * 0.6 + np.eye(9, k=-1) * 0.4)
    x = torch.tensor(rng_state.normal(size=(12, 9, 1, 3)))
    changed = x.clone()
    changed[:, 2] += 1.0
    backbone = small(name)
    difference = backbone(changed, chain)[0] - backbone(x, chain)[0]
    touched = (difference != 0).transpose(0, 1).flatten(1).any(1).numpy()
    np.testing.assert_array_equal(np.flatnonzero(touched), np.arange(2, 3 + steps))


@pytest.mark.parametrize("name", OTHERS)
def test_nodes_in_another_order_are_the_same_nodes(name, graph, days, rng_state):
    order = rng_state.permutation(9)
    matrix = graph.to_scipy()[order][:, order]
    backbone = small(name)
    expected = backbone(days, graph)[0][:, order]
    torch.testing.assert_close(backbone(days[:, order], operator_of(matrix))[0], expected)


@pytest.mark.parametrize("name", OTHERS)
def test_windows_are_independent(name, graph, days):
    backbone = small(name)
    both, alone = backbone(days, graph)[0], backbone(days[:, :, 1:], graph)[0]
    torch.testing.assert_close(both[:, :, 1:], alone)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("lengths", [[40], [1] * 40, [3, 20, 17]], ids=["whole", "days", "stretches"])
def test_days_after_days_give_what_one_run_gives(name, lengths, graph, days):
    backbone = small(name)
    expected, end = backbone(days, graph)
    parts, state = [], None
    for stretch in torch.split(days, lengths):
        hidden, state = backbone(stretch, graph, state)
        parts.append(hidden)
    torch.testing.assert_close(torch.cat(parts), expected)
    torch.testing.assert_close(state, end)
    assert [tuple(part.shape) for part in state] == backbone.state_shapes(9, 2)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("gradient", [True, False])
def test_pieces_change_nothing(name, gradient, graph, days, in_pieces):
    backbone = small(name)

    def run():
        with torch.set_grad_enabled(gradient):
            hidden, state = backbone(days, graph)
            loss = hidden.square().sum() + sum(part.sum() for part in state)
        return hidden, *(torch.autograd.grad(loss, list(backbone.parameters())) if gradient else ())

    whole = run()
    in_pieces(7)
    torch.testing.assert_close(run(), whole)


@pytest.mark.parametrize("name", OTHERS)
def test_gradients_are_those_of_finite_differences(name, rng_state, in_pieces):
    in_pieces(3)
    backbone = small(name, features=2, hidden=2)
    chain = operator_of(np.eye(3) * 0.7 + np.eye(3, k=1) * 0.3)
    x = torch.tensor(rng_state.normal(size=(7, 3, 1, 2)), requires_grad=True)
    names = [key for key, _ in backbone.named_parameters()]

    def run(x, *weights):
        hidden, state = functional_call(backbone, dict(zip(names, weights, strict=True)), (x, chain))
        return hidden, *state

    assert torch.autograd.gradcheck(run, (x, *backbone.parameters()), fast_mode=True)


@pytest.mark.parametrize("name", OTHERS)
def test_no_parameter_depends_on_the_number_of_nodes(name):
    backbone = small(name)
    assert not any(9 in tensor.shape or 17 in tensor.shape for tensor in backbone.state_dict().values())
    for nodes in (1, 9, 17):
        hidden, _ = backbone(torch.zeros(5, nodes, 1, 3).double(), operator_of(np.eye(nodes)))
        assert hidden.shape == (5, nodes, 1, 4)


@pytest.mark.parametrize("name", OTHERS)
def test_single_precision_is_close_to_double(name, graph, days):
    backbone = small(name)
    expected = backbone(days, graph)[0].float()
    hidden, state = backbone.float()(days.float(), graph.to(dtype=torch.float32))
    assert {part.dtype for part in (hidden, *state)} == {torch.float32}
    torch.testing.assert_close(hidden, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OTHERS)
def test_runs_in_mixed_precision(name, graph, days, in_pieces):
    in_pieces(7)
    backbone = small(name).float()
    exact = backbone(days.float(), graph.to(dtype=torch.float32))[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden, _ = backbone(days.float(), graph.to(dtype=torch.float32))
    hidden.float().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in backbone.parameters())
    assert (hidden.float() - exact).abs().mean() < 0.02 * exact.abs().mean() + 0.01


# ------------------------------------------------------------------- arguments


@pytest.mark.parametrize("method", ["msgl", "fine-only", "remap", "direct"])
@pytest.mark.parametrize("name", [name for name in OTHERS if name != "dynamic"])
@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"recurrent_dropout": 0.1}, "no recurrent_dropout, got 0.1"),
        ({"backend": "numba"}, "no backend, got 'numba'"),
    ],
    ids=["dropout", "backend"],
)
def test_options_that_a_backbone_lacks_are_refused(method, name, option, message):
    with pytest.raises(InvalidArgumentError, match=f"backbone '{name}' has {message}.* 'rgcn'"):
        create_model(method, n_features=3, backbone=name, **option)


def test_the_cell_keeps_its_options():
    cell = create_backbone("rgcn", 3, 4, recurrent_dropout=0.25, backend="torch")
    assert (cell.dropout, cell.backend) == (0.25, "torch")
    below = create_backbone("dynamic", 3, 4, recurrent_dropout=0.25, backend="torch").cell
    assert (below.dropout, below.backend) == (0.25, "torch")


def test_options_of_a_backbone_come_with_its_name():
    given = {"name": "graph-wavenet", "dilations": [1, 2], "hops": 1}
    backbone = create_model("fine-only", n_features=3, backbone=given).cell
    assert (len(backbone.gates), backbone.diffusions[0].hops) == (2, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "lstm", "k": 3}, "backbone 'lstm' has no option k; its options: none"),
        ({"name": "dynamic", "hops": 3}, "no option hops; its options: concat, depth, k, mix, update"),
        ({"name": "rgcn", "dropout": 0.1}, "no option dropout"),
        ({"k": 3}, "a mapping with a 'name'"),
        (3, "must be a name"),
    ],
)
def test_options_that_do_not_exist_are_refused(given, message):
    with pytest.raises(InvalidArgumentError, match=message):
        create_model("msgl", n_features=3, backbone=given)


def test_an_unknown_backbone_lists_the_known():
    with pytest.raises(UnknownNameError, match="dynamic, gat-lstm, graph-wavenet, lstm, rgcn, stgcn"):
        create_model("msgl", n_features=3, backbone="gru")


@pytest.mark.parametrize("name", OTHERS)
def test_what_does_not_fit_is_refused(name, graph, days):
    with pytest.raises(InvalidArgumentError, match="at least 1, got 0 and 4"):
        create_backbone(name, 0, 4)
    backbone = small(name)
    with pytest.raises(InvalidArgumentError, match="3 features"):
        backbone(days[..., :2], graph)
    with pytest.raises(InvalidArgumentError, match="have 8 nodes"):
        backbone(days[:, :8], graph)
    with pytest.raises(InvalidArgumentError, match="the days before returned"):
        backbone(days, graph, backbone(days[:, :, :1], graph)[1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CausalConvolution(1, 1, taps=2, dilation=0), "taps and dilation"),
        (lambda: ChebyshevConvolution(2, 0), "hops must be at least 1"),
        (lambda: GraphWaveNet(2, dilations=()), "at least one entry"),
        (lambda: STGCN(2, dilations=()), "at least one entry"),
    ],
)
def test_impossible_layers_are_refused(make, message):
    with pytest.raises(InvalidArgumentError, match=message):
        make()


@pytest.mark.parametrize(("hidden", "heads"), [(20, 4), (6, 2), (5, 1)])
def test_heads_divide_the_channels(hidden, heads):
    assert GraphAttentionLSTM(3, hidden).attention.heads == heads


def test_graph_libraries_are_imported_when_needed():
    code = (
        "import sys; from xmsgl.models.methods.registry import create_model;"
        "create_model('msgl', n_features=3); assert 'torch_geometric' not in sys.modules;"
        "create_model('msgl', n_features=3, backbone='gat-lstm'); assert 'torch_geometric' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
