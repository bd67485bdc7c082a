from __future__ import annotations

import logging
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import DataLossWarning, InvalidArgumentError, InvalidDatasetError
from xmsgl.schema.combine import combine
from xmsgl.schema.tree import to_datatree
from xmsgl.schema.validate import validate

NAMES = {
    "coarse": "seg_id_nat",
    "fine": "comid",
    "time": "date",
    "air_temperature": "tave",
    "water_temperature": "temp_c",
    "downstream_coarse": "to_seg",
    "downstream_fine": "tocomid",
    "length": "length_m",
}


def split(river):
    """The two datasets a user would have, in their own names, without the crosswalk."""
    bare = river.drop_vars("coarse_segment")
    coarse = bare.drop_dims("fine").rename(
        {n: str(n).removesuffix("_coarse") for n in bare.drop_dims("fine").data_vars}
    )
    fine = bare.drop_dims("coarse").rename(
        {n: str(n).removesuffix("_fine") for n in bare.drop_dims("coarse").data_vars}
    )
    coarse = coarse.rename(
        coarse="seg_id_nat",
        time="date",
        air_temperature="tave",
        water_temperature="temp_c",
        downstream="to_seg",
        length="length_m",
    )
    fine = fine.rename(
        fine="comid", time="date", water_temperature="temp_c", downstream="tocomid", length="length_m"
    )
    return (
        coarse,
        fine,
        dict(zip(river.fine.values.tolist(), river.coarse_segment.values.tolist(), strict=True)),
    )


def same_data(left, right):
    xr.testing.assert_equal(left[sorted(left.variables)], right[sorted(right.variables)])


def test_gives_the_dataset_of_the_convention(river):
    ds = combine(*split(river), names=NAMES)
    same_data(ds, river)
    assert validate(ds) == validate(river)
    assert ds.attrs["title"] == river.attrs["title"]
    assert ds.attrs["history"].endswith(
        "combined 5 segments and 12 reaches, 800 times (2001-10-01 00:00:00 to 2003-12-09 00:00:00)"
    )


@pytest.mark.parametrize(
    "form",
    [
        lambda d: d,
        lambda d: pd.Series(d),
        lambda d: pd.Series({k: float(v) for k, v in d.items()}),
        lambda d: xr.DataArray(list(d.values()), dims="comid", coords={"comid": list(d)}),
        lambda d: {**d, 4711: 101, 4712: 999},
    ],
    ids=["dict", "series", "float-series", "dataarray", "with-reaches-not-needed"],
)
def test_forms_of_the_crosswalk(river, form):
    coarse, fine, crosswalk = split(river)
    same_data(combine(coarse, fine, form(crosswalk), names=NAMES), river)


@settings(max_examples=25, deadline=None)
@given(coarse=st.permutations(range(5)), fine=st.permutations(range(12)), links=st.permutations(range(12)))
def test_everything_is_matched_by_id(river_once, coarse, fine, links):
    river = river_once.isel(time=slice(4))
    left, right, crosswalk = split(river)
    pairs = list(crosswalk.items())
    ds = combine(
        left.isel(seg_id_nat=coarse), right.isel(comid=fine), dict(pairs[i] for i in links), names=NAMES
    )
    assert ds.fine.values.tolist() == river.fine.values[list(fine)].tolist()
    same_data(ds.sortby("coarse").sortby("fine"), river)


def test_datatree_nodes_are_accepted(river):
    tree = to_datatree(river)
    crosswalk = tree["fine/coarse_segment"]
    same_data(combine(tree["coarse"], tree["fine"], crosswalk), river)


def test_the_given_crosswalk_holds(river):
    tree = to_datatree(river)
    ds = combine(tree["coarse"], tree["fine"], dict.fromkeys(river.fine.values.tolist(), 103))
    assert (ds.coarse_segment == 103).all()


def test_text_ids(river):
    coarse, fine, crosswalk = split(river)
    coarse, fine = (
        coarse.assign_coords(seg_id_nat=coarse.seg_id_nat.astype(str)),
        fine.assign_coords(comid=fine.comid.astype(str)),
    )
    ds = combine(coarse, fine, {str(k): str(v) for k, v in crosswalk.items()}, names=NAMES)
    assert ds.coarse_segment.values.tolist() == [str(v) for v in river.coarse_segment.values]


def padded(river, days):
    """The river with fine labels on these days only, by a plain where."""
    kept = river.time.isin(river.time[days])
    return river.assign(water_temperature_fine=river.water_temperature_fine.where(kept))


