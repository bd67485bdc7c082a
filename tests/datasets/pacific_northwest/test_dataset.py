"""Both datasets as users get them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

import xmsgl
from xmsgl.datasets.registry import dataset_files
from xmsgl.errors import InvalidArgumentError
from xmsgl.util.origin import origin_of

BASINS = ("willamette", "yakima")
COMMON = ["air_temperature", "slope", "elevation", "drainage_area", "stream_order"]


@pytest.fixture(params=BASINS)
def basin(request):
    return request.param, request.getfixturevalue(request.param)


def tributary(ds, reaches=40):
    """Id of the segment with a gauge whose catchment has about so many reaches."""
    below = ds["downstream_coarse"].to_series()
    number = ds["coarse_segment"].to_series().value_counts().reindex(below.index)
    total = number.copy()
    for segment in below.index:
        step = below[segment]
        while step:
            total[step] += number[segment]
            step = below[step]
    gauged = ds["coarse_segment"].values[ds["gauge_fine"].values != ""]
    return int((total[gauged] - reaches).abs().idxmin())


@pytest.mark.delaware
class TestBoth:
    def test_valid(self, basin):
        report = basin[1].msgl.validate()
        assert report.aside == ()
        for scale in ("coarse", "fine"):
            assert int((basin[1][f"downstream_{scale}"] == 0).sum()) == 1

    def test_lazy(self, basin, northwest_cache, refuse_to_compute):
        name, whole = basin
        days = slice(whole["time"].values[100], whole["time"].values[160])
        with refuse_to_compute():
            ds = getattr(xmsgl.datasets, name)(start=days.start, end=days.stop, cache_dir=northwest_cache)
            assert ds.sizes["time"] == 61
            assert ds["air_temperature_coarse"].chunks
            assert ds["water_temperature_fine"].chunks
        assert ds["water_temperature_fine"].equals(whole["water_temperature_fine"].sel(time=days))

    def test_a_year_and_a_month_stand_for_their_days(self, basin, northwest_cache):
        name, whole = basin
        year = str(whole["time"].dt.year.values[-1] - 1)
        for start, end in ((year, year), (f"{year}-02", f"{year}-03"), (year, f"{year}-03-05")):
            ds = getattr(xmsgl.datasets, name)(start=start, end=end, cache_dir=northwest_cache)
            xr.testing.assert_equal(ds["time"], whole["time"].sel(time=slice(start, end)))

    def test_region_is_all_upstream_of_a_segment(self, basin, northwest_cache):
        name, whole = basin
        outlet = tributary(whole)
        ds = getattr(xmsgl.datasets, name)(region=outlet, cache_dir=northwest_cache)
        expected, below = {outlet}, whole["downstream_coarse"].to_series()
        while more := set(below.index[below.isin(expected)]) - expected:
            expected |= more
        assert set(ds["coarse"].values) == expected
        assert origin_of(ds) == {"dataset": name, "region": outlet}
        ds.msgl.validate()

    @pytest.mark.parametrize(
        ("options", "fault"),
        [
            (
                {"region": "17090001"},
                "region must be a whole number or None",
            ),
            ({"region": 7}, "region 7 is not a segment id"),
            ({"start": "1990-01-01"}, "the period of the "),
            ({"start": "NaT"}, "start must be a day"),
            ({"end": []}, "end must be text or a date"),
            ({"start": "soon"}, "must be a day such as"),
        ],
        ids=["unit", "segment", "period", "no-day", "list", "day"],
    )
    def test_refuses(self, basin, northwest_cache, options, fault):
        with pytest.raises(InvalidArgumentError, match=fault):
            getattr(xmsgl.datasets, basin[0])(cache_dir=northwest_cache, **options)

    def test_attributes(self, basin):
        name, ds = basin
        wanted = {"willamette": ("PRISM", "dams"), "yakima": ("NOAA", "two stations")}[name]
        text = " ".join(str(ds.attrs[key]) for key in ("source", "licence", "credit", "limits"))
        assert all(word in text for word in wanted)
        assert "None stated" in ds.attrs["licence"]
        assert ds.attrs["provenance"].count("sha256:") == len(dataset_files(name))
        for variable in ds.values():
            assert {"units", "long_name"} <= set(variable.attrs), variable.name

    @pytest.mark.parametrize("file", ["own", "v2"])
    def test_catalogs_say_what_the_dataset_says(self, basin, file):
        from xmsgl.catalog.entries import describe

        name, ds = basin
        path = xmsgl.catalog_path(name if file == "own" else file)
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        said = said["sources" if file == "own" else "entries"][name]["metadata"]
        own = describe(ds)
        assert said == {key: own[key] for key in said}

    def test_common_features_have_the_units_of_the_delaware(self, basin, observed):
        for base in COMMON:
            own, other = (ds[f"{base}_coarse"].attrs["units"] for ds in (basin[1], observed))
            assert own == other, base

    def test_available_from_the_cache(self, basin, northwest_cache):
        found = xmsgl.datasets.availability(basin[0], cache_dir=northwest_cache)
        assert (found.origin, found.where) == ("cache", str(northwest_cache))

    def test_benchmark_years_have_labels(self, basin):
        from xmsgl.benchmark.sources import SOURCES

        name, ds = basin
        days = xmsgl.evaluate.water_year(ds).values
        labels = ds["water_temperature_fine"].count("fine").values
        parts = SOURCES[name].years(ds)
        assert list(parts) == ["train", "validation", "test"]
        counts = [sum(labels[(days >= a) & (days <= b)].sum() for a, b in part) for part in parts.values()]
        assert min(counts) > 50


@pytest.mark.delaware
@pytest.mark.filterwarnings("ignore::xmsgl.errors.ExtrapolationWarning")
def test_a_model_of_one_basin_downscales_the_other(willamette, yakima):
    """Trained on a tributary for one epoch, only to show that every step accepts the datasets."""
    from xmsgl.datasets.region import cut

    here = cut(willamette, tributary(willamette)).sel(time=slice("2017-10-01", "2018-09-30"))
    model = here.msgl.train(
        "remap", epochs=1, features=COMMON, hidden=4, window=120, warmup=30, progress=False
    )
    there = cut(yakima, tributary(yakima)).sel(time=slice("2005-10-01", "2006-03-31"))
    for ds in (here, there):
        values = ds.msgl.downscale(model).compute()
        assert values.dims == ("time", "fine")
        assert np.isfinite(values).all()
    assert pd.Timestamp(values["time"].values[-1]) == pd.Timestamp("2006-03-31")
