"""The dataset as users get it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xmsgl.datasets import delaware
from xmsgl.errors import DataUnavailableError, InvalidArgumentError
from xmsgl.util.options import set_options

DRIVERS = {
    "air_temperature": ("degC", -30, 35),
    "air_temperature_min": ("degC", -35, 30),
    "air_temperature_max": ("degC", -25, 42),
    "precipitation": ("mm d-1", 0, 200),
    "relative_humidity": ("%", 10, 100),
    "solar_radiation": ("W m-2", 10, 400),
    "potential_evapotranspiration": ("mm d-1", 0, 9),
}


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"fine": "tributaries"}, "fine must be one of 'mainstem', 'all', not 'tributaries'"),
        ({"forcing": "monthly"}, "forcing must be one of 'stations', 'era5', 'observed'"),
    ],
    ids=["fine", "forcing"],
)
def test_unknown_choice(options, fault):
    with pytest.raises(InvalidArgumentError, match=fault):
        delaware(**options)


def test_without_files(tmp_path, fetching, monkeypatch):
    monkeypatch.setattr("xmsgl.datasets.registry.BASE_URL", "http://127.0.0.1:9/")
    monkeypatch.setattr(fetching, "BASE_URL", "http://127.0.0.1:9/")
    monkeypatch.setattr(fetching.time, "sleep", lambda seconds: None)
    with (
        set_options(data_mirror=tmp_path / "nowhere", progress=False),
        pytest.raises(DataUnavailableError, match="XMSGL_DATA_MIRROR"),
    ):
        delaware(cache_dir=tmp_path)
    assert not (tmp_path / "built").exists()


def links_aside(ds):
    """Links to a segment that a plain walk down or up the coarse river does not meet."""
    below = dict(zip(ds.coarse.values.tolist(), ds.downstream_coarse.values.tolist(), strict=True))
    segment = dict(zip(ds.fine.values.tolist(), ds.coarse_segment.values.tolist(), strict=True))

    def way(start):
        passed = {start}
        while below[start]:
            start = below[start]
            passed.add(start)
        return passed

    for reach, to in zip(ds.fine.values.tolist(), ds.downstream_fine.values.tolist(), strict=True):
        if to and segment[to] not in way(segment[reach]) and segment[reach] not in way(segment[to]):
            yield reach, to


@pytest.mark.delaware
class TestObserved:
    def test_valid(self, observed):
        from xmsgl.schema.validate import validate

        report = validate(observed)
        assert report.aside == tuple(links_aside(observed))
        assert (report.links, len(report.aside)) == (450, 2)

    def test_sizes(self, observed):
        assert dict(observed.sizes) == {"time": 731, "coarse": 456, "fine": 3182}
        assert observed["coarse"].dtype == observed["fine"].dtype == np.int64
        days = pd.date_range("1979-01-01", "1980-12-31")
        assert observed.indexes["time"].equals(days)

    def test_fine_drivers_are_not_stored(self, observed):
        assert [name for name in observed if observed[name].dims == ("time", "fine")] == [
            "water_temperature_fine"
        ]

    @pytest.mark.parametrize("base", DRIVERS)
    def test_drivers(self, observed, base):
        units, lowest, highest = DRIVERS[base]
        variable = observed[f"{base}_coarse"]
        assert variable.attrs["units"] == units
        assert variable.attrs["long_name"]
        assert variable.dtype == np.float32
        values = variable.to_numpy()
        assert np.isfinite(values).all()
        assert lowest <= values.min() < values.max() <= highest

    def test_air_temperatures_are_in_order(self, observed):
        low, mean, high = (
            observed[f"air_temperature{end}_coarse"].to_numpy() for end in ("_min", "", "_max")
        )
        assert (low <= mean).all()
        assert (mean <= high).all()
        np.testing.assert_allclose(mean, (low + high) / 2, atol=0.01)

    def test_sub_segments_are_names_and_no_feature(self, observed):
        from xmsgl.schema.roles import drivers, statics

        names = observed["subsegment_fine"]
        assert names.dims == ("fine",)
        assert names.dtype == observed["huc8_fine"].dtype == object
        assert names.attrs["long_name"].startswith("name of the sub-segment")
        assert names.sel(fine=1748541).item() == "3_1"
        assert not any("subsegment" in name for name in (*drivers(observed), *statics(observed)))

    def test_fine_labels_against_the_source(self, observed, observations, files, flowlines, crosswalk):
        from xmsgl.datasets.delaware_basin.labels import fine_labels, snap_sites

        found = fine_labels(observations, snap_sites(files["sites"], flowlines, crosswalk)).table
        found = found[found["time"].isin(observed.indexes["time"])]
        labels = observed["water_temperature_fine"].load()
        assert int(labels.notnull().sum()) == len(found) == labels.attrs["labels_in_period"]
        sample = found.sample(300, random_state=0)
        for row in sample.itertuples():
            assert float(labels.sel(time=row.time, fine=row.id)) == pytest.approx(row.temperature, abs=1e-5)

    def test_counts_tell_what_was_left_out(self, observed):
        attrs = observed["water_temperature_fine"].attrs
        assert attrs["source_labels"] == 426523
        assert attrs["labels_in_period"] + attrs["labels_outside_period_or_network"] == 426523
        assert observed["downstream_fine"].attrs["flowlines_without_segment"] == 919

    def test_attributes(self, observed):
        attrs = observed.attrs
        assert attrs["provenance"].count("sha256:") == 19
        assert attrs["provenance"].count("https://raw.githubusercontent.com/") == 19
        assert "CC0-1.0" in attrs["licence"]
        assert "C3S/ECMWF" in attrs["credit"]
        assert "main stems only" in attrs["limits"]
        assert attrs["Conventions"].startswith("CF-")
        assert len(attrs["history"].splitlines()) == 2

    def test_lazy(self, delaware_cache, refuse_to_compute):
        with refuse_to_compute():
            ds = delaware(
                forcing="observed",
                cache_dir=delaware_cache,
                start="1979-10-01",
                end="1980-09-30",
                region="02040104",
            )
            assert ds.sizes["time"] == 366
            assert ds["air_temperature_coarse"].chunks is not None
            assert ds["water_temperature_fine"].chunks is not None

    def test_second_call_opens_what_was_built(self, observed, delaware_cache):
        store = list((delaware_cache / "built").glob("delaware-observed-mainstem-*.zarr"))
        assert len(store) == 1
        before = store[0].stat().st_mtime_ns
        again = delaware(forcing="observed", cache_dir=delaware_cache)
        assert store[0].stat().st_mtime_ns == before
        assert again.equals(observed)

    def test_geometry(self, observed):
        shapely = pytest.importorskip("shapely")
        for scale in ("coarse", "fine"):
            lines = shapely.from_wkb(observed[f"geometry_{scale}"].to_numpy())
            assert (shapely.get_type_id(lines) == 1).all()
            west, south, east, north = shapely.total_bounds(lines)
            assert -77 < west < east < -74
            assert 38 < south < north < 43
            middle = shapely.points(observed[f"lon_{scale}"], observed[f"lat_{scale}"])
            assert shapely.distance(lines, middle).max() < 0.002

    def test_process_model_is_plausible_and_not_calibrated(self, observed):
        simulated = observed["simulated_temperature_coarse"]
        error = (simulated - observed["water_temperature_coarse"]).load()
        assert np.isfinite(simulated.to_numpy()).all()
        assert float(simulated.min()) >= 0.0
        assert 2.0 < float((error**2).mean() ** 0.5) < 4.0

    def test_orders_of_both_scales_are_comparable(self, observed):
        assert float(observed["stream_order_coarse"].max()) == float(observed["stream_order_fine"].max()) == 7

    @pytest.mark.parametrize(
        ("start", "end"),
        [("1978-01-01", None), (None, "1981-01-01"), ("1980-02-01", "1980-01-01"), ("soon", None)],
        ids=["too early", "too late", "reversed", "no day"],
    )
    def test_refuses_periods(self, delaware_cache, observed, start, end):
        with pytest.raises(InvalidArgumentError, match="start"):
            delaware(forcing="observed", start=start, end=end, cache_dir=delaware_cache)


@pytest.mark.delaware
@pytest.mark.slow
class TestEra5:
    @pytest.fixture
    def ds(self, delaware_cache):
        with set_options(progress=False):
            return delaware(forcing="era5", cache_dir=delaware_cache)

    def test_period_labels_and_statements(self, ds):
        from xmsgl.schema.validate import validate

        assert ds.indexes["time"].equals(pd.date_range("1979-10-01", "2021-04-08"))
        attrs = ds["water_temperature_fine"].attrs
        assert attrs["labels_in_period"] == int(ds["water_temperature_fine"].count())
        assert attrs["labels_in_period"] + attrs["labels_outside_period_or_network"] == 426523
        assert "weak" in ds["precipitation_coarse"].attrs["comment"]
        assert "0.42 to 0.74" in ds["precipitation_coarse"].attrs["comment"]
        validate(ds.sel(time=slice("2015-01-01", None)))

    def test_spatial_protocol(self, ds):
        """The draws by an independent reading of the observation table, worked out elsewhere."""
        from xmsgl.benchmark.protocols import PROTOCOLS
        from xmsgl.benchmark.sources import SOURCES

        labels = ds["water_temperature_fine"].count("time").compute().to_numpy()
        pool = set(ds["subsegment_fine"].to_numpy()[labels > 0])
        assert len(pool) == 284
        found, first = [], {}
        for seed in range(4):
            hidden, fine, _ = PROTOCOLS["spatial"].hide(ds, SOURCES["delaware"], seed)
            held = fine.to_numpy()
            ids = sorted(set(ds["coarse_segment"].to_numpy()[held].tolist()))
            found.append((len(ids), sum(ids), int(labels[held].sum())))
            first[seed] = ids[:6]
            left = hidden["water_temperature_coarse"].sel(coarse=ids)
            assert int(left.count()) == 0
        assert found == [(56, 105222, 81237), (56, 104950, 55873), (56, 109936, 84444), (55, 105136, 62391)]
        assert first[0] == [1437, 1442, 1452, 1453, 1458, 1468]
        assert first[3] == [1437, 1453, 1455, 1457, 1460, 1472]

    def test_all_flowlines(self, delaware_cache):
        with set_options(progress=False):
            ds = delaware(forcing="observed", fine="all", cache_dir=delaware_cache)
        assert ds.sizes["fine"] == 15114
        assert ds.msgl.validate(values=False).aside == tuple(links_aside(ds))
        assert (
            int(ds["water_temperature_fine"].count())
            == ds["water_temperature_fine"].attrs["labels_in_period"]
        )


def test_a_store_depends_on_modules_that_are_there(tmp_path):
    """Its name is made of their contents, so one that was moved away would let no dataset open."""
    from xmsgl.datasets.cached import store_path
    from xmsgl.datasets.delaware_basin.dataset import DELAWARE

    path = store_path(DELAWARE, tmp_path, {"forcing": "era5", "fine": "mainstem"})
    assert path.parent == tmp_path / "built"
    assert path.name.startswith("delaware-era5-mainstem-")
