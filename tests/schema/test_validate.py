"""Validation: every fault on its own, then several at once, and the report against the river itself."""

from __future__ import annotations

import re

import dask
import numpy as np
import pytest
import xarray as xr

from tests.schema.faults import AIR, FAULTS, WATER, put
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.schema.tree import rename, to_datatree
from xmsgl.schema.validate import validate

LOOKS_AT_DAILY_VALUES = {
    name
    for name in FAULTS
    if re.match(
        "nan-(driver|own)|infinite-(d|l)a?|water-|simulated|air-|labels-all|precipitation-|solar-|humidity-"
        "|driver-(without-record|of-nothing)|unknown-driver|discharge-|kelvin-fill",
        name,
    )
}


@pytest.mark.parametrize(("spoil", "says"), FAULTS.values(), ids=FAULTS)
def test_fault(river, spoil, says):
    with pytest.raises(InvalidDatasetError) as caught:
        validate(spoil(river))
    hits = [fault for fault in caught.value.faults if re.search(says, fault)]
    assert len(hits) == 1, caught.value.faults


ALONE = sorted(set(FAULTS) - {
    "no-time", "no-fine", "no-ids", "no-days", "empty-fine", "no-drivers",  # take others with them
    "length-over-time", "labels-as-text", "driver-without-time", "wrong-scale",
    "time-twice-on-one-day", "time-hourly",
    "time-duplicated", "ids-mixed", "duplicated-ids", "id-zero", "ids-as-floats",
})  # fmt: skip


@pytest.mark.parametrize("name", ALONE)
def test_fault_is_reported_once(river, name):
    with pytest.raises(InvalidDatasetError) as caught:
        validate(FAULTS[name][0](river))
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_lazy_dataset_has_the_same_faults(river, name):
    spoilt = FAULTS[name][0](river)
    with pytest.raises(InvalidDatasetError) as eager:
        validate(spoilt)
    with pytest.raises(InvalidDatasetError) as lazy:
        validate(
            spoilt.chunk(
                {
                    dim: size
                    for dim, size in {"time": 97, "coarse": 2, "fine": 5}.items()
                    if dim in spoilt.dims
                }
            )
        )
    # only what is held lazily must be in one chunk before gaps are filled
    assert [fault.replace(".chunk(time=-1)", "") for fault in lazy.value.faults] == list(eager.value.faults)


def test_all_faults_at_once(river):
    several = [
        "no-length-fine",
        "cycle-coarse",
        "self-loop",
        "downstream-nowhere",
        "crosswalk-unknown",
        "kelvin-labels",
        "time-gap",
        "nan-driver",
        "air-too-hot",
        "nan-static",
        "static-without-units",
    ]
    spoilt = river
    for name in several:
        if name != "time-gap":
            spoilt = FAULTS[name][0](spoilt)
    spoilt = FAULTS["time-gap"][0](spoilt)
    with pytest.raises(InvalidDatasetError) as caught:
        validate(spoilt)
    for name in several:
        assert any(re.search(FAULTS[name][1], fault) for fault in caught.value.faults), name
    assert len(caught.value.faults) == len(several)
    assert "the dataset has 11 faults:" in str(caught.value)


def test_two_cycles_are_both_reported(river):
    spoilt = put(put(river, "downstream_fine", fine=1, value=1), "downstream_fine", fine=11, value=11)
    with pytest.raises(InvalidDatasetError) as caught:
        validate(spoilt)
    assert len(caught.value.faults) == 2


def test_long_lists_are_shortened(river):
    with pytest.raises(InvalidDatasetError, match="fine 1, 2, 3, 4, 5 and 6 more; fill"):
        validate(put(river, "elevation_fine", fine=np.arange(11), value=np.nan))


def test_valid_river(river):
    report = validate(river)
    assert (report.segments, report.reaches, report.days) == (5, 12, 800)
    assert (report.start, report.end) == ("2001-10-01", "2003-12-09")
    assert (report.outlets_coarse, report.outlets_fine) == (1, 1)
    assert report.labels_coarse == int(river.water_temperature_coarse.notnull().sum())
    assert report.labels_fine == int(river.water_temperature_fine.notnull().sum())
    assert [(f.name, f.role, f.units, f.fine) for f in report.features] == [
        ("air_temperature", "driver", "degC", "inherited, corrected for height"),
        ("precipitation", "driver", "mm d-1", "inherited"),
        ("solar_radiation", "driver", "W m-2", "inherited"),
        ("drainage_area", "static", "km2", "own"),
        ("elevation", "static", "m", "own"),
        ("slope", "static", "1", "inherited"),
    ]


