"""``xmsgl reconstruct``: what it writes is what Python returns, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

pytest.importorskip("sklearn")

from xmsgl.cli.main import main
from xmsgl.reconstruct import reconstruct
from xmsgl.training.train import train


@pytest.fixture(scope="module")
def folder(river_once, tmp_path_factory):
    path = tmp_path_factory.mktemp("reconstruct")
    river_once.to_netcdf(path / "river.nc")
    train(river_once, "trees", validation="folds:2", iterations=5, progress=False).save(
        path / "m.safetensors"
    )
    return path


@pytest.fixture
def run(folder):
    def call(*options):
        files = [folder / "river.nc", "-m", folder / "m.safetensors", "-o", folder / "out.nc"]
        return CliRunner().invoke(main, ["--quiet", "reconstruct", *map(str, (*files, *options))])

    return call


@pytest.mark.parametrize("mode", ["smooth", "filter"])
def test_it_writes_what_python_returns(run, folder, river, mode):
    done = run("--mode", mode)
    assert done.exit_code == 0, done.output
    expected = reconstruct(river, folder / "m.safetensors", mode=mode)
    with xr.open_dataset(folder / "out.nc") as found:
        np.testing.assert_array_equal(found.water_temperature, expected)
    assert f"12 reaches x {river.sizes['time']} days" in done.output


def test_a_forecast_of_a_day(run, folder, river):
    issue = str(river.indexes["time"][299].date())
    done = run("--mode", "forecast", "--issue", issue, "--lead", 7)
    assert done.exit_code == 0, done.output
    known = river[["water_temperature_fine", "water_temperature_coarse"]].sel(time=slice(None, issue))
    expected = reconstruct(river, folder / "m.safetensors", mode="forecast", lead=7, observed=known)
    with xr.open_dataset(folder / "out.nc") as found:
        np.testing.assert_array_equal(found.water_temperature, expected)
        assert str(found.issue.values)[:10] == issue
        assert found.lead.values.tolist() == [*range(1, 8)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--issue", "2000-01-01"], "--issue is for --mode forecast"),
        (["--mode", "forecast", "--issue", "someday"], "such as 2021-04-01"),
        (["--mode", "forecast", "--issue", "1950-01-01"], "the dataset has days from"),
        (["--lead", "3"], "mode='forecast'"),
    ],
)
def test_wrong_days_are_refused(run, options, said):
    done = run(*options)
    assert done.exit_code in (1, 2)
    assert said in done.output
