"""The command line as a whole: its help, and its exit codes, messages and JSON for good and bad input."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import netCDF4
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from tests.cli.conftest import strict
from xmsgl.cli.main import main

COMMANDS = [
    *("benchmark", "carry", "completion", "demo", "describe", "downscale", "evaluate", "explore", "export"),
    *("fetch", "models", "plot", "read", "reconstruct", "reproduce", "train", "validate"),
]


# ---------------------------------------------------------------------- help


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help_worth_reading(run, command, flag):
    result = run(command, flag)
    assert result.exit_code == 0
    assert f"{command} [OPTIONS]" in result.output
    assert len(result.output.splitlines()) > 6


def test_the_overview_names_commands_exit_codes_and_folders(run):
    text = run("--help").output
    assert "\\b" not in text
    assert "\n  Data folders:\n    XMSGL_DATA_DIR" in text
    for word in [*COMMANDS, "Exit codes", "XMSGL_DATA_DIR", "XMSGL_DATA_MIRROR", "convention"]:
        assert word in text
    assert set(main.commands) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained_or_explains_itself(command):
    for parameter in main.commands[command].params:
        if parameter.param_type_name == "option" and parameter.name not in {"out", "seed", "epochs"}:
            choice = hasattr(parameter.type, "choices")
            assert parameter.help or choice, f"{command} --{parameter.name}"


def test_version(run):
    import xmsgl

    assert xmsgl.__version__ in run("--version").output


# ---------------------------------------------------------------- exit codes


def test_a_valid_file_is_0(run, folder):
    for name in ("river.nc", "river.zarr"):
        result = run("validate", folder / name)
        assert result.exit_code == 0
        assert "12" in result.output


def test_validate_without_labels(run, river, tmp_path):
    labels = ["water_temperature_coarse", "water_temperature_fine"]
    river.drop_vars(labels).to_netcdf(tmp_path / "bare.nc")
    refused = run("validate", tmp_path / "bare.nc")
    assert refused.exit_code == 3
    (option,) = re.findall(r"xmsgl validate (--\S+)", refused.stderr)  # as the message advises
    assert run("validate", tmp_path / "bare.nc", option).exit_code == 0


def test_validate_prints_json(run, folder, river):
    facts = strict(run("validate", folder / "river.nc", "--json").stdout)
    assert facts == json.loads(json.dumps(river.isel(time=slice(0, 150)).msgl.validate().to_dict()))


@pytest.fixture
def broken(river, tmp_path):
    river["air_temperature_coarse"].attrs["units"] = "K"
    river["downstream_fine"][0] = 99
    river["precipitation_coarse"][5, 1] = np.nan
    river.drop_vars("length_coarse").to_netcdf(tmp_path / "broken.nc")
    return tmp_path / "broken.nc"


WORDS = ["air_temperature_coarse", "99", "precipitation_coarse", "length_coarse"]


@pytest.mark.parametrize("command", ["validate", "train"])
def test_faults_are_3_and_all_listed(run, broken, tmp_path, command):
    extra = ["-o", tmp_path / "m"] if command == "train" else []
    result = run(command, broken, *extra)
    assert result.exit_code == 3
    assert result.stdout == ""
    for word in WORDS:
        assert word in result.stderr
    assert result.stderr.startswith("error: the dataset has")
    assert "Traceback" not in result.stderr


def test_faults_as_json(run, broken):
    result = run("validate", broken, "--json")
    assert result.exit_code == 3
    faults = strict(result.stdout)["faults"]
    assert len(faults) >= 4
    assert all(any(word in fault for fault in faults) for word in WORDS)


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["validate"],
        ["validate", "absent.nc"],
        ["train", "FILE"],
        ["train", "FILE", "-o", "m", "--epochs", "0"],
        ["train", "FILE", "-o", "m", "--epochs", "many"],
        ["train", "FILE", "-o", "m", "--validation", "1.5"],
        ["train", "FILE", "-o", "m", "--ensemble", "0"],
        ["train", "FILE", "-o", "m", "--set", "hidden=4", "epochs=2"],
        ["downscale", "FILE", "-m", "absent", "-o", "x.nc"],
        ["downscale", "FILE", "-m", "MODEL", "-o", "x.nc", "--warmup", "-3"],
        ["downscale", "FILE", "-m", "MODEL", "-o", "x.nc", "--quantiles", "0.5", "1"],
        ["downscale", "-m", "MODEL", "-o", "x.nc", "--quantiles", "0.5", "FILE"],
        ["demo", "--data", "moon"],
        ["fetch", "moon"],
        ["models", "moon"],
    ],
    ids=lambda words: "-".join(words),
)
def test_a_wrong_command_line_is_2(run, folder, arguments):
    names = {"FILE": folder / "river.nc", "MODEL": folder / "m.safetensors"}
    result = run(*(names.get(word, word) for word in arguments))
    assert result.exit_code == 2
    assert "Usage" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "FILE", "-o", "m", "--method", "lstm"],
            "unknown network model 'lstm'; known: async-msgl, direct, dynamic-msgl, fine-only",
        ),
        (
            ["train", "FILE", "-o", "m", "--recipe", "secret"],
            "unknown recipe 'secret'; known: gauged, published",
        ),
        (["train", "FILE", "-o", "m", "--device", "quantum"], "'quantum'"),
        (["train", "FILE", "-o", "m", "--seed", "-1"], "seed must be a whole number of at least 0, got -1"),
        (["train", "FILE", "-o", "m", "--method", "remap", "--resume", "MODEL"], "not a training checkpoint"),
        (
            ["train", "FILE", "-o", "m", "--method", "remap", "--resume", "CHECKPOINT"],
            "belongs to another run",
        ),
        (["train", "FILE", "-o", "m", "--set", "hidden"], "'hidden' in 'hidden' is not a valid setting"),
        (
            ["train", "FILE", "-o", "m", "--set", "hiden=4"],
            "'msgl' has no setting hiden; did you mean hidden?",
        ),
        (["downscale", "FILE", "-m", "FILE", "-o", "x.nc"], "not a whole safetensors file"),
        (
            ["downscale", "FILE", "-m", "MODEL", "--quantiles", "0.0001", "0.5", "-o", "x.nc"],
            "quantiles 0.0001 cannot be estimated",
        ),
        (["downscale", "FILE", "-m", "CHECKPOINT", "-o", "x.nc"], "training checkpoint, not a model"),
        (["evaluate", "FILE", "-p", "FILE"], "river.nc has no variable water_temperature, only"),
        (["evaluate", "FILE", "-p", "PREDICTION", "--by", "moon"], "moon"),
        (["validate", "MODEL"], "error: "),
        (["validate", "FOLDER"], "error: "),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_1_and_one_line(run, folder, tmp_path, arguments, message):
    prediction = tmp_path / "p.nc"
    xr.DataArray(
        np.zeros((150, 12)),
        {"time": xr.open_dataset(folder / "river.nc").time, "fine": range(1, 13)},
        ("time", "fine"),
        "water_temperature",
        {"units": "degC"},
    ).to_netcdf(prediction)
    names = {
        "FILE": folder / "river.nc",
        "MODEL": folder / "m.safetensors",
        "CHECKPOINT": folder / "c",
        "PREDICTION": prediction,
        "FOLDER": tmp_path,
        "m": tmp_path / "m",
        "x.nc": tmp_path / "x.nc",
    }
    result = run(*(names.get(word, word) for word in arguments))
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("words", "code", "name"),
    [
        (["tran"], 2, "train"),
        (["validate", "simulatd"], 2, "simulated"),
        (["describe", "simulatd"], 2, "simulated"),
        (["models", "delaware-gaug"], 2, "delaware-gauged"),
        (["fetch", "simulatd"], 2, "simulated"),
        (["fetch", "delaware", "--forcing", "obseved"], 2, "observed"),
        (["fetch", "simulated", "--data", "n_corse=3"], 1, "n_coarse"),
        (["fetch", "delaware", "--data", "forcing=obseved"], 1, "observed"),
        (["train", "FILE", "-o", "m", "--set", "epohcs=3"], 1, "epochs"),
        (["train", "FILE", "-o", "m", "--set", "method=mgsl"], 1, "msgl"),
        (["train", "FILE", "-o", "m", "--method", "mgsl"], 1, "msgl"),
        (["train", "FILE", "-o", "m", "--method", "msgl", "--set", "backbone=lsmt"], 1, "lstm"),
        (["train", "FILE", "-o", "m", "--method", "msgl", "--set", "kernel=gausian"], 1, "gaussian"),
        (["train", "FILE", "-o", "m", "--method", "msgl", "--set", "direction=upsteam"], 1, "upstream"),
        (["train", "FILE", "-o", "m", "--set", "weighting=mgdaa"], 1, "mgda"),
        (["train", "FILE", "-o", "m", "--method", "msgl", "--set", 'features=["sesaon"]'], 1, "season"),
        (["train", "FILE", "-o", "m", "--recipe", "publishd"], 1, "published"),
        (["benchmark", "simulatd"], 2, "simulated"),
        (["benchmark", "simulated", "--methods", "mgsl"], 1, "msgl"),
        (["benchmark", "simulated", "--protocol", "tempral"], 2, "temporal"),
        (["benchmark", "simulated", "--degrade", "nois=1"], 1, "noise"),
        (["read", "nhdplu", "FILE", "-o", "x.nc"], 1, "nhdplus"),
        (["read", "nhdplus", "FILE", "-o", "x.nc", "--set", "missng=keep"], 1, "missing"),
        (["plot", "netwrk", "FILE", "-o", "x.png"], 2, "network"),
        (["plot", "graph", "FILE", "-o", "x.png", "--set", "wich=fine"], 1, "which"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_misspelt_name_is_suggested(run, folder, tmp_path, monkeypatch, words, code, name):
    monkeypatch.chdir(tmp_path)
    result = run(*(folder / "river.nc" if word == "FILE" else word for word in words))
    assert result.exit_code == code, result.output
    assert f"did you mean {name}?" in " ".join(result.stderr.split()).replace("'", "")
    assert list(tmp_path.iterdir()) == []


def test_quiet_means_no_bars(folder, tmp_path):
    arguments = ["train", str(folder / "river.nc"), "-o", str(tmp_path / "m"), "--method", "remap"]
    arguments += ["--epochs", "1", "--device", "cpu"]
    loud = CliRunner().invoke(main, arguments)
    quiet = CliRunner().invoke(main, ["--quiet", *arguments])
    assert "train remap" in loud.stderr
    assert quiet.stderr == ""


# ------------------------------------------------------------ a real process


def process(*arguments):
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from xmsgl.cli.main import main; main(prog_name='xmsgl')",
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_exit_codes_of_a_real_process(folder, broken):
    good, bad, wrong = (
        process("validate", folder / "river.nc", "--json"),
        process("validate", broken),
        process("fly"),
    )
    assert (good.returncode, bad.returncode, wrong.returncode) == (0, 3, 2)
    strict(good.stdout)
    assert "length_coarse" in bad.stderr
    assert "Usage: xmsgl" in wrong.stderr


def spoil_values(kind, folder):
    """A dataset that opens, but whose values cannot be decoded."""
    ds = xr.open_dataset(folder / "river.nc")
    if kind == "netcdf":
        path = folder / "spoilt.nc"
        ds.to_netcdf(path)
        with netCDF4.Dataset(path, "r+") as file:
            file["air_temperature_coarse"].scale_factor = "moon"
        return path
    path = folder / "spoilt.zarr"
    ds.to_zarr(path, consolidated=False)
    for chunk in (path / "air_temperature_coarse" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"moon")
    return path


@pytest.mark.parametrize("kind", ["netcdf", "zarr"])
def test_values_that_cannot_be_decoded_are_an_error_in_one_line(run, folder, kind):
    path = spoil_values(kind, folder)
    found = r"air_temperature_coarse, chunk \(0, 0\), 2001-10-01 to \S+: \w+: .*; copy or write it again\n"
    for words, message in (
        (["validate", path], r"error: a file cannot be read \(\w+: .*\); write it again\n"),
        (
            ["downscale", path, "-m", folder / "m.safetensors", "-o", folder / "no.nc"],
            f"error: cannot read {re.escape(str(path))}: {found}",
        ),
    ):
        result = run(*words)
        assert result.exit_code == 1, result.exception
        assert re.fullmatch(message, result.stderr)
    assert not (folder / "no.nc").exists()


@pytest.mark.parametrize(
    ("error", "code"), [(MemoryError("8 GB"), 1), (RuntimeError("a fault of ours"), None)]
)
def test_too_little_memory_is_an_error_in_one_line_and_our_faults_are_not(run, monkeypatch, error, code):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("xmsgl.cli.main.open_data", fail)
    result = run("validate", "simulated")
    if code is None:
        assert result.exception is error
    else:
        assert (result.exit_code, result.stderr[:24]) == (code, "error: not enough memory")
