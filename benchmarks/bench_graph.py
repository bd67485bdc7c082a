"""Building river graphs of the size of a continent, compared with general libraries."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.harness import Bar, Group, Series, sized
from benchmarks.plain_graph import networkx_operator, numpy_operator
from benchmarks.rivers import River, make_river
from xmsgl.network.crosswalk import interpolation_operator
from xmsgl.network.graph import RiverGraph
from xmsgl.network.kernels import DEFAULT_SCALE_M
from xmsgl.network.pairs import pair_rows
from xmsgl.network.topology import accumulate, link, topological_order

if TYPE_CHECKING:
    from benchmarks.harness import Runner, Step

HOPS = 5
CONTINENT = sized(2_700_000, 60)

WHOLE = Group(
    "Graph building",
    "From ids and lengths to the graph operator: link ids to positions, order them, accumulate the length of "
    "river upstream, weight neighbours up to 5 hops away, normalise rows to 1. Random rivers with the "
    "branching of real ones, reaches nearly in downstream order, ids in random order. Per reach, one thread. "
    "The reference is networkx, a loop over reaches in Python; NumPy and SciPy do the same with "
    "whole arrays (without order and accumulation).",
)
STEPS = Group(
    "Steps of graph building",
    "The steps for 2.7 million reaches; the reference is the whole build above, so a step that takes a "
    "quarter of its time is 4x. The cross-scale operator M is not part of it: it interpolates from as many "
    "coarse segments as the continental United States have.",
)


@lru_cache(maxsize=1)
def river_of(reaches: int) -> River:
    """Draw a river network; the last one is cached."""
    return make_river(reaches)


def build_whole(reaches: int) -> Step:
    """The whole build, with the package."""
    river = river_of(reaches)

    def step() -> Any:
        downstream = link(river.ids, river.downstream_ids)
        order = topological_order(downstream, ids=river.ids)
        total = accumulate(downstream, river.length)
        graph = RiverGraph.build(river.ids, downstream, river.length, hops=HOPS)
        return river.ids[order], total, graph.operator

    return step


def build_networkx(reaches: int) -> Step:
    """The same with networkx."""
    river = river_of(reaches)
    options = {"hops": HOPS, "scale": DEFAULT_SCALE_M}
    return lambda: networkx_operator(river.ids, river.downstream_ids, river.length, **options)


def build_numpy(reaches: int) -> Step:
    """The operator with NumPy and SciPy."""
    river = river_of(reaches)
    options = {"hops": HOPS, "scale": DEFAULT_SCALE_M}
    return lambda: numpy_operator(river.ids, river.downstream_ids, river.length, **options)


def build_part(step: str, reaches: int) -> Step:
    """One step alone."""
    river = river_of(reaches)
    steps = {
        "link": lambda: link(river.ids, river.downstream_ids),
        "order": lambda: topological_order(river.downstream),
        "accumulate": lambda: accumulate(river.downstream, river.length),
        "pairs up to 5 hops": lambda: pair_rows(river.downstream, river.length, hops=HOPS, loops=True),
        "graph (order, pairs, weights)": lambda: RiverGraph.build(
            river.ids, river.downstream, river.length, hops=HOPS
        ),
        "cross-scale operator M": lambda: interpolation_operator(
            river.downstream, river.length, river.segment, river.n_segments
        ),
    }
    return steps[step]


def check_operator(found: Any, expected: Any) -> None:
    """Compare two operators entry by entry."""
    apart = abs(found - expected)
    assert found.nnz == expected.nnz
    assert apart.max() < 1e-12


@pytest.mark.parametrize("reaches", sized([20_000, 200_000, 2_700_000], [30, 60]))
def bench_whole(case: Runner, reaches: int) -> None:
    continental = reaches == CONTINENT
    bars = [Bar("seconds", must=10), Bar("memory", must=2e9), Bar("process", must=2e9)]
    case(
        WHOLE,
        f"xmsgl, {reaches:,} reaches",
        build_whole,
        {"reaches": reaches},
        rounds=3 if continental else 5,
        warmup=0 if continental else 1,
        work=reaches,
        unit="reach",
        bars=bars if continental else [],
        memory=continental,
        warm={"reaches": 50},
        series=Series("graph building, xmsgl", "N", reaches),
    )


def bench_networkx(case: Runner) -> None:
    reaches = sized(20_000, 40)
    order, total, operator = case(
        WHOLE,
        f"networkx, {reaches:,} reaches",
        build_networkx,
        {"reaches": reaches},
        reference=True,
        rounds=3,
        work=reaches,
        unit="reach",
    )
    ids, own_total, own_operator = build_whole(reaches)()
    assert sorted(order) == sorted(ids)
    np.testing.assert_allclose(own_total, total)
    check_operator(own_operator, operator)


@pytest.mark.parametrize("reaches", sized([20_000, 200_000], [40]))
def bench_numpy(case: Runner, reaches: int) -> None:
    operator = case(
        WHOLE,
        f"NumPy and SciPy, {reaches:,} reaches",
        build_numpy,
        {"reaches": reaches},
        rounds=3,
        work=reaches,
        unit="reach",
    )
    check_operator(build_whole(reaches)()[2], operator)


def bench_all_steps(case: Runner) -> None:
    case(STEPS, "all", build_whole, {"reaches": CONTINENT}, reference=True, rounds=3, warmup=0)


@pytest.mark.parametrize(
    "step",
    [
        "link",
        "order",
        "accumulate",
        "pairs up to 5 hops",
        "graph (order, pairs, weights)",
        "cross-scale operator M",
    ],
)
def bench_step(case: Runner, step: str) -> None:
    case(
        STEPS,
        step,
        build_part,
        {"step": step, "reaches": CONTINENT},
        rounds=3,
        warmup=0,
        memory=step.startswith("cross") and CONTINENT > 60,
        warm={"reaches": 50},
    )
