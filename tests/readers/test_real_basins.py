"""Gauges and networks of the Willamette and the Yakima, from the files of other projects."""

from __future__ import annotations

import pandas as pd
import pytest

import xmsgl
from xmsgl.errors import DataLossWarning
from xmsgl.readers.rds import read_rds

geopandas = pytest.importorskip("geopandas")
pytest.importorskip("rdata")


def flowlines(mirrored, name, basin):
    lines = geopandas.read_file(mirrored(f"Scaling-Watershed-Function/1-*/**/{name}.shp"))
    lines = lines.dropna(subset="COMID").drop_duplicates("COMID")[["COMID", "geometry"]]
    links = pd.read_csv(mirrored("Scaling-Watershed-Function/2-*/**/231008_land_use_cover_pnw.csv"))
    links = links.query("level == 'catchment' and basin == @basin").drop_duplicates("comid")
    flow = lines.merge(links[["comid", "tocomid"]], left_on="COMID", right_on="comid").drop(columns="COMID")
    flow["lengthkm"] = flow.to_crs(5070).length / 1000
    return xmsgl.readers.read("nhdplus", flow)


@pytest.fixture(scope="module")
def willamette(mirrored):
    return flowlines(mirrored, "nhd_CR_stream_sub8", "willamette")


@pytest.mark.slow
def test_all_gauges_of_the_willamette_are_placed(mirrored, willamette):
    sites = read_rds(mirrored("Laura-Puckett/**/sites_OR"))[
        ["site_no", "dec_lat_va", "dec_long_va", "station_nm"]
    ]
    names = pd.read_csv(mirrored("jswade/**/sitelist_2016_2020.csv"))
    names["site_no"] = names.pop("site").str.strip("'")
    water = pd.read_csv(mirrored("jswade/**/ST_2016_2020.csv")).drop(columns="MonYr")
    water = (
        water.melt("Date", var_name="ID", value_name="temperature").merge(names, on="ID").drop(columns="ID")
    )
    with pytest.warns(DataLossWarning, match="observations of 3"):  # gauges of other states
        placed = xmsgl.readers.place_sites(sites, water, willamette, max_distance=200, date_format="%m/%d/%Y")
    used = placed.report[placed.report["days"] > 0]
    assert len(used) == used["reach"].nunique() == 36
    assert used["distance"].max() < 120
    assert int(placed.labels.count()) == 52_254
    assert float(placed.labels.min()) == pytest.approx(0.0)
    assert float(placed.labels.max()) == pytest.approx(24.8)


@pytest.mark.slow
def test_the_willamette_has_segments_of_about_ten_kilometres(willamette):
    two = xmsgl.coarsen(willamette)
    assert two.sizes == {"fine": 9_680, "coarse": 1_974}
    assert 5_000 < two["length_coarse"].median() < 10_000
    flows = two["downstream_coarse"].values
    inner = flows != 0
    reaches = two["coarse_segment"].to_series()
    after = willamette["downstream_fine"].to_series()[two["coarse"].values[inner]]
    assert (reaches[after.values].values == flows[inner]).all()


@pytest.mark.slow
def test_twenty_gauges_of_the_yakima_are_placed(mirrored):
    yakima = flowlines(mirrored, "nhd_CR_stream_sub9", "yakima")
    sites = read_rds(mirrored("Laura-Puckett/**/sites_WA"))
    water = read_rds(mirrored("Laura-Puckett/**/streamtemp_2000-01-01_2021-11-01_WA"))
    days = pd.to_datetime(water["dateTime"]).dt.strftime("%Y-%m-%d")
    water = pd.DataFrame({"site_no": water["site_no"], "date": days, "temperature": water["X_00010_00003"]})
    with pytest.warns(DataLossWarning, match="no reach within 250 m"):
        report = xmsgl.readers.place_sites(sites, water, yakima, max_distance=250).report
    used = report[report["days"] > 0]
    assert len(used) == used["reach"].nunique() == 20
    for lost in ("1250547010", "12507560", "12508670"):
        assert report.loc[lost, "outcome"] == "no reach within 250 m"
