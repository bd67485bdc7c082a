"""Where the fine river may leave the coarse one, and what the report says about it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from xmsgl.datasets import simulated
from xmsgl.errors import InvalidDatasetError
from xmsgl.schema.validate import validate


@pytest.fixture(scope="module")
def basin():
    return simulated(n_coarse=30, years=1, label_fraction=0.2, seed=3)


def below_of(ds, scale):
    return dict(zip(ds[scale].values.tolist(), ds[f"downstream_{scale}"].values.tolist(), strict=True))


def headwaters(ds):
    """Segments that no other flows into, which have a neighbour, and that neighbour: both flow to one."""
    below = below_of(ds, "coarse")
    tops = [one for one in below if one not in below.values()]
    return [
        (one, other)
        for one in tops
        for other in below
        if one != other and below[other] == below[one] and below[one]
    ]


def changed(ds, name, **at):
    array = ds[name].copy(deep=True)
    array.loc[at["where"]] = at["value"]
    return ds.assign({name: array})


def test_a_valid_basin_has_all_links_along_the_river(basin):
    report = validate(basin)
    crosswalk = dict(zip(basin.fine.values.tolist(), basin.coarse_segment.values.tolist(), strict=True))
    links = sum(
        to != 0 and crosswalk[to] != crosswalk[reach] for reach, to in below_of(basin, "fine").items()
    )
    assert (report.links, report.aside) == (links, ())
    assert "leave the coarse river" not in str(report)


def test_a_single_link_aside_is_reported(basin, read_html):
    """The lowest reach of a headwater flows into the neighbour, where two sources may disagree."""
    own, neighbour = headwaters(basin)[0]
    below = below_of(basin, "fine")
    on = {seg: basin.fine.values[basin.coarse_segment.values == seg].tolist() for seg in (own, neighbour)}
    last = next(reach for reach in on[own] if below[reach] not in on[own])
    target = next(reach for reach in on[neighbour] if below[reach] not in on[neighbour])
    report = validate(changed(basin, "downstream_fine", where={"fine": last}, value=target))
    assert report.aside == ((last, target),)
    line = f"1 of {report.links} links between segments leave the coarse river: {last} -> {target}"
    assert line in str(report)
    assert line in read_html(report._repr_html_()).text
    assert json.loads(json.dumps(report.to_dict()))["aside"] == [[last, target]]


def test_a_shuffled_crosswalk_is_refused(basin):
    shuffled = np.random.default_rng(0).permutation(basin.coarse_segment.values)
    with pytest.raises(InvalidDatasetError) as caught:
        validate(basin.assign(coarse_segment=("fine", shuffled, basin.coarse_segment.attrs)))
    faults = "\n".join(caught.value.faults)
    assert "flows into a segment upstream" in faults
    assert "links between segments lead to a segment that is neither downstream nor upstream" in faults


def test_a_reversed_fine_river_is_refused(river):
    """Every reach flows to where it came from, along one arm; the outlet is at the source."""
    up = {12: 11, 11: 10, 10: 7, 7: 6, 6: 5, 5: 2, 2: 1, 1: 0}
    values = [up.get(reach, below) for reach, below in below_of(river, "fine").items()]
    with pytest.raises(InvalidDatasetError, match="flows into a segment upstream"):
        validate(river.assign(downstream_fine=("fine", values, {"units": "1"})))


def test_every_break_of_the_main_stem_is_found(basin):
    """Of a segment's reaches the lowest has the greatest area: cut there, its water ends in mid-river."""
    below = below_of(basin, "fine")
    outlets = [segment for segment, to in below_of(basin, "coarse").items() if to == 0]
    order = np.argsort(basin.drainage_area_fine.values)
    last = dict(
        zip(basin.coarse_segment.values[order].tolist(), basin.fine.values[order].tolist(), strict=True)
    )
    for segment, reach in last.items():
        if segment in outlets:
            continue
        assert below[reach]
        with pytest.raises(InvalidDatasetError, match=rf"ends? in mid-river.*: {reach} \(on {segment}\)"):
            validate(changed(basin, "downstream_fine", where={"fine": reach}, value=0), values=False)


def test_areas_as_text_do_not_hide_a_break(river):
    spoilt = changed(river, "downstream_fine", where={"fine": 5}, value=0)
    text = spoilt.assign(drainage_area_fine=spoilt["drainage_area_fine"].astype(str))
    with pytest.raises(InvalidDatasetError, match=r"ends? in mid-river.*: 5 \(on 103\)"):
        validate(text)


def test_faults_of_the_networks_come_first(river):
    """Where ids are unknown, the path of the water is unknown too."""
    spoilt = changed(river, "downstream_fine", where={"fine": 5}, value=99)
    with pytest.raises(InvalidDatasetError) as caught:
        validate(changed(spoilt, "coarse_segment", where={"fine": 1}, value=103))
    assert len(caught.value.faults) == 1
