"""Weather against plain loops over the raw files, and against a second table of one station."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.mirror import MIRROR
from xmsgl.datasets.pacific_northwest.sites import willamette_gauges
from xmsgl.datasets.pacific_northwest.weather import read_gsod

HEADER = "STATION,DATE,LATITUDE,LONGITUDE,ELEVATION,MAX,MIN,PRCP\n"


def test_values_of_the_summary_of_the_day(tmp_path):
    path = tmp_path / "2004.csv"
    path.write_text(
        HEADER
        + '72781024243,2004-01-01,46.5,-120.5,321.0,"  50.0","  32.0"," 0.10"\n'
        + '72781024243,2004-01-02,46.5,-120.5,321.0,"9999.9","  32.0","99.99"\n'
    )
    daily = read_gsod([path])
    assert daily["station"].tolist() == ["72781024243"] * 2
    assert daily.iloc[0][["air_temperature [degF]", "precipitation [in d-1]"]].tolist() == [41.0, 0.10]
    missing = daily.iloc[1].isna()
    assert set(missing.index[missing]) == {
        "air_temperature [degF]",
        "air_temperature_max [degF]",
        "precipitation [in d-1]",
    }


def kilometres(lat, lon, other, east):
    lat, lon, other, east = map(np.deg2rad, (lat, lon, other, east))
    cosine = np.sin(lat) * np.sin(other) + np.cos(lat) * np.cos(other) * np.cos(lon - east)
    return 6371.0 * np.arccos(np.clip(cosine, -1, 1))


@pytest.mark.delaware
class TestReal:
    def test_the_willamette_against_a_plain_loop(self, files, willamette):
        sites, _ = willamette_gauges(files)
        names = pd.read_csv(files["gauge_names"]).set_index("site")["ID"]
        prism = pd.read_csv(files["gauge_prism"], index_col="Date", parse_dates=True)
        air = willamette["air_temperature_coarse"]
        for segment, day in zip(willamette["coarse"].values[::400], air["time"].values[::300], strict=True):
            place = willamette.sel(coarse=segment)
            weights = values = 0.0
            for site in sites.itertuples():
                far = kilometres(site.lat, site.lon, float(place.lat_coarse), float(place.lon_coarse))
                drop = 0.0065 * (float(place.elevation_coarse) - site.elevation)
                weights += far**-2
                values += (prism.loc[day, names[f"'{site.site}"]] - drop) * far**-2
            assert float(air.sel(coarse=segment, time=day)) == pytest.approx(values / weights, abs=0.02)
        assert air.attrs["leave_one_out_rmse"] < 0.68

    def test_the_yakima_at_its_station_against_another_table(self, yakima):
        (path,) = MIRROR.glob("jacqwng/*/*/Yakima/Yakima_chillR_weather.csv")
        table = pd.read_csv(path, index_col=0, parse_dates=True).loc["2004":"2008"]
        far = kilometres(yakima["lat_coarse"].values, yakima["lon_coarse"].values, 46.56398, -120.53488)
        near = yakima.isel(coarse=int(far.argmin()))
        drop = 0.0065 * (float(near["elevation_coarse"]) - 321.0)
        for end, column in (("min", "Tmin"), ("max", "Tmax")):
            own = near[f"air_temperature_{end}_coarse"].to_series() + drop
            assert (own - table[column]).abs().median() < 0.7, column
        rain = near["precipitation_coarse"].to_series()
        assert np.corrcoef(rain, table["Prec"].reindex(rain.index).fillna(0))[0, 1] > 0.6
        assert 120 < rain.resample("YE").sum().mean() < 350

    def test_computed_radiation_and_evaporation(self, yakima):
        part = yakima.sel(time=slice("2005-06-20", "2005-06-22"))
        top = 482.0  # W m-2 outside of the atmosphere at 47 N in June
        clear = part["clear_sky_radiation_coarse"].values
        assert (clear > 0.74 * top).all()
        assert (clear < 0.80 * top).all()
        assert (yakima["solar_radiation_coarse"] <= yakima["clear_sky_radiation_coarse"] + 0.2).all()
        year = yakima["potential_evapotranspiration_coarse"].sel(time="2005").sum("time")
        assert 500 < float(year.min()) < float(year.max()) < 1500
        for name in ("solar_radiation", "clear_sky_radiation", "potential_evapotranspiration"):
            assert yakima[f"{name}_coarse"].attrs["comment"].startswith("computed")