def test_report_prints(river):
    report = validate(river)
    assert "800 days, 2001-10-01 to 2003-12-09" in str(report)
    assert re.search(r"labels +\d,\d{3} +\d{3}\n", str(report))
    assert report.to_dict()["features"][0]["name"] == "air_temperature"


def test_report_shows_itself_as_html(river, read_html):
    report = validate(river.assign(x_y_coarse=("coarse", np.ones(5), {"units": "<b>m"})))
    page = read_html(report._repr_html_())
    sizes, features = page.tables
    assert "800 days, 2001-10-01 to 2003-12-09" in page.text
    assert sizes[:2] == [["", "coarse", "fine"], ["nodes", "5", "12"]]
    assert sizes[3] == ["labels", f"{report.labels_coarse:,}", f"{report.labels_fine:,}"]
    assert features[1:] == [[f.name, f.role, f.units, f.fine] for f in report.features]
    assert ["x_y", "static", "<b>m", "inherited"] in features


@pytest.mark.parametrize(
    "form", [lambda ds: ds, to_datatree, lambda ds: ds.chunk({"time": 100})], ids=["flat", "tree", "lazy"]
)
def test_every_form_is_accepted(river, form):
    assert validate(form(river)) == validate(river)


def test_text_ids_are_accepted(river):
    reaches = [f"r{i}" for i in river.fine.values]
    text = river.assign_coords(coarse=river.coarse.values.astype(str), fine=reaches).assign(
        coarse_segment=("fine", river.coarse_segment.values.astype(str)),
        downstream_coarse=("coarse", np.array(["103", "103", "105", "105", None], dtype=object)),
        downstream_fine=("fine", [f"r{i}" if i else "" for i in river.downstream_fine.values]),
    )  # fmt: skip
    assert validate(text) == validate(river)


def test_missing_downstream_as_nan_is_an_outlet(river):
    floats = river.assign(downstream_fine=river.downstream_fine.where(river.downstream_fine > 0))
    assert validate(floats) == validate(river)


def test_dataset_for_prediction_needs_no_labels(river):
    bare = river.drop_vars([WATER, "water_temperature_coarse"])
    assert validate(bare, labels=False).labels_fine == 0
    empty = river.assign({WATER: river[WATER].where(False)}).drop_vars("water_temperature_coarse")
    assert validate(empty, labels=False).labels_fine == 0


def test_labels_at_one_scale_are_enough(river):
    assert validate(river.drop_vars(WATER)).labels_fine == 0


def test_gaps_in_labels_and_discharge_are_normal(river):
    discharge = river[AIR].where(river[AIR] > 1e9).assign_attrs(units="m3 s-1")
    validate(river.assign(discharge_coarse=discharge))


def test_names_are_mapped(river):
    theirs = river.rename({"fine": "comid", "time": "date", AIR: "tave", "downstream_fine": "tocomid"})
    names = {"fine": "comid", "time": "date", AIR: "tave", "downstream_fine": "tocomid"}
    assert validate(theirs, names=names) == validate(river)
    xr.testing.assert_identical(rename(theirs, names), river)
    with pytest.raises(InvalidArgumentError, match="tocomide not in the dataset"):
        validate(theirs, names={**names, "downstream_fine": "tocomide"})


# --------------------------------------------------------------- laziness


def test_without_values_nothing_is_computed(river, refuse_to_compute):
    with refuse_to_compute():
        report = validate(river.chunk(), values=False)
    assert report.labels_fine is None
    assert report.outlets_fine is None
    assert "not counted" in str(report)


@pytest.mark.parametrize("name", sorted(LOOKS_AT_DAILY_VALUES))
def test_without_values_daily_faults_stay_unseen(river, name):
    assert validate(FAULTS[name][0](river), values=False).reaches == 12


@pytest.mark.parametrize("name", ["cycle-fine", "crosswalk-unknown", "nan-static", "time-gap", "kelvin"])
def test_without_values_the_rest_is_checked(river, name):
    with pytest.raises(InvalidDatasetError, match=FAULTS[name][1]):
        validate(FAULTS[name][0](river), values=False)


def test_one_computation(river):
    calls = []

    def counting(graph, keys, **options):
        calls.append(len(keys))
        return dask.get(graph, keys, **options)

    with dask.config.set(scheduler=counting):
        validate(river.chunk({"time": 90}))
    assert len(calls) == 1


def test_opened_file_is_not_loaded(river, tmp_path):
    river.to_netcdf(tmp_path / "river.nc")
    with xr.open_dataset(tmp_path / "river.nc") as opened:
        report = validate(opened)
        assert not opened.variables[AIR]._in_memory
    assert report == validate(river)
