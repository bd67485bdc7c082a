"""Configurations: TOML in and out, and models and runs that come out again as they were."""

from __future__ import annotations

import functools
import math
import tomllib

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from xmsgl.benchmark.plan import make_plan
from xmsgl.benchmark.runs import Run
from xmsgl.cli.config import to_toml
from xmsgl.cli.describe import _run_config
from xmsgl.cli.main import main
from xmsgl.errors import InvalidArgumentError
from xmsgl.models.file.model import load_model
from xmsgl.network.kernels import Gaussian
from xmsgl.training.train import train
from xmsgl.util.spec import parse_seeds

BASIN = {"n_coarse": 3, "reaches_per_segment": 2, "years": 1, "label_fraction": 0.1}
DAYS = "2002-01-01/2002-02-15,2002-08-01/.."
SMALL = ["hidden=4", "heads=2", "window=90", "warmup=10", "clip=null", "pretrain=1"]
SMALL += ['features=["drivers","air_temperature:7","statics","season"]']


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(main, ["--quiet", *map(str, arguments)])

    return call


# ---------------------------------------------------------------------- TOML

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXT
VALUES = st.recursive(
    PLAIN, lambda part: st.lists(part, max_size=3) | st.dictionaries(TEXT, part, max_size=3), max_leaves=8
)


def as_toml(value):
    """A value as TOML keeps it: None becomes a word."""
    if isinstance(value, dict):
        return {name: as_toml(part) for name, part in value.items()}
    if isinstance(value, list):
        return [as_toml(part) for part in value]
    return "none" if value is None else value


@given(st.dictionaries(TEXT, VALUES, max_size=5), st.text("ab \n#", max_size=9))
def test_the_standard_library_reads_what_is_written(values, comment):
    assert tomllib.loads(to_toml(values, comment=comment)) == as_toml(values)


def test_nan_is_a_number_of_toml():
    assert math.isnan(tomllib.loads(to_toml({"a": math.nan}))["a"])


def test_what_toml_cannot_hold_is_refused():
    with pytest.raises(InvalidArgumentError, match="complex"):
        to_toml({"a": 1j})


# ------------------------------------------------------------ models again


def data(**arguments):
    return ["--data", *(f"{name}={value}" for name, value in arguments.items())]


@pytest.mark.parametrize(
    "options",
    [
        ["--method", "msgl", "--set", *SMALL],
        [
            "--method",
            "msgl",
            "--ensemble",
            2,
            "--seed",
            3,
            "--validation",
            "2002-01-01/2002-02-15,2002-08-01/..",
            "--set",
            *SMALL,
        ],
        ["--recipe", "published", "--method", "fine-only", "--validation", "none", "--set", "window=90"],
    ],
    ids=["settings", "ensemble", "recipe"],
)
def test_a_model_is_made_again_bit_for_bit(run, tmp_path, options):
    ending = ["--epochs", 2, "--device", "cpu", "--checkpoint", "c"]
    made = run("train", "simulated", "-o", "m", *data(**BASIN), *options, *ending)
    assert made.exit_code == 0, made.output
    toml = run("describe", "m", "--toml").stdout
    (tmp_path / "run.toml").write_text(toml)
    again = run("train", "--config", "run.toml", "-o", "again", "--device", "cpu")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "again").read_bytes() == (tmp_path / "m").read_bytes()
    assert run("describe", "again", "--toml").stdout == toml
    assert run("describe", "c", "--toml").stdout == toml  # and so does the checkpoint


def test_frozen_parts_are_named_by_an_option_and_kept_in_the_configuration(run, tmp_path):
    made = run(
        "train", "simulated", "-o", "m", *data(**BASIN), "--method", "msgl", "--epochs", 2, "--set", *SMALL
    )
    assert made.exit_code == 0, made.output
    ending = ["--epochs", 2, "--device", "cpu", "--set", "start=m", "window=90", "warmup=10"]
    tuned = run("train", "simulated", "-o", "n", *data(**BASIN), "--frozen", "cell", "coarse_head", *ending)
    assert tuned.exit_code == 0, tuned.output
    toml = run("describe", "n", "--toml").stdout
    assert tomllib.loads(toml)["frozen"] == ["cell", "coarse_head"]
    (tmp_path / "run.toml").write_text(toml)
    again = run("train", "--config", "run.toml", "-o", "again", "--device", "cpu", "--set", "start=m")
    assert again.exit_code == 0, again.output
    models = [load_model(name) for name in ("m", "n", "again")]
    assert models[1].sha256 == models[2].sha256
    for name, value in models[0].weights.items():
        assert bool((models[1].weights[name] == value).all()) == name.startswith(("cell.", "coarse_head."))


