"""A crosswalk from nothing but the lines, against the one that the USGS published."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xmsgl.network.topology import first_selected
from xmsgl.readers import crosswalk

pytestmark = pytest.mark.delaware


def place(table, scale):
    lines = (scale, table["geometry"].to_numpy())
    return xr.Dataset({f"geometry_{scale}": lines}, coords={scale: table.index.to_numpy()})


@pytest.mark.parametrize("method", ["overlap", "nearest"])
def test_agrees_with_the_published_table(segments, main_stem, method):
    found = crosswalk(
        place(segments.table, "coarse"), place(main_stem.table, "fine"), method=method, tributaries=False
    )
    published = main_stem.table["segment"]
    same = found.to_series() == published.reindex(found["fine"].to_index())
    assert len(published) == 3182
    assert same.sum() / len(published) >= 0.95  # 3,181 of 3,182 on the day this was written
    assert found.attrs["reaches_without_segment"] + len(found) == len(published)


def test_among_all_flowlines_some_off_the_courses_are_taken(segments, flowlines, crosswalk):
    """Brooks beside a segment are matched to it."""
    from xmsgl.datasets.delaware_basin.reaches import select_reaches
    from xmsgl.readers import crosswalk as match

    every = select_reaches(flowlines, crosswalk, "all").table
    found = match(place(segments.table, "coarse"), place(every, "fine"), buffer=100.0, tributaries=False)
    on_course = found["fine"].to_index().isin(crosswalk.main_stem["comid"])
    assert (int(on_course.sum()), int((~on_course).sum())) == (3179, 683)


def test_drainage_to_the_main_stem_is_the_published_catchment(flowlines, crosswalk):
    """The main stems of one published table and the links, against the catchments of the other."""
    stem, catchment = (
        table.drop_duplicates("comid").set_index("comid")["segment"].reindex(flowlines.table.index)
        for table in (crosswalk.main_stem, crosswalk.catchment)
    )
    on_stem, inside = stem.notna().to_numpy(), catchment.notna().to_numpy()
    first = first_selected(flowlines.downstream, on_stem)
    same = stem.to_numpy()[first] == catchment.to_numpy()
    assert (int((inside & ~on_stem).sum()), int((inside & ~on_stem & same).sum())) == (11_932, 11_932)
    assert int((inside & on_stem & same).sum()) == int(on_stem.sum()) - 2
    assert (first[~inside] < 0).all()  # what drains to the bay has no segment


def test_tributaries_from_lines_and_links(segments, flowlines, crosswalk):
    """The share on the page on readers."""
    from xmsgl.datasets.delaware_basin.reaches import select_reaches
    from xmsgl.readers import crosswalk as match

    every = select_reaches(flowlines, crosswalk, "all").table
    fine = place(every, "fine").assign(downstream_fine=("fine", every["to_reach"].to_numpy()))
    shares = []
    for buffer in (200.0, 50.0):
        found = match(place(segments.table, "coarse"), fine, buffer=buffer)
        assert found.attrs["reaches_without_segment"] == 0
        shares.append(np.mean(found.to_series() == every["segment"]))
    assert shares == pytest.approx([0.956, 0.970], abs=5e-4)
