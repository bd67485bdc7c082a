"""Fetching, training, downscaling and scoring on the command line, against the same calls in Python."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from tests.cli.conftest import strict
from xmsgl import datasets
from xmsgl.cli.main import main
from xmsgl.errors import DataUnavailableError
from xmsgl.models.file.model import load_model


def test_train_says_what_it_made(folder):
    facts = strict((folder / "train.json").read_text())
    model = load_model(folder / "m.safetensors")
    assert facts["sha256"] == model.sha256
    assert facts["history"] == model.history
    assert (model.method, model.spec.training["seed"]) == ("remap", 4)
    assert len(model.history["epoch"]) == 2


def test_train_takes_a_recipe_and_what_is_given_wins(run, folder, tmp_path):
    command = ["train", folder / "river.nc", "-o", tmp_path / "m", "--method", "remap", "--device", "cpu"]
    result = run(*command, "--recipe", "published", "--epochs", 1)
    assert result.exit_code == 0, result.output
    model = load_model(tmp_path / "m")
    assert model.spec.training["recipe"] == "published"
    assert model.spec.warmup == 0
    assert len(model.history["epoch"]) == 1


def test_train_resumes(run, folder, tmp_path):
    result = run(
        "train", folder / "river.nc", "-o", tmp_path / "m", "--method", "remap", "--epochs", 2, "--seed", 4,
        "--device", "cpu", "--resume", folder / "c",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert load_model(tmp_path / "m").sha256 == load_model(folder / "m.safetensors").sha256
    assert "<xmsgl.Model>" in result.stdout


@pytest.mark.parametrize("source", ["river.nc", "river.zarr"])
@pytest.mark.parametrize("target", ["out.nc", "out.zarr"])
def test_from_a_file_to_scores(run, folder, river, tmp_path, source, target):
    model = folder / "m.safetensors"
    written = run("downscale", folder / source, "-m", model, "-o", tmp_path / target, "--device", "cpu")
    assert written.exit_code == 0, written.output
    assert "12 reaches x 150 days" in written.stdout
    assert "Warning" not in written.stderr
    engine = "zarr" if target.endswith("zarr") else "netcdf4"
    ds = river.isel(time=slice(0, 150))
    with xr.open_dataset(tmp_path / target, engine=engine) as out:
        expected = ds.msgl.downscale(model)
        np.testing.assert_array_equal(out["water_temperature"], expected)
        np.testing.assert_array_equal(out["time"], ds["time"])
        assert out["water_temperature"].attrs["units"] == "degC"
        assert "downscale" in out["water_temperature"].attrs["history"]
    scored = run("evaluate", folder / source, "-p", tmp_path / target, "--json")
    assert scored.exit_code == 0, scored.output
    values = strict(scored.stdout)
    truth = ds["water_temperature_fine"]
    assert values["n"] == int(truth.count())
    assert values["rmse"] == pytest.approx(float(np.sqrt(((expected - truth) ** 2).mean())), rel=1e-4)


def test_scores_as_text_and_by_group(run, folder, tmp_path):
    run("downscale", folder / "river.nc", "-m", folder / "m.safetensors", "-o", tmp_path / "p.nc")
    arguments = ["evaluate", folder / "river.nc", "-p", tmp_path / "p.nc"]
    text = run(*arguments).stdout
    assert "rmse" in text
    assert "degC" in text
    rows = strict(run(*arguments, "--by", "month", "--json").stdout)
    assert [row["month"] for row in rows] == [1, 2, 10, 11, 12]
    assert sum(row["n"] for row in rows) == strict(run(*arguments, "--json").stdout)["n"]
    assert "month" in run(*arguments, "--by", "month").stdout


@pytest.fixture(scope="module")
def ensemble(folder):
    """A model of two members with intervals, trained from the command line."""
    command = ["train", "--set", "hidden=4", "backbone=lstm", "window=50", "warmup=5", "features=" + FEATURES]
    command += ["--ensemble", "2", "-o", folder / "e.safetensors", "--validation", "0.5", "--seed", "3"]
    command += ["--method", "remap", "--epochs", "2", "--device", "cpu", "--", folder / "river.nc"]
    trained = CliRunner().invoke(main, ["--quiet", *map(str, command)])
    assert trained.exit_code == 0, trained.output
    assert "whose mean is the prediction" in trained.stdout
    return folder / "e.safetensors"


FEATURES = '["air_temperature","slope"]'


def test_other_settings_are_those_of_training(ensemble, river):
    expected = river.isel(time=slice(0, 150)).msgl.train(
        "remap", ensemble=2, validation=0.5, seed=3, epochs=2, hidden=4, backbone="lstm", window=50, warmup=5,
        features=["air_temperature", "slope"], device="cpu", progress=False,
    )  # fmt: skip
    assert load_model(ensemble).sha256 == expected.sha256


@pytest.mark.parametrize("target", ["q.nc", "q.zarr"])
def test_quantiles_from_a_file_to_their_scores(run, folder, ensemble, river, tmp_path, target):
    ds, out = river.isel(time=slice(0, 150)), tmp_path / target
    written = run(
        "downscale", folder / "river.nc", "-m", ensemble, "--quantiles", 0.9, 0.1, 0.5, "-o", out,
        "--device", "cpu",
    )  # fmt: skip
    assert written.exit_code == 0, written.output
    assert "3 quantiles x 12 reaches x 150 days" in written.stdout
    with xr.open_dataset(out, engine="zarr" if target.endswith("zarr") else "netcdf4") as back:
        quantiles = back["water_temperature"].load()
    xr.testing.assert_equal(quantiles, ds.msgl.downscale(ensemble, quantiles=[0.9, 0.1, 0.5]))
    values = strict(run("evaluate", folder / "river.nc", "-p", out, "--json").stdout)
    observed = ds["water_temperature_fine"].transpose("time", "fine")
    inside = (quantiles.sel(quantile=0.1) <= observed) & (observed <= quantiles.sel(quantile=0.9))
    assert values["n"] == int(observed.count())
    assert values["coverage_0.8"] == pytest.approx(int(inside.sum()) / values["n"])
    error = quantiles.sel(quantile=0.5) - observed
    assert values["pinball_0.5"] == pytest.approx(float(abs(error).mean()) / 2, rel=1e-5)
    rows = strict(run("evaluate", folder / "river.nc", "-p", out, "--by", "month", "--json").stdout)
    covered = sum(row["coverage_0.8"] * row["n"] for row in rows)
    assert covered == pytest.approx(int(inside.sum()))
    assert [row["month"] for row in rows] == [1, 2, 10, 11, 12]
    assert "coverage_0.8" in run("evaluate", folder / "river.nc", "-p", out).stdout


def test_fetch_writes_the_simulated_basin(run, tmp_path):
    result = run("fetch", "simulated", "-o", tmp_path / "s.nc", "--json")
    assert result.exit_code == 0, result.output
    strict(result.stdout)
    assert run("validate", tmp_path / "s.nc").exit_code == 0


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ([], {"forcing": "stations"}),
        (["--forcing", "observed", "--fine", "all"], {"forcing": "observed", "fine": "all"}),
        (["--data", "forcing=observed"], {"forcing": "observed"}),
    ],
    ids=["alone", "options", "data"],
)
def test_fetch_asks_the_delaware_for_what_its_help_says(run, monkeypatch, words, asked):
    seen = []

    def delaware(forcing="stations", fine="mainstem"):
        seen.append({"forcing": forcing, "fine": fine})
        raise DataUnavailableError("stop")

    monkeypatch.setattr(datasets, "delaware", delaware)
    assert run("fetch", "delaware", *words).exit_code == 1
    assert seen == [{"fine": "mainstem", **asked}]


def test_fetch_refuses_an_argument_of_another_dataset(run, tmp_path):
    result = run("fetch", "simulated", "--forcing", "observed", "-o", tmp_path / "s.nc")
    assert result.exit_code == 1
    assert "'forcing'" in result.output
    assert not (tmp_path / "s.nc").exists()


def test_fetch_refuses_an_argument_given_twice(run):
    result = run("fetch", "delaware", "--region", "02040104", "--data", "region=02040101")
    assert result.exit_code == 2
    assert "region given both as an option and in --data" in result.output


def test_fetch_takes_arguments_of_the_dataset(run, tmp_path):
    result = run("fetch", "simulated", "--data", "n_coarse=3", "years=1", "-o", tmp_path / "s.nc")
    assert result.exit_code == 0
    with xr.open_dataset(tmp_path / "s.nc") as ds:
        assert dict(ds.sizes)["coarse"] == 3
        assert ds.sizes["time"] in (365, 366)


@pytest.mark.filterwarnings("default::xmsgl.errors.XMSGLWarning")
def test_another_basin_is_warned_of_by_name_and_variable(run, folder, river_of, tmp_path):
    """The command opens lazily, and the lines come before the result is written."""
    other = river_of(150, seed=3)
    other["length_coarse"] = other["length_coarse"] * 2
    other["drainage_area_coarse"] = other["drainage_area_coarse"] * 10_000
    other.to_netcdf(tmp_path / "other.nc")
    done = run("downscale", tmp_path / "other.nc", "-m", folder / "m.safetensors", "-o", tmp_path / "t.nc")
    assert done.exit_code == 0, done.output
    lines = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert len(lines) == 2
    assert "none of the 5 segments of this dataset" in lines[0]
    assert "drainage_area_coarse (100%" in lines[1]


@pytest.mark.parametrize("how", ["reversed", "gap", "kelvin"])
def test_days_and_units_are_looked_at_in_files_too(run, folder, tmp_path, how):
    ds = xr.load_dataset(folder / "river.nc")
    expected = run("downscale", folder / "river.nc", "-m", folder / "m.safetensors", "-o", tmp_path / "a.nc")
    assert expected.exit_code == 0, expected.output
    if how == "reversed":
        ds = ds.isel(time=slice(None, None, -1))
    elif how == "gap":
        ds = ds.isel(time=[*range(50), *range(90, 150)])
    else:
        ds["air_temperature_coarse"] = (ds["air_temperature_coarse"] + 273.15).assign_attrs(units="degC")
    ds.to_netcdf(tmp_path / "other.nc")
    done = run("downscale", tmp_path / "other.nc", "-m", folder / "m.safetensors", "-o", tmp_path / "b.nc")
    if how == "reversed":
        assert done.exit_code == 0, done.output
        with xr.open_dataset(tmp_path / "a.nc") as one, xr.open_dataset(tmp_path / "b.nc") as other:
            xr.testing.assert_equal(other.sortby("time"), one)
        return
    assert done.exit_code == 3
    assert {"gap": "40 days are missing", "kelvin": "probably kelvin"}[how] in done.stderr
    assert not (tmp_path / "b.nc").exists()
