"""Settings of training that are refused before anything is read: names, switches, numbers."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from click.testing import CliRunner

from xmsgl.benchmark.plan import make_plan
from xmsgl.cli.main import main
from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.models.methods.registry import create_model
from xmsgl.training.checks import check_names, check_settings
from xmsgl.training.train import train

TRAINING = inspect.signature(train).parameters


@pytest.mark.parametrize("name", ["season", "amp"])
@pytest.mark.parametrize("value", ["False", "no", "on", 0, 1, 1.0, []])
def test_a_switch_takes_true_and_false_only(name, value):
    for call in (check_settings, lambda **given: train(None, **given)):
        with pytest.raises(InvalidArgumentError, match=f"^{name} must be True or False, got "):
            call(**{name: value})
    check_settings(**{name: np.True_})
    check_settings(**{name: False})


@pytest.mark.parametrize("value", ["False", "yes", 0, None])
def test_a_switch_of_a_network_takes_true_and_false_only(value):
    with pytest.raises(InvalidArgumentError, match=r"^anchored must be True or False, got "):
        create_model("msgl", n_features=2, anchored=value)
    assert not create_model("msgl", n_features=2, anchored=False).anchored


@pytest.mark.parametrize("name", ["epochs", "window", "ensemble", "patience", "seed", "clip", "average"])
@pytest.mark.parametrize("value", [True, "x"])
def test_a_number_is_neither_true_nor_text(name, value):
    with pytest.raises(InvalidArgumentError, match=f"^{name} must be .*, got {value}"):
        check_settings(**{name: value})


@pytest.mark.parametrize(
    ("name", "method", "hint"),
    [
        ("anchord", "msgl", "did you mean anchored?"),
        ("Season", "remap", "did you mean season?"),
        ("seasn", "remap", "did you mean season?"),
        ("neighbors", "msgl", "did you mean neighbours?"),
        ("learning_rates", "msgl", "did you mean learning_rate?"),
        ("anchored", "remap", "its network has backbone, backend,"),
        ("zzz", "remap", "its network has backbone, backend,"),
        ("obj", "remap", "its network has backbone"),
    ],
)
def test_a_name_that_is_not_one_is_answered_with_what_may_be_meant(name, method, hint):
    with pytest.raises(InvalidArgumentError) as caught:
        check_names([name], method, TRAINING)
    assert str(caught.value).startswith(f"{method!r} has no setting {name}; {hint}")


def test_all_settings_that_there_are_pass():
    names = [name for name in TRAINING if name not in ("obj", "method", "observers", "architecture")]
    check_names([*names, "hidden", "anchored", "heads"], "msgl", TRAINING)
    with pytest.raises(UnknownNameError, match="unknown network model 'lstm'"):
        check_names([], "lstm", TRAINING)


# ------------------------------------------------------- the same on the command line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["season=no"], "season must be True or False, got 'no'"),
        (["season=OFF"], "season must be True or False, got 'OFF'"),
        (["season=1"], "season must be True or False, got 1"),
        (["anchored=no"], "anchored must be True or False, got 'no'"),
        (["anchored=None"], "anchored must be True or False, got None"),
        (["average=NaN"], "average=nan is not a finite number; give one, or none if allowed"),
        (["limit=Infinity"], "limit=inf is not a finite number; give one, or none if allowed"),
        (["anchord=False"], "'msgl' has no setting anchord; did you mean anchored?"),
        (["epoch=3"], "'msgl' has no setting epoch; did you mean epochs?"),
    ],
)
def test_the_command_says_which_setting_is_wrong(river, tmp_path, words, message):
    river.isel(time=slice(0, 200)).to_netcdf(tmp_path / "river.nc")
    arguments = ["train", tmp_path / "river.nc", "-o", tmp_path / "m", "--epochs", "1", "--set", *words]
    result = CliRunner().invoke(main, ["--quiet", *map(str, arguments)])
    assert result.exit_code == 1, result.output
    assert result.stderr == f"error: {message}\n"
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("word", ["False", "false", "FALSE"])
def test_false_is_false(river, tmp_path, word):
    """What was asked for, by the model's own account of it."""
    from xmsgl.models.file.model import load_model

    river.isel(time=slice(0, 200)).to_netcdf(tmp_path / "river.nc")
    small = [
        f"season={word}",
        f"anchored={word}",
        "hidden=4",
        "heads=2",
        "window=60",
        "warmup=5",
        "clip=None",
    ]
    words = ["train", tmp_path / "river.nc", "-o", tmp_path / "m", "--epochs", "1", "--set", *small]
    result = CliRunner().invoke(main, ["--quiet", *map(str, words)])
    assert result.exit_code == 0, result.output
    spec = load_model(tmp_path / "m").spec
    assert not [feature for feature in spec.features if "season" in feature.name]
    assert spec.architecture["anchored"] is False
    assert spec.training["settings"]["clip"] is None


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("msgl:season=no", "season must be True or False, got 'no'"),
        ("msgl:anchored=off", "anchored must be True or False, got 'off'"),
        ("msgl:anchord=False", "'msgl' has no setting anchord; did you mean anchored?"),
        ("msgl:average=nan", "average=nan is not a finite number"),
        ("remap:average=true", r"average must be in \[0, 1\), got True"),
    ],
)
def test_a_benchmark_is_not_planned_with_a_wrong_setting(method, message):
    with pytest.raises(InvalidArgumentError, match=message):
        make_plan("simulated", methods=[method])


def test_a_benchmark_is_planned_with_what_was_meant():
    for word in ("False", "FALSE", "false"):
        (run,) = make_plan("simulated", methods=[f"msgl:anchored={word},clip=None"], fractions=[1], seeds=1)
        assert run.settings == {"anchored": False, "clip": None}