def test_a_model_of_python_is_made_again_by_the_command(run, tmp_path, river):
    """Values that no command line has: days as numbers, a kernel as an object, features as a tuple."""
    ds = river.isel(time=slice(0, 200))
    ds.to_netcdf("river.nc")
    days = [slice("2001-11", "2001-12-15"), slice(np.datetime64("2002-03-10"), None)]
    model = train(
        ds, "remap", epochs=2, hidden=4, average=np.float64(0.1), window=60, warmup=5, kernel=Gaussian(4e3),
        validation=days,
        features=("air_temperature", "slope"), learning_rate=[0.01], patience=None, device="cpu",
        progress=False,
    )  # fmt: skip
    model.save("m")
    toml = run("describe", "m", "--toml").stdout
    said = tomllib.loads(toml)
    assert said["validation"] == "2001-11/2001-12-15,2002-03-10/.."
    assert "dataset" not in said
    assert said["set"]["average"] == 0.1
    assert "patience" not in said["set"]  # its default
    (tmp_path / "run.toml").write_text(toml)
    again = run("train", "river.nc", "--config", "run.toml", "-o", "again", "--device", "cpu")
    assert again.exit_code == 0, again.output
    assert load_model("again").sha256 == model.sha256


def test_the_command_line_wins(run, tmp_path):
    (tmp_path / "run.toml").write_text(
        'dataset = "simulated"\nmethod = "remap"\nepochs = 3\noutput = "one"\ndevice = "cpu"\n'
        + "".join(f"\n[{table}]\n{body}\n" for table, body in TABLES.items())
    )
    made = run("train", "--config", "run.toml", "--epochs", 1, "-o", "two", "--set", "hidden=2")
    assert made.exit_code == 0, made.output
    assert not (tmp_path / "one").exists()
    model = load_model("two")
    assert len(model.history["epoch"]) == 1
    assert (model.spec.architecture["hidden"], model.spec.window) == (2, 90)


TABLES = {
    "data": "n_coarse = 3\nreaches_per_segment = 2\nyears = 1\nlabel_fraction = 0.1",
    "set": 'hidden = 4\nwindow = 90\nwarmup = 10\nclip = "none"',
}


def test_other_labels_are_refused(run, tmp_path):
    made = run("train", "simulated", "-o", "m", *data(**BASIN), "--epochs", 1, "--method", "remap")
    assert made.exit_code == 0, made.output
    (tmp_path / "run.toml").write_text(run("describe", "m", "--toml").stdout)
    other = run("train", "--config", "run.toml", "-o", "n", *data(seed=1))
    assert other.exit_code == 1
    assert "fingerprint" in other.stderr
    assert not (tmp_path / "n").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "epoch = 3",
            "run.toml: unknown options: epoch; known: checkpoint, data, dataset, deterministic, device",
        ),
        ("epochs = 0", "Invalid value for '--epochs'"),
        ('epochs = "many"', "Invalid value for '--epochs'"),
        ('validation = "often"', "validation must be a fraction of the windows between 0 and 1"),
        ('validation = "2001-01-01/"', "got '2001-01-01/'"),
        ("validation = 1.5", "validation must be a fraction of the windows between 0 and 1"),
        ("set = 3", "set must be a table, [set]"),
        ("[set]\nseed = 3", "--set cannot take seed, which has its own option; use --seed"),
        ("epochs = ", "run.toml: not valid TOML"),
        ("[set]\nclip = " + "[" * 5000, "run.toml: not valid TOML"),
        ("[set]\nclip = nan", "clip=nan is not a finite number; give one, or none if allowed"),
        ("[set]\nlearning_rate = [0.1, inf]", "learning_rate=[0.1, inf] is not a finite number"),
        ('[data]\nyears = "-Infinity"', "years=-Infinity is not a finite number"),
        (
            'dataset = "moon"',
            "'moon' is not a known dataset (delaware, simulated, willamette, yakima) or an existing file",
        ),
        ('config = "other.toml"', "unknown options: config"),
    ],
)
def test_a_wrong_configuration_is_a_wrong_command_line(run, tmp_path, text, message):
    (tmp_path / "run.toml").write_text(text)
    dataset = [] if text.startswith("dataset") else ["simulated"]
    result = run("train", *dataset, "--config", "run.toml", "-o", "m")
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ('anchored = "False"', {"anchored": False}),
        ("amp = true", {"amp": True}),
        ('clip = "None"', {"clip": None}),
        ('clip = "NULL"', {"clip": None}),
        ('amp = "no"', "amp must be True or False or None, not 'no'"),
        ("amp = 1", "amp must be True or False or None, not 1"),
        (
            'features = "season"',
            "features must be a list of names, such as ['default', 'season'], got 'season'",
        ),
        ('anchored = "off"', "anchored must be True or False, not 'off'"),
        ('features = ["none", "2011"]', {"features": ["none", "2011"]}),
        ("anchord = true", "'msgl' has no setting anchord; did you mean anchored?"),
    ],
)
def test_words_of_a_table_are_values_where_they_are_meant(run, tmp_path, monkeypatch, text, seen):
    (tmp_path / "run.toml").write_text(f"method = 'msgl'\n[data]\nn_coarse = 3\nyears = 2\n[set]\n{text}\n")
    if isinstance(seen, str):
        result = run("train", "simulated", "--config", "run.toml", "-o", "m", "--epochs", 1)
        assert result.exit_code == 1
        assert result.stderr == f"error: {seen}\n"
        return
    given = {}

    def note(_, method, **settings):
        given.update(settings)
        raise InvalidArgumentError("enough")

    monkeypatch.setattr("xmsgl.training.train.train", functools.wraps(train)(note))
    assert run("train", "simulated", "--config", "run.toml", "-o", "m").stderr == "error: enough\n"
    assert seen.items() <= given.items()
    assert all(type(given[name]) is type(value) for name, value in seen.items())


