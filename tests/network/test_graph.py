"""River graphs against hand computation and a plain double loop."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import CycleError, InvalidArgumentError, NetworkError, UnknownNameError
from xmsgl.network.crosswalk import interpolation_operator, remap_operator
from xmsgl.network.graph import DEFAULT_HOPS, RiverGraph, RiverGraphs
from xmsgl.network.kernels import Exponential, Inverse, Reference, get_kernel
from xmsgl.network.topology import link

IDS = np.array([10, 20, 30, 40, 50])


@pytest.fixture
def graph(five):
    return RiverGraph.build(IDS, *five)


@pytest.fixture
def graphs(five, graph):
    coarse = RiverGraph.build(["a", "b", "c"], [1, 2, -1], [1e3, 5e3, 9e3], scale="coarse")
    return RiverGraphs.build(coarse, graph, [0, 1, 1, 2, 2], kernel="inverse")


def plain_operator(nx_graph, n, name, scale, hops):
    """Row-normalised dense operator, one pair at a time."""
    signed = np.zeros((n, n))
    steps = np.zeros((n, n))
    for i in range(n):
        for j, metres in nx.single_source_dijkstra_path_length(nx_graph, i).items():
            hop = nx.shortest_path_length(nx_graph, i, j)
            signed[i, j], signed[j, i] = metres, -metres  # from i's view j lies downstream
            steps[i, j] = steps[j, i] = hop
    weight = np.zeros((n, n))
    if name == "reference":  # written after the published steps
        entry = -signed
        used = entry != 0
        if used.any() and entry[used].std() > 1e-9:
            entry[used] = entry[used] - entry[used].mean()
            used = entry != 0
            entry[used] = entry[used] / (-signed)[signed != 0].std()
            weight[used] = 1 / (1 + np.exp(-entry[used]))
    else:
        for i in range(n):
            for j in range(n):
                if i != j and 0 < steps[i, j] <= hops:
                    d = abs(signed[i, j])
                    weight[i, j] = {
                        "exponential": math.exp(-d / scale),
                        "gaussian": math.exp(-((d / scale) ** 2) / 2),
                        "inverse": 1 / (1 + d / scale),
                    }[name]
    weight += np.eye(n)
    return weight / weight.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", ["exponential", "gaussian", "inverse", "reference"])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_operator_is_the_plain_double_loop(data, forests, as_networkx, name):
    downstream, length = data.draw(forests)
    # odd lengths, so that no entry of the reference kernel lies within rounding of the mean
    length = length + np.sqrt(np.arange(1, length.size + 1)) * 7.3
    n = downstream.size
    spec = name if name == "reference" else {"name": name, "scale_m": 3_000.0}
    hops = None if name == "reference" else 3
    built = RiverGraph.build(np.arange(1, n + 1), downstream, length, kernel=spec, hops=hops).operator
    expected = plain_operator(as_networkx(downstream, length), n, name, 3_000.0, 3)
    np.testing.assert_allclose(built.toarray(), expected, atol=1e-9)


def test_operator_by_hand(five):
    """Weights 1 / (1 + km); one hop."""
    operator = RiverGraph.build(IDS, *five, kernel={"name": "inverse", "scale_m": 1e3}, hops=1).operator
    expected = [
        [4 / 5, 0, 1 / 5, 0, 0],
        [0, 4 / 5, 1 / 5, 0, 0],
        [0.25 / 1.7, 0.25 / 1.7, 1 / 1.7, 0.2 / 1.7, 0],
        [0, 0, 6 / 41, 30 / 41, 5 / 41],
        [0, 0, 0, 1 / 7, 6 / 7],
    ]
    np.testing.assert_allclose(operator.toarray(), expected, rtol=1e-14)
    assert operator.dtype == np.float64
    assert operator.indices.dtype == np.int32


@pytest.mark.parametrize("direction", ["upstream", "downstream"])
def test_direction(five, direction):
    dense = RiverGraph.build(IDS, *five, direction=direction).operator.toarray()
    above = {0: [], 1: [], 2: [0, 1], 3: [0, 1, 2], 4: [0, 1, 2, 3]}
    below = {0: [2, 3, 4], 1: [2, 3, 4], 2: [3, 4], 3: [4], 4: []}
    for row, sources in (above if direction == "upstream" else below).items():
        assert np.flatnonzero(dense[row]).tolist() == sorted([row, *sources])


@settings(max_examples=30, deadline=None)
@given(
    data=st.data(),
    options=st.sampled_from(
        [{}, {"nearest": 2}, {"limit": 1500.0}, {"limit": np.inf}, {"kernel": "reference"}]
    ),
)
def test_rows_sum_to_one_and_hold_their_own_reach(data, forests, options):
    downstream, length = data.draw(forests)
    operator = RiverGraph.build(np.arange(1, length.size + 1), downstream, length, **options).operator
    np.testing.assert_allclose(operator.sum(axis=1), 1, rtol=1e-12)
    assert (operator.diagonal() > 0).all()
    assert operator.has_canonical_format


@pytest.mark.parametrize(
    ("options", "hops", "limit"),
    [
        pytest.param({}, DEFAULT_HOPS, None, id="default"),
        pytest.param({"limit": 2e3}, None, 2e3, id="limit"),
        pytest.param({"nearest": 3}, None, None, id="nearest"),
        pytest.param({"kernel": "reference"}, None, None, id="reference kernel"),
        pytest.param({"kernel": "reference", "hops": 2}, 2, None, id="reference kernel, few hops"),
        pytest.param({"limit": np.inf}, None, np.finfo(float).max, id="no limit at all"),
    ],
)
def test_settings_make_the_same_graph_again(five, options, hops, limit):
    first = RiverGraph.build(IDS, *five, **options)
    assert (first.hops, first.limit) == (hops, limit)
    kept = json.loads(json.dumps(first.settings(), allow_nan=False))
    again = RiverGraph.build(IDS, *five, **kept)
    assert again.settings() == first.settings()
    assert_same_bits(first.operator, again.operator)


def assert_same_bits(one, other):
    assert one.data.tobytes() == other.data.tobytes()
    assert one.indices.tobytes() == other.indices.tobytes()
    assert one.indptr.tobytes() == other.indptr.tobytes()


@settings(max_examples=20, deadline=None)
@given(data=st.data(), options=st.sampled_from([{}, {"nearest": 2}, {"kernel": "reference"}]))
def test_two_builds_are_equal_bit_for_bit(data, forests, options):
    downstream, length = data.draw(forests)
    ids = np.arange(1, length.size + 1)
    segment = np.arange(length.size) // 3
    builds = [RiverGraph.build(ids, downstream, length, **options) for _ in range(2)]
    assert_same_bits(builds[0].operator, builds[1].operator)
    joined = [
        interpolation_operator(downstream, length, segment, int(segment.max()) + 1, kernel=b.kernel)
        for b in builds
    ]
    assert_same_bits(*joined)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        pytest.param({"ids": [1, 2]}, NetworkError, r"\(2,\).*5 reaches", id="too few ids"),
        pytest.param({"length": [1.0]}, NetworkError, r"\(1,\)", id="too few lengths"),
        pytest.param({"downstream": [2, 2, 3, 4, 2]}, CycleError, "ids 30 -> 40 -> 50 -> 30", id="cycle"),
        pytest.param({"scale": "middle"}, InvalidArgumentError, "'middle'", id="scale"),
        pytest.param({"kernel": "sigmoid"}, UnknownNameError, "sigmoid", id="kernel"),
        pytest.param({"hops": -1}, InvalidArgumentError, "hops", id="hops"),
    ],
)
def test_build_refuses(five, change, error, words):
    given_ = {"ids": IDS, "downstream": five[0], "length": five[1]} | change
    with pytest.raises(error, match=words):
        RiverGraph.build(given_.pop("ids"), given_.pop("downstream"), given_.pop("length"), **given_)


def test_shapes_must_agree(five, graph):
    with pytest.raises(NetworkError, match=r"operator of shape \(2, 2\)"):
        RiverGraph(IDS, *five, graph.operator[:2, :2], "fine", Exponential())


def test_describe(five):
    downstream, length = np.append(five[0], -1), np.append(five[1], 7e3)
    graph = RiverGraph.build([10, 20, 30, 40, 50, 60], downstream, length, hops=1, kernel=Inverse(1e3))
    found = graph.describe()
    assert (found.nodes, found.edges, found.basins, found.depth, found.orphans) == (6, 8, 2, 3, (60,))
    assert (found.distance.minimum, found.distance.mean, found.distance.maximum) == (3e3, 3.75e3, 5e3)
    assert (found.degree.minimum, found.degree.mean, found.degree.maximum) == (0, 8 / 6, 3)
    assert found.weight.minimum == pytest.approx(0.2 / 1.7)
    assert found.weight.maximum == pytest.approx(1 / 5)
    text = str(found)
    for piece in ("6 fine reaches", "1 (60)", "up to 1 hop, ", "Inverse(scale_m=1000.0)", "3,750"):
        assert piece in text
    assert len(text.splitlines()) == 11


def test_graphs(graphs, graph):
    assert graphs.segment.tolist() == [0, 1, 1, 2, 2]
    assert (graphs.remap != remap_operator([0, 1, 1, 2, 2], 3)).nnz == 0
    expected = interpolation_operator(graph.downstream, graph.length, [0, 1, 1, 2, 2], 3, kernel="inverse")
    assert_same_bits(graphs.interpolation, expected)
    assert graphs.kernel == Inverse()
    kept = json.loads(json.dumps(graphs.settings(), allow_nan=False))
    assert kept["interpolation"] == {"kernel": {"name": "inverse", "scale_m": 10_000.0}, "limit": None}


def test_graphs_use_the_fine_kernel_by_default(five):
    fine = RiverGraph.build(IDS, *five, kernel="reference")
    coarse = RiverGraph.build([1], [-1], [2e4], scale="coarse")
    assert RiverGraphs.build(coarse, fine, [0] * 5).kernel == Reference()
    R = remap_operator([0] * 5, 1)
    assert RiverGraphs(coarse, fine, R, R).kernel == Reference()
    with pytest.raises(NetworkError, match="interpolation operator"):
        RiverGraphs(coarse, fine, R, R.T)


def test_graphs_describe(graphs):
    found = graphs.describe()
    assert found.coarse.nodes == 3
    assert found.fine.nodes == 5
    assert found.crosswalk.empty == 0
    assert (found.crosswalk.reaches.minimum, found.crosswalk.reaches.maximum) == (1, 2)
    assert found.crosswalk.entries == graphs.interpolation.nnz == 14
    assert str(found).count("min") == 3
    dense = graphs.interpolation.toarray()
    own = [dense[reach, segment] for reach, segment in enumerate(graphs.segment)]
    assert found.crosswalk.own.mean == pytest.approx(np.mean(own))
    nouns = [dict(each.facts())["nodes"] for each in (found.coarse, found.fine)]
    assert nouns == ["3 coarse segments", "5 fine reaches"]
    alone = RiverGraph.build([1], [-1], [2e4], scale="coarse").describe()
    assert dict(alone.facts())["nodes"] == "1 coarse segment"


def test_html_shows_the_description(graph, read_html):
    found = graph.describe()
    facts, spreads = read_html(graph._repr_html_()).tables
    assert [tuple(row) for row in facts] == found.facts()
    assert spreads[0] == ["", "min", "mean", "max"]
    assert spreads[1:] == [[label, *spread.cells()] for label, spread in found.spreads()]


def test_html_of_both_scales_has_their_crosswalk(graphs, read_html):
    page = read_html(graphs._repr_html_())
    assert page.titles == [
        "river graph, coarse scale",
        "river graph, fine scale",
        "crosswalk, coarse to fine",
    ]
    assert len(page.tables) == 6
    assert page.tables[4][0] == ["entries", "14"]
    assert graphs.describe()._repr_html_() == graphs._repr_html_()


def test_html_escapes_ids(read_html):
    page = read_html(RiverGraph.build(["<b>x</b>"], [-1], [1.0])._repr_html_())
    assert page.tables[0][-1] == ["orphans", "1 (<b>x</b>)"]
    assert "b" not in page.tags


def test_repr_is_short(graph, graphs):
    assert repr(graph).startswith("<RiverGraph fine: 5 nodes, 18 edges, up to 5 hops")
    assert repr(graphs).startswith("<RiverGraphs: 3 coarse and 5 fine nodes")
    assert "\n" not in repr(graph) + repr(graphs)


def test_kernel_object_and_name_make_the_same_graph(five):
    one = RiverGraph.build(IDS, *five, kernel=get_kernel("gaussian"))
    assert_same_bits(one.operator, RiverGraph.build(IDS, *five, kernel="gaussian").operator)


REFERENCE = Path(__file__).parents[3] / "shared" / "data" / "reference" / "drb_coarse_nhm_segments.csv"


@pytest.mark.delaware
@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference tables are not beside the repository")
def test_reference_kernel_is_as_dense_on_the_delaware_as_published():
    """14.7 % of all pairs of segments are connected; confluences as counted in the data's own notes."""
    with REFERENCE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    ids = [row["subseg_id"] for row in rows]
    downstream = link(ids, [row["to_subseg"] for row in rows], what="segment")
    length = [float(row["length_m"]) for row in rows]
    found = RiverGraph.build(ids, downstream, length, scale="coarse", kernel="reference").describe()
    assert found.edges / found.nodes**2 == pytest.approx(0.147, abs=5e-4)
    assert np.bincount(np.bincount(downstream[downstream >= 0], minlength=len(ids)))[1:].tolist() == [
        236,
        108,
    ]
    assert found.orphans == ()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("text", [False, True], ids=["numbers", "text"])
def test_the_nearest_do_not_depend_on_the_order_of_the_reaches(seed, text):
    """Equal lengths everywhere: above each confluence, branches are equally near."""
    rng = np.random.default_rng(seed)
    n = 40
    below = np.array([-1, *(rng.integers(max(0, k - 4), k) for k in range(1, n))])
    ids = rng.permutation(np.arange(100, 100 + n)).astype(str if text else np.int64)
    first = RiverGraph.build(ids, below, np.full(n, 500.0), nearest=3)
    assert first.operator.nnz < n * n
    order = rng.permutation(n)
    where = np.argsort(order)
    moved = np.where(below[order] < 0, -1, where[below[order]])
    second = RiverGraph.build(ids[order], moved, np.full(n, 500.0), nearest=3)
    np.testing.assert_allclose(
        second.operator.toarray(), first.operator.toarray()[np.ix_(order, order)], atol=1e-15
    )
    assert second.rows().source.size == second.operator.nnz
    np.testing.assert_array_equal(second.rows().source, second.operator.indices)
