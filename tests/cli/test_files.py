"""``xmsgl read``, ``carry``, ``export``, ``plot`` and ``explore``: what they write, read back by others."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.shell_completion import get_completion_class
from click.testing import CliRunner

from xmsgl.cli.main import main

SEGMENTS = "id,downstream,length [m]\n7,8,9000\n8,,12000\n"
WEATHER = (
    "id,time,air_temperature [degC]\n7,2001-01-01,1.5\n8,2001-01-01,2.5\n7,2001-01-02,3\n8,2001-01-02,4\n"
)
REACHES = "id,downstream,length [m],coarse_segment\n1,2,5000,7\n2,3,4000,7\n3,,12000,8\n"
LABELS = "id,time,water_temperature [degC]\n2,2001-01-01,4.5\n3,2001-01-02,5.0\n"


@pytest.fixture
def here(river, tmp_path, monkeypatch):
    """A folder with a dataset, a prediction for it, and tables of another project."""
    monkeypatch.chdir(tmp_path)
    ds = river.isel(time=slice(0, 60))
    row = np.arange(12.0)
    for scale, n in (("fine", 12), ("coarse", 5)):
        for name, start in (("lat", 40.0), ("lon", -75.0)):
            ds[f"{name}_{scale}"] = scale, start + 0.01 * row[:n], {"units": "degrees"}
    ds.to_netcdf("river.nc")
    values = 5 + row + 0.01 * np.arange(60)[:, None]
    attrs = {"units": "degC", "model_sha256": "ab", "history": "downscale(x)"}
    dims = ("time", "fine")
    prediction = xr.DataArray(values, {"time": ds.time, "fine": ds.fine}, dims, "water_temperature", attrs)
    prediction.to_netcdf("p.nc")
    tables = {"segments": SEGMENTS, "weather": WEATHER, "reaches": REACHES, "labels": LABELS}
    for name, text in tables.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path


@pytest.fixture
def run(here):
    def call(*words, code=0):
        result = CliRunner().invoke(main, ["--quiet", *map(str, words)])
        assert result.exit_code == code, result.output
        return result.stderr if code else result.stdout

    return call


def opened(path):
    return xr.load_dataset(path, engine="zarr" if path.endswith("zarr") else "netcdf4")


# ---------------------------------------------------------------------- read


@pytest.mark.parametrize("name", ["basin.nc", "basin.zarr"])
def test_read_writes_what_the_tables_hold_and_replaces_it(run, name):
    words = ["read", "csv-basin", "segments.csv,weather.csv", "reaches.csv,labels.csv", "-o", name]
    for _ in range(2):
        assert "fine 3" in run(*words)
    ds = opened(name)
    np.testing.assert_array_equal(ds["coarse_segment"], [7, 7, 8])
    np.testing.assert_array_equal(ds["air_temperature_coarse"], [[1.5, 2.5], [3, 4]])
    assert ds["water_temperature_fine"].sel(time="2001-01-01", fine=2) == 4.5
    assert "read('csv-basin', segments.csv,weather.csv, reaches.csv,labels.csv)" in ds.attrs["history"]


def test_read_takes_options_of_the_reader(run):
    run("read", "csv", "segments.csv", "weather.csv", "-o", "c.nc", "--set", "scale=coarse")
    np.testing.assert_array_equal(opened("c.nc")["length_coarse"], [9000, 12000])
    assert "takes reaches, daily, scale" in run(
        "read", "csv", "a", "b", "c", "d", "-o", "x.nc", "--set", "scale=fine", code=1
    )


# --------------------------------------------------------------------- carry


@pytest.mark.parametrize("target", ["c.nc", "c.zarr"])
@pytest.mark.parametrize("name", ["water_temperature", "water_temperature_coarse"])
def test_carry_gives_each_reach_the_value_of_its_segment(run, river, target, name):
    coarse = river["water_temperature_coarse"].isel(time=slice(0, 60), coarse=[4, 2, 0, 1, 3]).rename(name)
    coarse.to_netcdf("coarse.nc")
    for _ in range(2):  # its own output is replaced
        assert "12 reaches" in run("carry", "coarse.nc", "river.nc", "-o", target)
    done = opened(target)["water_temperature"]
    assert done.dims == ("time", "fine")
    assert done.attrs["units"] == "degC"
    for reach, segment in zip(river.fine.values, river.coarse_segment.values, strict=True):
        np.testing.assert_array_equal(done.sel(fine=reach), coarse.sel(coarse=segment))


def test_carry_takes_the_observations_of_a_dataset_by_name(run):
    run("carry", "simulated", "simulated", "-o", "c.nc", "--data", "n_coarse=3", "years=1")
    assert opened("c.nc")["water_temperature"].notnull().any()


def test_carry_refuses_what_has_no_segments_or_too_few(run, river):
    assert "'coarse'" in run("carry", "p.nc", "river.nc", "-o", "c.nc", code=3)
    river["water_temperature_coarse"].isel(coarse=[0, 1, 2, 3]).to_netcdf("few.nc")
    message = run("carry", "few.nc", "river.nc", "-o", "c.nc", code=3)
    assert "3 reaches lie on segments that are not in the dataset: 10 -> 105" in message
    river[["slope_coarse"]].to_netcdf("none.nc")
    message = run("carry", "none.nc", "river.nc", "-o", "c.nc", code=1)
    assert "none.nc has no variable water_temperature or water_temperature_coarse, only slope" in message


# -------------------------------------------------------------------- export


def test_export_writes_cf_and_ugrid(run):
    run("export", "river.nc", "-p", "p.nc", "-o", "cf.nc")
    cf = opened("cf.nc")
    assert cf.attrs["featureType"] == "timeSeries"
    np.testing.assert_allclose(
        cf["water_temperature"].transpose("time", ...), opened("p.nc").water_temperature
    )
    run("export", "river.nc", "-p", "p.nc", "-o", "cf.nc", "--convention", "ugrid", "--days", "2001-10-05/..")
    mesh = opened("cf.nc")  # replaced
    assert mesh["network1d"].attrs["cf_role"] == "mesh_topology"
    assert mesh.sizes["time"] == 56


@pytest.mark.parametrize("name", ["t.gpkg", "t.parquet", "t.csv"])
def test_export_writes_one_row_for_each_reach(run, name):
    run("export", "river.nc", "-p", "p.nc", "-o", name, "--days", "2001-10-05/2001-10-06")
    if name.endswith("csv"):
        with Path(name).open(newline="") as stream:
            rows = list(csv.DictReader(stream))
    else:
        frames = pytest.importorskip("geopandas")
        frame = frames.read_parquet(name) if name.endswith("parquet") else frames.read_file(name)
        assert frame.crs.to_epsg() == 4326
        rows = frame.reset_index().to_dict("records")
    expected = opened("p.nc")["water_temperature"].sel(time="2001-10-06")
    assert [int(row["reach_id"]) for row in rows] == list(range(1, 13))
    found = [float(row["water_temperature 2001-10-06"]) for row in rows]
    np.testing.assert_allclose(found, expected)
    assert "water_temperature 2001-10-07" not in rows[0]


def test_export_refuses_days_that_are_not_there_and_a_convention_of_tables(run):
    words = ["export", "river.nc", "-p", "p.nc", "-o", "t.csv"]
    for days in ("1999", "soon", "2001-12-01/2002"):
        message = run(*words, "--days", days, code=1)
        assert f"no days in --days {days}; give some of 2001-10-01 to 2001-11-29" in message
    assert "--convention is for netCDF" in run(*words, "--convention", "ugrid", code=1)


# ---------------------------------------------------------------------- plot

PLOTS = [
    ["network", "-p", "p.nc", "--set", "time=2001-10-05"],
    ["network", "-p", "p.nc", "--set", "time=2001-10-05/2001-10-15", "limits=[0,20]", "mark=3"],
    ["network", "--set", "var=elevation_fine"],
    ["series", "-p", "p.nc", "--set", "reach=3", "period=2001-10"],
    ["series", "--set", "reach=3"],
    ["skill", "-p", "p.nc", "--set", "by=month", "metric=bias"],
    ["skill", "-p", "p.nc"],
    ["graph", "--set", "which=fine"],
    ["graph"],
]


@pytest.fixture
def drawn(monkeypatch):
    """The figures as they are saved."""
    figure = pytest.importorskip("matplotlib.figure").Figure
    kept, save = [], figure.savefig
    monkeypatch.setattr(figure, "savefig", lambda own, *a, **k: (kept.append(own), save(own, *a, **k)))
    return kept


@pytest.mark.parametrize("words", PLOTS, ids=" ".join)
def test_plot_writes_a_picture_and_replaces_it(run, drawn, here, words):
    for ending, head in ((".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")):
        for _ in range(2 if words == PLOTS[0] else 1):
            run("plot", words[0], "river.nc", *words[1:3], "-o", f"x{ending}", *words[3:])
        assert (here / f"x{ending}").read_bytes().startswith(head)
        if words != PLOTS[0]:
            break


def test_plot_draws_what_was_asked_for(run, drawn):
    run("plot", "network", "river.nc", "-p", "p.nc", "-o", "a.png", "--set", "time=2001-10-05")
    run("plot", "series", "river.nc", "-p", "p.nc", "-o", "b.png", "--set", "reach=3", "period=2001-10-05/..")
    map_, series = (figure.axes[0] for figure in drawn)
    assert map_.get_title(loc="left") == "2001-10-05"
    expected = opened("p.nc")["water_temperature"].sel(fine=3, time=slice("2001-10-05", None))
    assert series.get_title(loc="left").startswith("reach 3")
    lines = [np.asarray(line.get_ydata(), float) for line in series.lines]
    assert any(line.shape == expected.shape and np.allclose(line, expected) for line in lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["network"], "needs a prediction: -p FILE, or a variable: --set var=elevation_fine"),
        (["skill"], "plot skill needs a prediction: -p FILE"),
        (["series"], "plot series needs the id of a reach: --set reach=ID"),
        (["graph", "-p", "p.nc"], "plot graph draws the dataset alone; leave out -p"),
        (["network", "-p", "p.nc", "--set", "var=slope_coarse"], "draws var alone; leave out -p"),
        (["skill", "-p", "p.nc", "--set", "ax=3"], "unknown argument of plot skill 'ax'; known: by, metric"),
        (["network", "-p", "p.nc"], "choose a day with time="),
    ],
)
def test_plot_says_what_is_missing_or_too_much(run, here, words, message):
    pytest.importorskip("matplotlib")
    assert message in run("plot", words[0], "river.nc", "-o", "x.png", *words[1:], code=1)
    assert not (here / "x.png").exists()


# ------------------------------------------------------------------- explore


def test_explore_writes_a_page_of_the_days_and_replaces_it(run, here):
    pytest.importorskip("bokeh")
    sizes = []
    for days in ("..", "2001-10"):
        run("explore", "river.nc", "-p", "p.nc", "-o", "page.html", "--days", days)
        sizes.append((here / "page.html").stat().st_size)
    assert (here / "page.html").read_text(encoding="utf-8").lstrip().startswith("<!DOCTYPE html>")
    assert sizes[1] < sizes[0]
    assert "no days" in run("explore", "river.nc", "-p", "p.nc", "-o", "page.html", "--days", "1999", code=1)


# ---------------------------------------------------------------- completion


@pytest.mark.parametrize(
    ("words", "unfinished", "found"),
    [
        ([], "ex", ["explore", "export"]),
        (["read"], "nh", ["nhdplus", "nhm"]),
        (["plot"], "s", ["series", "skill"]),
        (["carry"], "sim", ["simulated"]),
        (["export", "simulated", "--convention"], "", ["cf", "ugrid"]),
    ],
)
def test_new_commands_are_completed(words, unfinished, found):
    asked = get_completion_class("bash")(main, {}, "xmsgl", "_XMSGL_COMPLETE")
    values = [item.value for item in asked.get_completions(words, unfinished) if item.type != "file"]
    assert values == found