def test_labels_do_not_cut_the_weather(river):
    coarse, fine, crosswalk = split(river)
    ds = combine(coarse, fine.isel(date=slice(20, 90)), crosswalk, names=NAMES)
    same_data(ds, padded(river, slice(20, 90)))
    validate(ds)
    assert ds.attrs["history"].endswith(
        "combined 5 segments and 12 reaches, 800 times (2001-10-01 00:00:00 to 2003-12-09 00:00:00); "
        "70 of 70 days of the fine dataset joined"
    )


def test_labels_without_weather_are_counted(river, caplog):
    coarse, fine, crosswalk = split(river)
    fine["temp_c"][35:80, 1] = 7.0
    fine["temp_c"][35:80, 2:] = np.nan
    fine["temp_c"][30:35] = fine["temp_c"][80:90] = np.nan
    labels = int(fine.temp_c.isel(date=slice(30, 90)).notnull().sum())
    assert labels >= 45
    told = (
        f"45 days with {labels} labels of the fine dataset left out, "
        "because the coarse dataset has no weather on them: "
        "2001-11-05 to 2001-12-19; give the weather of these days to keep them"
    )
    with pytest.warns(DataLossWarning) as caught, caplog.at_level(logging.INFO, "xmsgl.schema.combine"):
        ds = combine(coarse.isel(date=slice(0, 30)), fine.isel(date=slice(20, 90)), crosswalk, names=NAMES)
    same_data(ds, padded(river, slice(20, 90)).isel(time=slice(0, 30)))
    assert [str(warning.message) for warning in caught] == [told]
    assert caught[0].filename == __file__
    assert ds.attrs["history"].endswith(f"10 of 70 days of the fine dataset joined; {told}")
    assert caplog.messages[-1].endswith(told)


def test_weather_of_both_scales_is_cut_to_the_common_days(river):
    coarse, fine, crosswalk = split(river)
    own = fine.assign(tave=fine.temp_c.fillna(5.0)).isel(date=slice(20, 90))
    with pytest.warns(
        DataLossWarning, match=r"^20 days .* of the (coarse|fine) dataset left out, because the w"
    ) as caught:
        ds = combine(coarse.isel(date=slice(0, 70)), own, crosswalk, names=NAMES)
    assert len(caught) == 2
    assert ds.time.values.tolist() == river.time.values[20:70].tolist()
    same_data(ds.drop_vars("air_temperature_fine"), river.isel(time=slice(20, 70)))


def test_days_of_other_resolution(river):
    coarse, fine, crosswalk = split(river)
    fine = fine.assign_coords(date=fine.indexes["date"].as_unit("s")).isel(date=slice(5, 9))
    same_data(combine(coarse, fine, crosswalk, names=NAMES), padded(river, slice(5, 9)))


def test_fine_data_without_days(river):
    coarse, fine, crosswalk = split(river)
    ds = combine(coarse, fine.drop_dims("date"), crosswalk, names=NAMES)
    same_data(ds, river.drop_vars("water_temperature_fine"))


def test_common_variables_without_a_scale_get_suffixes(river):
    coarse, fine, crosswalk = split(river)
    ds = combine(coarse.assign(crs=0), fine.assign(crs=1), crosswalk, names=NAMES)
    assert (ds.crs_coarse.item(), ds.crs_fine.item()) == (0, 1)


def test_nothing_is_computed(river, refuse_to_compute):
    coarse, fine, crosswalk = split(river)
    with refuse_to_compute():
        ds = combine(coarse.chunk(), fine.isel(date=slice(5, 70)).chunk(), crosswalk, names=NAMES)
    assert ds.air_temperature_coarse.chunks is not None
    same_data(ds, padded(river, slice(5, 70)))


def test_inputs_are_left_alone(river):
    coarse, fine, crosswalk = split(river)
    before = coarse.copy(deep=True), fine.copy(deep=True), dict(crosswalk)
    combine(coarse, fine, crosswalk, names=NAMES)
    xr.testing.assert_identical(coarse, before[0])
    xr.testing.assert_identical(fine, before[1])
    assert crosswalk == before[2]


