"""``xmsgl reconstruct``: what it writes is what Python returns, and what it refuses."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from tests.small import kills, report_kills
from xmsgl.cli.main import main
from xmsgl.reconstruct import reconstruct, state
from xmsgl.training.train import train


@pytest.fixture(scope="module")
def folder(river_once, tmp_path_factory, small_fits):
    path = tmp_path_factory.mktemp("reconstruct")
    river_once.to_netcdf(path / "river.nc")
    train(river_once, "trees", validation="folds:2", iterations=5, progress=False).save(
        path / "m.safetensors"
    )
    return path


@pytest.fixture
def run(folder):
    def call(*options, dataset=folder / "river.nc"):
        files = [dataset, "-m", folder / "m.safetensors", "-o", folder / "out.nc"]
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


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_day_after_day_it_starts_from_the_state(run, folder, river, tmp_path, ending):
    """Of the first dataset a state is left, and the next one begins late."""
    if ending == ".zarr":
        pytest.importorskip("zarr")
    first, second = (tmp_path / f"{name}{ending}" for name in ("first", "second"))
    done = run("--mode", "forecast", "--issue", "2003-06-01", "--lead", 1, "--save-state", first)
    assert done.exit_code == 0, done.output
    assert f"state of 2003-06-01 written to {first}" in done.output
    needed = xr.open_dataset(first).drivers_from
    river.sel(time=slice(needed, "2003-06-20")).to_netcdf(tmp_path / "late.nc")
    issue = ["--mode", "forecast", "--issue", "2003-06-08", "--lead", 7]
    options = [*issue, "--start", first, "--save-state", second, "--quantiles", 0.3, 0.5]
    for _ in range(2):  # again, it may replace what it wrote
        done = run(*options, dataset=tmp_path / "late.nc")
        assert done.exit_code == 0, done.output
    known = river[["water_temperature_fine", "water_temperature_coarse"]].sel(time=slice(None, "2003-06-08"))
    asked = {"lead": 7, "observed": known, "quantiles": [0.3, 0.5]}
    expected = reconstruct(river, folder / "m.safetensors", mode="forecast", **asked)
    with xr.open_dataset(folder / "out.nc") as found, xr.open_dataset(second) as kept:
        np.testing.assert_allclose(found.water_temperature, expected, atol=1e-5)
        whole = state(river, folder / "m.safetensors", day="2003-06-08")
        xr.testing.assert_allclose(kept.drop_attrs(), whole.drop_attrs(), atol=1e-5)


def test_files_of_states_are_protected(run, folder, tmp_path):
    first = tmp_path / "first.nc"
    assert run("--save-state", first).exit_code == 0
    for options, said in [
        (["--start", first, "--save-state", first], "which is read; choose another name"),
        (["--save-state", folder / "river.nc"], "which is read"),
        (["--save-state", tmp_path / "first.csv"], "choose a name with one of these endings"),
        (["--start", folder / "river.nc"], "made by ds.msgl.state"),
        (["--start", tmp_path / "none.nc"], "none.nc"),
    ]:
        done = run(*options)
        assert done.exit_code in (1, 2)
        assert said in done.output
    (folder / "out.nc").unlink()
    assert "name the same file; give two" in run("--save-state", folder / "out.nc").output
    (tmp_path / "other.nc").write_bytes((folder / "river.nc").read_bytes())
    assert "is not a state written by xmsgl" in run("--save-state", tmp_path / "other.nc").output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--issue", "2000-01-01"], "--issue is for --mode forecast"),
        (["--mode", "forecast", "--issue", "someday"], "such as 2021-04-01"),
        (["--mode", "forecast", "--issue", "2003-04"], "--issue must be one day"),
        (["--mode", "forecast", "--issue", "01/04/2003"], "yyyy-mm-dd"),
        (["--mode", "forecast", "--issue", "1950-01-01"], "the dataset has days from"),
        (["--lead", "3"], "mode='forecast'"),
    ],
)
def test_wrong_days_are_refused(run, options, said):
    done = run(*options)
    assert done.exit_code in (1, 2)
    assert said in done.output


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_kills_leave_nothing_half_written(run, folder, tmp_path):
    """Killed at random moments after its work began, then left to finish."""
    assert run().exit_code == 0
    expected = xr.load_dataset(folder / "out.nc").water_temperature
    output, rng = tmp_path / "again.nc", random.Random(2)
    job = [sys.executable, "-c", "from xmsgl.cli.main import main; main()", "--quiet", "reconstruct"]
    files = [folder / "river.nc", "-m", folder / "m.safetensors", "-o", output]
    killed, wanted = [], kills(1)
    while sum(killed) < wanted and len(killed) < 5 * wanted:
        output.unlink(missing_ok=True)
        running = subprocess.Popen([*job, *map(str, files)], stdout=subprocess.DEVNULL)
        while running.poll() is None and not list(tmp_path.glob(".xmsgl-*")):
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.1))
        running.kill()
        killed.append(running.wait() == -signal.SIGKILL)  # else it had finished
        if output.exists():
            xr.testing.assert_equal(xr.load_dataset(output).water_temperature, expected)
    assert sum(killed) == wanted
    report_kills("reconstruct", killed)
    subprocess.run([*job, *map(str, files)], check=True, capture_output=True, timeout=120)
    xr.testing.assert_equal(xr.load_dataset(output).water_temperature, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["again.nc"]


@pytest.mark.parametrize("command", ["describe", "explore"])
def test_a_written_forecast_can_be_read_by_other_commands(run, folder, tmp_path, command):
    assert run("--mode", "forecast", "--issue", "2003-04-01", "--lead", "3").exit_code == 0
    files = [folder / "river.nc", "-p", folder / "out.nc", "-o", tmp_path / "p.html"]
    given = files if command == "explore" else [folder / "out.nc"]
    found = CliRunner().invoke(main, ["--quiet", command, *map(str, given)])
    assert found.exit_code == 0, found.output
