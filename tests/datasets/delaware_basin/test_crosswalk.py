"""A crosswalk from nothing but the lines, against the one that the USGS published."""

from __future__ import annotations

import pytest
import xarray as xr

from xmsgl.readers import crosswalk

pytestmark = pytest.mark.delaware


def place(table, scale):
    lines = (scale, table["geometry"].to_numpy())
    return xr.Dataset({f"geometry_{scale}": lines}, coords={scale: table.index.to_numpy()})


@pytest.mark.parametrize("method", ["overlap", "nearest"])
def test_agrees_with_the_published_table(segments, main_stem, method):
    found = crosswalk(place(segments.table, "coarse"), place(main_stem.table, "fine"), method=method)
    published = main_stem.table["segment"]
    same = found.to_series() == published.reindex(found["fine"].to_index())
    assert len(published) == 3182
    assert same.sum() / len(published) >= 0.95  # 3,181 of 3,182 on the day this was written
    assert found.attrs["reaches_without_segment"] + len(found) == len(published)


def test_among_all_flowlines_some_off_the_courses_are_taken(segments, flowlines, crosswalk):
    """What the page on readers says of brooks beside a segment."""
    from xmsgl.datasets.delaware_basin.reaches import select_reaches
    from xmsgl.readers import crosswalk as match

    every = select_reaches(flowlines, crosswalk, "all").table
    found = match(place(segments.table, "coarse"), place(every, "fine"), buffer=100.0)
    on_course = found["fine"].to_index().isin(crosswalk.main_stem["comid"])
    assert (int(on_course.sum()), int((~on_course).sum())) == (3179, 683)