REFUSED = {
    "reach-not-in-crosswalk": (
        lambda c, f, x: (c, f, {k: v for k, v in x.items() if k not in {3, 7}}),
        InvalidDatasetError,
        "2 reaches of fine_ds are not in the crosswalk: 3, 7; add",
    ),
    "segment-not-there": (
        lambda c, f, x: (c, f, {**x, 3: 999}),
        InvalidDatasetError,
        "1 reach lies on segments that are not in coarse_ds: 3 -> 999; correct",
    ),
    "both-reported": (
        lambda c, f, x: (c, f, {k: v for k, v in {**x, 3: 999}.items() if k != 7}),
        InvalidDatasetError,
        r"(?s)has 2 faults.*not in the crosswalk: 7;.*not in coarse_ds: 3 -> 999",
    ),
    "missing-segment": (
        lambda c, f, x: (c, f, pd.Series({**x, 3: np.nan})),
        InvalidDatasetError,
        "not in coarse_ds: 3 -> 0",
    ),
    "text-against-integers": (
        lambda c, f, x: (c, f, {str(k): v for k, v in x.items()}),
        InvalidDatasetError,
        r"12 reaches .*\(fine ids are integers, in the crosswalk they are text\)",
    ),
    "crosswalk-with-a-reach-twice": (
        lambda c, f, x: (c, f, pd.Series([101, 102], index=[1, 1])),
        InvalidArgumentError,
        "has reaches more than once: 1;",
    ),
    "crosswalk-empty": (lambda c, f, x: (c, f, {}), InvalidArgumentError, "the crosswalk is empty"),
    "crosswalk-without-ids": (
        lambda c, f, x: (c, f, xr.DataArray(list(x.values()), dims="comid")),
        InvalidArgumentError,
        "must be 1-D with the fine ids as its index",
    ),
    "crosswalk-a-list": (lambda c, f, x: (c, f, list(x.values())), InvalidArgumentError, "not list"),
    "times-disjoint": (
        lambda c, f, x: (c.isel(date=slice(0, 10)), f.isel(date=slice(10, 30)), x),
        InvalidDatasetError,
        r"coarse_ds has 10 times \(2001-10-01.*fine_ds has 20 times \(2001-10-11.*no time in common",
    ),
    "times-at-other-hours": (
        lambda c, f, x: (c, f.assign_coords(date=f.indexes["date"] + pd.Timedelta("12h")), x),
        InvalidDatasetError,
        "no time in common.*same hour",
    ),
    "times-duplicated": (
        lambda c, f, x: (c.isel(date=[0, 0, 1]), f, x),
        InvalidDatasetError,
        "coarse_ds has duplicated times",
    ),
    "ids-duplicated": (
        lambda c, f, x: (c, f.isel(comid=[0, 0, 1]), x),
        InvalidDatasetError,
        "fine_ds has duplicated ids: 1;",
    ),
    "no-ids": (
        lambda c, f, x: (c.drop_vars("seg_id_nat"), f, x),
        InvalidDatasetError,
        "coarse_ds has no ids",
    ),
    "swapped": (lambda c, f, x: (f, c, x), InvalidArgumentError, "'seg_id_nat' .* not in coarse_ds"),
    "name-in-neither": (
        lambda c, f, x: (c.drop_vars("tave"), f, x),
        InvalidArgumentError,
        r"'tave' \(for 'air_temperature'\) is not in coarse_ds or fine_ds. coarse_ds has",
    ),
    "no-dataset": (
        lambda c, f, x: (c.tave, f, x),
        InvalidArgumentError,
        "coarse_ds must be .* not DataArray",
    ),
}


@pytest.mark.parametrize(("spoil", "error", "says"), REFUSED.values(), ids=REFUSED)
def test_refused(river, spoil, error, says):
    with pytest.raises(error, match=says):
        combine(*spoil(*split(river)), names=NAMES)


def test_missing_dimension_is_reported_with_the_cure(river):
    coarse, fine, crosswalk = split(river)
    with pytest.raises(InvalidDatasetError, match=r"fine_ds has no dimension 'fine', only .*comid.*names="):
        combine(coarse, fine, crosswalk, names={k: v for k, v in NAMES.items() if k != "fine"})


def advice(error):
    """The code at the end of a message."""
    (code,) = re.findall(r"(?:coarse|fine)_ds = .*$", str(error), flags=re.MULTILINE)
    return code


