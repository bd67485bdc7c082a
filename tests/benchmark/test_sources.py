"""Sources: their water years, and the fraction of labels of a random basin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl.benchmark.sources import SOURCES, late_years, open_source, published_years, thin
from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.evaluate import TEMPORAL_PROTOCOL

BASIN = {"n_coarse": 3, "reaches_per_segment": 2, "years": 3}


def days(first, last):
    return xr.Dataset(coords={"time": pd.date_range(f"{first - 1}-10-01", f"{last}-09-30")})


@pytest.mark.parametrize(("last", "sizes"), [(2004, (1, 1, 1)), (2007, (4, 1, 1)), (2013, (8, 2, 2))])
def test_the_last_years_are_the_test(last, sizes):
    parts = late_years(days(2002, last))
    years = [list(range(first, end + 1)) for part in parts.values() for first, end in part]
    assert tuple(map(len, years)) == sizes
    assert [year for part in years for year in part] == list(range(2002, last + 1))
    assert list(parts) == ["train", "validation", "test"]


def test_two_years_are_not_enough():
    with pytest.raises(InvalidArgumentError, match=r"\[2002, 2003\].*years=3"):
        late_years(days(2002, 2003))


def test_the_delaware_has_the_published_years():
    assert published_years(days(1980, 2021)) is TEMPORAL_PROTOCOL
    assert SOURCES["delaware"].years is published_years


def test_a_fraction_of_the_simulated_basin_is_of_all_reach_days():
    ds = open_source("simulated", BASIN, fraction=0.02, draw=5)
    share = int(ds["water_temperature_fine"].notnull().sum()) / ds["water_temperature_fine"].size
    assert share == pytest.approx(0.02, abs=1e-3)
    other = open_source("simulated", BASIN, fraction=0.5, draw=5)
    xr.testing.assert_equal(ds["true_temperature_fine"], other["true_temperature_fine"])
    xr.testing.assert_equal(ds["water_temperature_coarse"], other["water_temperature_coarse"])


def test_every_draw_gives_another_basin():
    one, two = (open_source("simulated", BASIN, draw=draw)["true_temperature_fine"] for draw in (0, 1))
    assert not np.array_equal(one.values, two.values)


def test_a_dataset_is_opened_once(offer, river):
    offer(river)
    assert open_source("tiny", {}) is open_source("tiny", {}, fraction=0.1, draw=3) is river


def test_thinning_keeps_all_or_a_fraction(river):
    assert thin(river, None, 0) is river
    assert thin(river, 1.0, 0) is river
    n = int(river["water_temperature_fine"].count())
    assert int(thin(river, 0.25, 0)["water_temperature_fine"].count()) == round(0.25 * n)


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="known: delaware, simulated"):
        SOURCES["rhine"]
    with pytest.raises(InvalidArgumentError, match="no argument colour"):
        SOURCES["delaware"].check({"colour": 1})
