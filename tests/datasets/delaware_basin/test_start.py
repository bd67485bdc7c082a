"""The packaged model on the Delaware: where a record begins changes little, and its basin is recognised."""

from __future__ import annotations

import json

import numpy as np
import pytest

import xmsgl
from benchmarks import card, packaged
from xmsgl.schema.graphs import known_segments
from xmsgl.util.options import set_options

pytestmark = pytest.mark.delaware


@pytest.fixture(scope="module")
def basin(delaware_cache):
    with set_options(progress=False):
        ds = xmsgl.datasets.delaware(forcing="era5", region="02040104", cache_dir=delaware_cache)
    return ds.sel(time=slice("1990-01-01", "1995-12-31")).load()


@pytest.mark.slow
def test_the_start_of_a_record_does_not_matter_after_the_flagged_days(basin):
    """Cut in four seasons."""
    whole = basin.msgl.downscale()
    for start in ("1992-01-05", "1992-04-05", "1992-07-05", "1992-10-05"):
        part = basin.sel(time=slice(start, None)).msgl.downscale()
        settled = abs(part - whole).where(part["spin_up"] == 0, drop=True)
        assert settled["time"].size > 365
        assert float(settled.max()) < 0.05


def test_a_part_of_the_basin_is_recognised(basin):
    """Its outlet drains nowhere now, which the whole basin's does not."""
    network = xmsgl.load_model("delaware-gauged").spec.network
    here = known_segments(basin)
    assert len(here.ids) < len(network.ids)
    assert np.count_nonzero([below == 0 for below in here.downstream]) == 1
    assert network.recognise(here).all()


@pytest.mark.slow
def test_a_figure_of_the_card_is_that_of_the_file(delaware_cache):
    facts = json.loads((card.PAGES / "delaware-gauged.json").read_text(encoding="utf-8"))
    with set_options(progress=False, data_dir=delaware_cache):
        assert packaged.scores("delaware-gauged", ["2021"]) == facts["scores"][1:]
