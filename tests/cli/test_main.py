"""The command line: its help, its exit codes, its JSON, and one way from file to scores."""

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

from xmsgl import datasets
from xmsgl.cli.main import main
from xmsgl.errors import DataUnavailableError
from xmsgl.models.file.model import load_model
from xmsgl.util.options import get_option, set_options

COMMANDS = [
    *("benchmark", "carry", "completion", "demo", "describe", "downscale", "evaluate", "explore", "export"),
    *("fetch", "models", "plot", "read", "reconstruct", "reproduce", "train", "validate"),
]


def refuse_constant(name):
    raise ValueError(f"{name} is not JSON")


def strict(text):
    """Read JSON without NaN and Infinity, as other readers do."""
    return json.loads(text, parse_constant=refuse_constant)


@pytest.fixture
def run():
    def call(*arguments):
        return CliRunner().invoke(main, ["--quiet", *map(str, arguments)])

    return call


@pytest.fixture(scope="module")
def folder(river_once, tmp_path_factory):
    """A river as a file, a model trained on it and its JSON output, all from the command line."""
    path = tmp_path_factory.mktemp("cli")
    ds = river_once.isel(time=slice(0, 150))
    ds.to_netcdf(path / "river.nc")
    ds.to_zarr(path / "river.zarr", consolidated=False)
    arguments = ["--method", "remap", "--epochs", "2", "--seed", "4", "--device", "cpu", "--json"]
    files = [path / "river.nc", "-o", path / "m.safetensors", "--checkpoint", path / "c"]
    with set_options(progress=get_option("progress")):  # --quiet would hold for whatever comes after
        trained = CliRunner().invoke(main, ["--quiet", "train", *map(str, files), *arguments])
    assert trained.exit_code == 0, trained.output
    (path / "train.json").write_text(trained.stdout)
    return path


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
        (["train", "FILE", "-o", "m", "--set", "backbone=lsmt"], 1, "lstm"),
        (["train", "FILE", "-o", "m", "--set", "kernel=gausian"], 1, "gaussian"),
        (["train", "FILE", "-o", "m", "--set", "direction=upsteam"], 1, "upstream"),
        (["train", "FILE", "-o", "m", "--set", "weighting=mgdaa"], 1, "mgda"),
        (["train", "FILE", "-o", "m", "--set", 'features=["sesaon"]'], 1, "season"),
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


# ------------------------------------------------------------ the whole way


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
