"""The spatial protocol draws sub-segments where the dataset names them, otherwise segments."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xmsgl.benchmark.protocols import PROTOCOLS
from xmsgl.benchmark.sources import SOURCES, Source, late_years
from xmsgl.errors import InvalidArgumentError

NAMES = ["1_1", "1_2", "10_1", "2_1", "2_1", "3_1", "3_2", "4_1", "5_1", "11_1"]
SEGMENT = [1, 1, 10, 2, 2, 3, 3, 4, 5, 11]
UNLABELLED = "4_1"


@pytest.fixture
def basin():
    """Seven segments, two of them in two parts, one without fine labels, in random order."""
    rng = np.random.default_rng(3)
    order = rng.permutation(10)
    labels = rng.normal(10, 3, (6, 10)).astype(np.float32)
    labels[:, NAMES.index(UNLABELLED)] = np.nan
    return xr.Dataset(
        {
            "coarse_segment": ("fine", np.array(SEGMENT)[order]),
            "subsegment_fine": ("fine", np.array(NAMES, dtype=object)[order]),
            "water_temperature_fine": (("time", "fine"), labels[:, order]),
            "water_temperature_coarse": (("time", "coarse"), np.ones((6, 7), np.float32)),
        },
        {
            "time": pd.date_range("2001-01-01", periods=6),
            "coarse": rng.permutation(np.unique(SEGMENT)),
            "fine": 100 + order,
        },
    )


def hide(ds, draw, **more):
    hidden, fine, _ = PROTOCOLS["spatial"].hide(ds, Source(lambda: ds, late_years, **more), draw)
    return hidden, sorted(ds["fine"].values[fine.values].tolist())


def expected(pool, count, draw, owners):
    """Reaches whose segment has a drawn member, by a plain loop; `owners` is the member of each reach."""
    drawn = [pool[place] for place in np.random.RandomState(draw).choice(len(pool), count, replace=False)]
    segments = []
    for owner, segment in zip(owners, SEGMENT, strict=True):
        if owner in drawn:
            segments.append(segment)
    return [100 + place for place, segment in enumerate(SEGMENT) if segment in segments]


@pytest.mark.parametrize("draw", range(8))
def test_sub_segments_with_labels_are_drawn(basin, draw):
    pool = ["1_1", "1_2", "10_1", "11_1", "2_1", "3_1", "3_2", "5_1"]
    hidden, held = hide(basin, draw, hold_out_by="subsegment_fine")
    assert held == expected(pool, 1, draw, NAMES)  # int(0.2 * 8); rounding would draw two
    for reach, segment in zip(basin["fine"].values, basin["coarse_segment"].values, strict=True):
        gone = not bool(hidden["water_temperature_fine"].sel(fine=reach).notnull().any())
        assert gone == (reach in held or reach == 100 + NAMES.index(UNLABELLED))
        visible = bool(hidden["water_temperature_coarse"].sel(coarse=segment).notnull().all())
        assert visible == (reach not in held)


@pytest.mark.parametrize("draw", range(8))
@pytest.mark.parametrize("lacking", [True, False], ids=["no variable", "not requested"])
def test_segments_with_labels_are_drawn_otherwise(basin, draw, lacking):
    ds = basin.drop_vars("subsegment_fine") if lacking else basin
    _, held = hide(ds, draw, **({"hold_out_by": "subsegment_fine"} if lacking else {}))
    assert held == expected([1, 2, 3, 5, 10, 11], 1, draw, SEGMENT)


def test_a_region_draws_from_its_own_segments(basin):
    part = basin.isel(fine=basin["coarse_segment"].isin([2, 3]).values).sel(coarse=[2, 3])
    halves = {tuple(hide(part, draw, hold_out_by="subsegment_fine")[1]) for draw in range(20)}
    assert halves == {(103, 104), (105, 106)}  # at least one is drawn, and its segment as a whole


def test_nothing_to_draw_from(basin):
    part = basin.isel(fine=basin["coarse_segment"].values == 4)
    with pytest.raises(InvalidArgumentError, match="no candidates to draw from"):
        hide(part, 0, hold_out_by="subsegment_fine")


def test_only_the_delaware_names_sub_segments():
    assert {name: source.hold_out_by for name, source in SOURCES.items()} == {
        "delaware": "subsegment_fine",
        "simulated": None,
        "willamette": None,
        "yakima": None,
    }


def test_folds_hide_every_segment_once(river):
    """Draws 0 to 4 and 5 to 9 are each a division of the gauged segments, at both scales."""
    source = Source(lambda: river, late_years)
    for repeat in range(2):
        scored = []
        for fold in range(5):
            hidden, fine, _ = PROTOCOLS["kfold"].hide(river, source, 5 * repeat + fold)
            scored += river["fine"].values[fine.values].tolist()
            gone = set(river["coarse_segment"].values[fine.values].tolist())
            for scale, owner in (("coarse", river["coarse"]), ("fine", river["coarse_segment"])):
                label = f"water_temperature_{scale}"
                left = hidden[label].count("time") > 0
                known = river[label].count("time") > 0
                np.testing.assert_array_equal(left, known & ~np.isin(owner, list(gone)))
        seen = river["water_temperature_fine"].notnull().any("time")
        assert sorted(scored) == sorted(river["fine"].values[seen.values].tolist())
