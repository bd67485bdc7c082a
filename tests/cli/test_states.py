"""``xmsgl downscale`` year by year, each year with the state of the one before."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from tests.small import TWO_FEATURES
from xmsgl.cli.main import main
from xmsgl.prediction.downscale import downscale


@pytest.fixture(scope="module")
def folder(river_once, tmp_path_factory):
    path = tmp_path_factory.mktemp("states")
    for number, days in enumerate((slice(0, 365), slice(365, None))):
        river_once.isel(time=days).to_netcdf(path / f"{number}.nc")
    river_once.msgl.train("msgl", validation=None, **TWO_FEATURES).save(path / "m.safetensors")
    return path


@pytest.fixture
def run(folder):
    def call(number, *options):
        files = [folder / f"{number}.nc", "-m", folder / "m.safetensors", "-o", folder / f"out{number}.nc"]
        return CliRunner().invoke(main, ["--quiet", "downscale", *map(str, (*files, *options))])

    return call


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_two_runs_are_one(run, folder, river, tmp_path, ending):
    state = tmp_path / f"state{ending}"
    first = run(0, "--save-state", state)
    assert first.exit_code == 0, first.output
    assert f"written to {state}" in first.output
    second = run(1, "--start", state)
    assert second.exit_code == 0, second.output
    whole = downscale(river, folder / "m.safetensors", carry=True)
    with xr.open_mfdataset([folder / "out0.nc", folder / "out1.nc"]) as found:
        np.testing.assert_allclose(found.water_temperature, whole, atol=2e-5)
    assert run(0, "--save-state", state).exit_code == 0  # a state may be replaced


def test_what_is_refused(run, folder, tmp_path):
    state = tmp_path / "state.nc"
    assert "leave out --start and --save-state" in run(0, "--resume", "--save-state", state).output
    assert "name the same file" in run(0, "--save-state", tmp_path / "a.nc", "-o", tmp_path / "a.nc").output
    assert run(0, "--save-state", state).exit_code == 0
    again = run(0, "--start", state)
    assert again.exit_code == 1
    assert "select the days with" in again.output
