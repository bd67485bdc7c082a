"""The packaged models on a part of the Delaware that is cut into pieces, against the uncut part."""

from __future__ import annotations

import pytest

import xmsgl
from xmsgl.prediction import operators
from xmsgl.util.options import set_options

pytestmark = pytest.mark.delaware


@pytest.fixture(scope="module")
def basin(delaware_cache):
    with set_options(progress=False):
        ds = xmsgl.datasets.delaware(forcing="era5", region="02040104", cache_dir=delaware_cache)
    return ds.sel(time=slice("1990-10-01", "1991-09-30")).load()


@pytest.mark.parametrize("name", ["delaware-gauged", "delaware-ungauged"])
def test_pieces_differ_from_the_basin_by_less_than_a_hundredth_of_a_degree(basin, name, monkeypatch):
    whole = basin.msgl.downscale(name)
    daily = [str(each) for each in basin.data_vars if "time" in basin[each].dims]
    lazy = basin.assign({each: basin[each].chunk(time=100) for each in daily})
    set_options(largest_basin=60)
    found = lazy.msgl.downscale(name)
    assert len(found.chunks[1]) > 5
    assert float(abs(found - whole).max()) <= 0.01
    monkeypatch.setattr(operators, "_HALO", 0)
    apart = lazy.msgl.downscale(name)
    assert float(abs(apart - whole).max()) > 0.01