FOLLOWED = {
    "no-ids": lambda c, f: (c.drop_vars("seg_id_nat"), f),
    "ids-duplicated": lambda c, f: (c, f.isel(comid=[0, 0, *range(1, 12)])),
    "times-duplicated": lambda c, f: (c.isel(date=[0, 0, *range(1, 50)]), f),
    "noon": lambda c, f: (c, f.assign_coords(date=f.indexes["date"] + pd.Timedelta("12h"))),
    "both-off": lambda c, f: (
        c.assign_coords(date=c.indexes["date"] + pd.Timedelta("6h")),
        f.assign_coords(date=f.indexes["date"] + pd.Timedelta("12h")),
    ),
    "hours": lambda c, f: (
        c,
        f.isel(date=slice(4)).assign_coords(date=pd.date_range("2001-10-01 03:00", periods=4, freq="6h")),
    ),
    "days-beside-the-dimension": lambda c, f: (
        c.isel(date=[0, 0, *range(1, 50)]).rename_dims(date="day").drop_indexes("date").reset_coords("date"),
        f,
    ),
}


@pytest.mark.parametrize("spoil", FOLLOWED.values(), ids=FOLLOWED)
def test_following_the_advice_mends_it(river, spoil):
    """The code of the message is run as it stands."""
    coarse, fine, crosswalk = split(river)
    coarse_ds, fine_ds = spoil(coarse, fine)
    with pytest.raises(InvalidDatasetError) as caught:
        combine(coarse_ds, fine_ds, crosswalk, names=NAMES)
    room = {"coarse_ds": coarse_ds, "fine_ds": fine_ds, "ids": coarse.seg_id_nat.values}
    exec(advice(caught.value), room)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataLossWarning)
        ds = combine(room["coarse_ds"], room["fine_ds"], crosswalk, names=NAMES)
    assert ds.indexes["time"].is_unique
    assert (ds.indexes["time"] == ds.indexes["time"].normalize()).all()
    assert ds.fine.values.tolist() == river.fine.values.tolist()


def test_a_name_for_the_dimension_mends_it(river):
    coarse, fine, crosswalk = split(river)
    names = {k: v for k, v in NAMES.items() if k != "fine"}
    with pytest.raises(InvalidDatasetError) as caught:
        combine(coarse, fine, crosswalk, names=names)
    assert '"fine": "<your name>"' in str(caught.value)
    same_data(combine(coarse, fine, crosswalk, names={**names, "fine": "comid"}), river)


def test_other_periods_do_not_advise_the_same_hour(river):
    coarse, fine, crosswalk = split(river)
    with pytest.raises(InvalidDatasetError, match=r"no time in common; give both the same period$"):
        combine(coarse.isel(date=slice(9)), fine.isel(date=slice(20, 30)), crosswalk, names=NAMES)


def test_what_both_have_and_what_the_crosswalk_lacks_is_mended_as_advised(river):
    coarse, fine, crosswalk = split(river)
    both = fine.assign(slope_coarse=("comid", np.ones(12)))
    with pytest.raises(
        InvalidArgumentError, match="both datasets have slope_coarse; drop or rename it in the one"
    ):
        combine(coarse, both, crosswalk, names={**NAMES, "slope_coarse": "slope"})
    same = combine(
        coarse, both.drop_vars("slope_coarse"), crosswalk, names={**NAMES, "slope_coarse": "slope"}
    )
    assert "slope_coarse" in same
    few = {reach: segment for reach, segment in crosswalk.items() if reach > 2}
    with pytest.raises(
        InvalidDatasetError, match="not in the crosswalk: 1, 2; add them, or drop these reaches"
    ):
        combine(coarse, fine, few, names=NAMES)
    assert combine(coarse, fine.drop_sel(comid=[1, 2]), few, names=NAMES).sizes["fine"] == 10


@pytest.mark.parametrize("turned", [("coarse",), ("fine",), ("coarse", "fine")])
def test_the_byte_order_of_ids_plays_no_part(river, turned):
    coarse, fine = river.drop_dims("fine"), river.drop_dims("coarse").drop_vars("coarse_segment")
    crosswalk = river["coarse_segment"].to_series()
    expected = combine(coarse, fine, crosswalk)
    parts = {"coarse": coarse, "fine": fine}
    for scale in turned:
        parts[scale] = parts[scale].assign_coords({scale: parts[scale][scale].values.astype(">i4")})
    found = combine(parts["coarse"], parts["fine"], crosswalk)
    xr.testing.assert_equal(found, expected)
    twice = parts[turned[0]].isel({turned[0]: [0, 0, 1]})
    with pytest.raises(InvalidDatasetError, match="duplicated ids"):
        combine(*(twice if scale == turned[0] else part for scale, part in parts.items()), crosswalk)
