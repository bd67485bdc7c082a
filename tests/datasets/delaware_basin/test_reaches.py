"""Fine topology: rules against plain loops, figures against a table worked out elsewhere."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmsgl.datasets.delaware_basin.reaches import (
    fill_drainage_area,
    nested_intervals,
    segment_orders,
    select_reaches,
)
from xmsgl.datasets.delaware_basin.segments import read_subsegments
from xmsgl.errors import NetworkError
from xmsgl.network.topology import contract


@st.composite
def forests(draw):
    """Downstream positions of a random forest: a reach flows to one of lower position, or out."""
    size = draw(st.integers(1, 30))
    return np.array([draw(st.integers(-1, position - 1)) for position in range(size)])


def intervals(downstream):
    """Number a forest upstream from its outlets, as NHDPlus does."""
    above = {position: [] for position in range(-1, len(downstream))}
    for position, below in enumerate(downstream):
        above[below].append(position)
    first, last = np.zeros(len(downstream), int), np.zeros(len(downstream), int)
    counter = 0

    def visit(position):
        nonlocal counter
        counter += 1
        first[position] = counter
        for tributary in above[position]:
            visit(tributary)
        last[position] = counter

    for outlet in above[-1]:
        visit(outlet)
    return first, last


@given(forests())
def test_nested_intervals_recover_the_forest(downstream):
    first, last = intervals(downstream)
    assert nested_intervals(first, last).tolist() == downstream.tolist()


@given(forests(), st.randoms(use_true_random=False))
def test_nested_intervals_agree_with_the_definition(downstream, random):
    first, last = intervals(downstream)
    order = list(range(len(first)))
    random.shuffle(order)
    first, last = first[order] * 10, last[order] * 10
    found = nested_intervals(first, last)
    for position, (low, high) in enumerate(zip(first, last, strict=True)):
        around = [
            other
            for other in range(len(first))
            if other != position and first[other] <= low and high <= last[other]
        ]
        smallest = min(around, key=lambda other: last[other] - first[other]) if around else -1
        assert found[position] == smallest


@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param([1, 2], [3, 4], id="overlap"),
        pytest.param([1, 1], [3, 3], id="same"),
        pytest.param([2], [1], id="empty"),
    ],
)
def test_intervals_that_are_not_nested(first, last):
    with pytest.raises(NetworkError, match="not nested"):
        nested_intervals(first, last)


@given(forests(), st.data())
def test_contract_agrees_with_walking(downstream, data):
    selected = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(downstream), max_size=len(downstream)))
    )
    kept = np.flatnonzero(selected)
    expected = []
    for position in kept:
        below = downstream[position]
        while below >= 0 and not selected[below]:
            below = downstream[below]
        expected.append(int(np.flatnonzero(kept == below)[0]) if below >= 0 else -1)
    assert contract(downstream, selected).tolist() == expected


def test_area_and_order_of_segments_without_their_own():
    segments = pd.DataFrame({"drainage_area": [5.0, 0.0, 9.0], "to_segment": [3, 3, 0]}, index=[1, 2, 3])
    reaches = pd.DataFrame(
        {"segment": [1, 2, 2], "drainage_area": [4.0, 0.5, 0.7], "stream_order": [3.0, 1.0, 2.0]}
    )
    area, filled = fill_drainage_area(segments, reaches)
    assert area.tolist() == [5.0, 0.7, 9.0]
    assert filled == [2]
    assert segment_orders(segments, reaches).tolist() == [3.0, 2.0, 3.0]


@pytest.fixture(scope="module")
def reference(beside_mirror):
    path = beside_mirror("reference/drb_fine_nhdplusv2_attributes.csv.gz")
    return pd.read_csv(path, dtype={"huc08": str, "huc12": str}).set_index("comid").sort_index()


@pytest.fixture(scope="module")
def everything(flowlines, crosswalk):
    return select_reaches(flowlines, crosswalk, "all")


@pytest.mark.delaware
class TestDelaware:
    def test_links_of_the_flowlines(self, flowlines):
        how = pd.Series(flowlines.how).value_counts()
        assert len(flowlines.table) == 16033
        assert (flowlines.downstream >= 0).sum() == 15842 + 1
        assert (how["outlet"], how["unresolved"]) == (43, 147)
        assert (how["interval"], how["endpoint"]) == (15829, 14)

    def test_no_cycle_and_depth(self, flowlines):
        edges = [(position, below) for position, below in enumerate(flowlines.downstream) if below >= 0]
        graph = nx.DiGraph(edges)
        assert nx.is_directed_acyclic_graph(graph)
        assert nx.dag_longest_path_length(graph) == 381

    def test_agrees_with_the_reference_table(self, flowlines, reference):
        ids = flowlines.table.index.to_numpy()
        assert reference.index.tolist() == ids.tolist()
        to = np.where(flowlines.downstream >= 0, ids[flowlines.downstream], 0)
        assert (reference["tocomid"].to_numpy() == to).all()
        np.testing.assert_allclose(flowlines.table["length"] / 1000, reference["length_km"])
        np.testing.assert_allclose(flowlines.table["drainage_area"], reference["watershed_hectares"] / 100)
        assert (flowlines.table["huc12"] == reference["huc12"]).all()
        assert (flowlines.table["huc8"] == reference["huc08"]).all()

    def test_drainage_area_closes(self, flowlines, files):
        """Inflow and own catchment give the drainage area within 1 % of it, along links by intervals.

        Counted over every flowline with at least one such link into it. The 14 links by line end points
        lead to 14 flowlines of incomplete interval, whose area is that of their own catchment alone.
        """
        own = pd.read_parquet(files["reaches"], columns=["catchment_hectares"])["catchment_hectares"]
        own = own.reindex(flowlines.table.index).to_numpy() / 100
        total, below = flowlines.table["drainage_area"].to_numpy(), flowlines.downstream
        linked = flowlines.how == "interval"
        inflow = np.bincount(below[linked], weights=total[linked], minlength=len(total))
        fed = np.bincount(below[linked], minlength=len(total)) > 0
        closed = np.abs(inflow + own - total)[fed] <= 0.01 * total[fed]
        assert (closed.sum(), closed.size) == (10704, 11186)
        assert round(closed.mean(), 3) == 0.957

    def test_crosswalk(self, crosswalk, flowlines):
        assert len(crosswalk.main_stem) == crosswalk.main_stem["comid"].nunique() == 3229
        assert len(crosswalk.catchment) == crosswalk.catchment["comid"].nunique() == 15740
        assert crosswalk.main_stem["comid"].isin(flowlines.table.index).sum() == 3182
        assert crosswalk.main_stem.groupby("subsegment").size().agg(["mean", "median", "max"]).round(
            1
        ).tolist() == [7.0, 5.0, 44.0]

    def test_main_stem(self, main_stem):
        table = main_stem.table
        assert len(table) == 3182
        assert table["length"].median() / 1000 == pytest.approx(0.93, abs=0.005)
        assert table["segment"].nunique() == 455
        assert main_stem.counts["flowlines_without_segment"] == 919
        assert main_stem.counts["reaches_missing_among_the_flowlines"] == 47
        assert (
            (main_stem.table["to_reach"] == 0).sum() == main_stem.counts["outlets_of_the_fine_network"] == 6
        )

    def test_main_stem_links_skip_what_was_left_out(self, main_stem, flowlines):
        ids = flowlines.table.index
        full = pd.Series(np.where(flowlines.downstream >= 0, ids[flowlines.downstream], 0), index=ids)
        chosen = set(main_stem.table.index)
        for comid, expected in main_stem.table["to_reach"].iloc[::7].items():
            below = full[comid]
            while below and below not in chosen:
                below = full[below]
            assert below == expected

    def test_hand_offs_follow_the_coarse_network(self, main_stem, segments):
        table, to_segment = main_stem.table, segments.table["to_segment"]
        below = table["segment"].reindex(table["to_reach"]).to_numpy()
        leaves = (table["to_reach"] > 0).to_numpy() & (below != table["segment"].to_numpy())
        agree = to_segment.reindex(table["segment"][leaves]).to_numpy() == below[leaves]
        assert leaves.sum() == 450
        # 447, not 449 as by sub-segment: one coarse link leads to the only segment without any reach among
        # the flowlines, one coarse network ends where the fine one goes on, one side channel
        assert agree.sum() == 447

    def test_hand_offs_follow_the_subsegments(self, flowlines, crosswalk, files):
        """A hand-off is a single link between flowlines on the courses of two sub-segments.

        Links across flowlines on no course are not followed. The one that disagrees leaves a sub-segment
        which flows to the only one without any flowline in the file.
        """
        to_subsegment = read_subsegments(files["segments"])["to_subsegment"]
        course = crosswalk.main_stem.set_index("comid")["subsegment"]
        linked, ids = flowlines.downstream >= 0, flowlines.table.index
        own = course.reindex(ids[linked]).to_numpy()
        below = course.reindex(ids[flowlines.downstream[linked]]).to_numpy()
        hands_off = pd.notna(own) & pd.notna(below) & (own != below)
        own, below = own[hands_off], below[hands_off]
        expected = to_subsegment.loc[own].to_numpy()
        assert (len(own), (expected == below).sum()) == (450, 449)
        absent = set(course) - set(course[course.index.isin(ids)])
        assert set(expected[expected != below]) == absent == {"287_1"}

    def test_sub_segments(self, main_stem, everything, crosswalk, segments):
        """Each flowline is on one course; of two lists that name it the course decides, for both columns."""
        course = {row.comid: row.subsegment for row in crosswalk.main_stem.itertuples()}
        catchment = {row.comid: row.subsegment for row in crosswalk.catchment.itertuples()}
        for table in (main_stem.table, everything.table):
            expected = [course.get(comid, catchment.get(comid)) for comid in table.index]
            assert table["subsegment"].tolist() == expected
            assert [segments.segment_of[name] for name in expected] == table["segment"].tolist()
        assert main_stem.table["subsegment"].nunique() == 458  # 287_1 has no flowline
        assert (main_stem.table.groupby("segment")["subsegment"].nunique() == 2).sum() == 3

    def test_all(self, everything, main_stem):
        assert len(everything.table) == 15114
        assert everything.counts["reaches_missing_among_the_flowlines"] == 626
        shared = everything.table["segment"].reindex(main_stem.table.index)
        assert (shared == main_stem.table["segment"]).all(), "the course decides, not the catchment"
        assert everything.counts["reaches_with_unresolved_link"] == 0