def test_a_dataset_must_be_named_somewhere(run, tmp_path):
    (tmp_path / "run.toml").write_text("epochs = 3")
    result = run("train", "--config", "run.toml", "-o", "m")
    assert result.exit_code == 2
    assert "Missing argument 'DATASET'" in result.stderr


# ---------------------------------------------------------------- benchmarks

BENCH = """
dataset = "simulated"
fractions = [0.01, 1]
methods = ["climatology", "msgl:hidden=8,kernel=reference"]
seeds = 2
degrade = ["none", "noise=1"]
out = "bench"

[set]
epochs = 2
features = ["default", "season"]

[data]
n_coarse = 3
years = 3
"""


def test_a_benchmark_by_configuration_is_that_of_the_command_line(run, tmp_path):
    (tmp_path / "bench.toml").write_text(BENCH)
    by_file = run("benchmark", "--config", "bench.toml", "--list")
    by_words = run(
        "benchmark", "simulated", "--fractions", 0.01, 1, "--methods", "climatology",
        "msgl:hidden=8,kernel=reference", "--seeds", 2, "--degrade", "none", "noise=1", "--set", "epochs=2",
        'features=["default","season"]', "--data", "n_coarse=3", "years=3", "--list",
    )  # fmt: skip
    assert by_file.exit_code == by_words.exit_code == 0, by_file.output
    assert by_file.stdout == by_words.stdout
    assert len(by_file.stdout.splitlines()) == 2 * 2 * 2 * 2
    fewer = run("benchmark", "--config", "bench.toml", "--seeds", "1", "--list")
    assert len(fewer.stdout.splitlines()) == 2 * 2 * 2


def test_the_folder_of_a_benchmark_keeps_its_configuration(run, tmp_path):
    text = 'dataset = "simulated"\nmethods = "climatology"\nfractions = 0.1\nseeds = 1\nfigures = false\n'
    (tmp_path / "bench.toml").write_text(text + "[data]\nn_coarse = 3\nreaches_per_segment = 2\nyears = 3\n")
    for _ in range(2):
        done = run("benchmark", "--config", "bench.toml", "--out", "bench")
        assert done.exit_code == 0, done.output
    (kept,) = (tmp_path / "bench").glob("*.toml")
    assert kept.read_text() == (tmp_path / "bench.toml").read_text()
    assert not list((tmp_path / "bench").glob("*.png"))


def plan_of(toml):
    said = tomllib.loads(toml)
    worse = [{"noise": 1.0}] if said.pop("degrade", None) == ["noise=1.0"] else None
    return make_plan(said.pop("dataset"), seeds=parse_seeds(said.pop("seeds")), degrade=worse, **said)


@pytest.mark.parametrize("method", ["climatology", "remap", 'msgl:hidden=8,tasks=["coarse","fine"]'])
@pytest.mark.parametrize("degrade", [None, [{"noise": 1.0}]], ids=["as it is", "worse"])
def test_a_benchmark_run_can_be_repeated_from_its_configuration(method, degrade):
    for planned in make_plan(
        "simulated", fractions=[0.01], methods=[method], seeds=[4], settings={"epochs": 3},
        data={"n_coarse": 3}, degrade=degrade,
    ):  # fmt: skip
        again = plan_of(_run_config(planned.to_dict()))
        assert [each.id for each in again] == [planned.id]
        assert again == [Run(**planned.to_dict())]


@pytest.mark.parametrize("line", ["output = false", "output = [1]", "checkpoint = true", "epochs = true"])
def test_a_truth_value_is_for_a_flag_only(run, tmp_path, line):
    (tmp_path / "c.toml").write_text(f'dataset = "simulated"\n{line}\n')
    result = run("train", "--config", "c.toml")
    assert result.exit_code == 2, result.exception
    assert f"{line.split()[0]} must be a single value" in result.output
