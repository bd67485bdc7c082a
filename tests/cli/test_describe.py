"""``xmsgl describe`` and ``xmsgl completion``: what a file is, and what comes next."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from click.shell_completion import get_completion_class
from click.testing import CliRunner

from xmsgl.cli.main import main
from xmsgl.models.file.model import load_model
from xmsgl.models.file.packaged import packaged_names

KINDS = {"river.nc": "dataset", "river.zarr": "dataset", "m": "model", "c": "training checkpoint"}


@pytest.fixture(scope="module")
def folder(river_once, tmp_path_factory):
    path = tmp_path_factory.mktemp("describe")
    ds = river_once.isel(time=slice(0, 150))
    ds.to_netcdf(path / "river.nc")
    ds.to_zarr(path / "river.zarr", consolidated=False)
    settings = {"epochs": 2, "hidden": 4, "window": 50, "warmup": 5, "validation": 0.4}
    model = ds.msgl.train("remap", device="cpu", progress=False, checkpoint=path / "c", **settings)
    model.save(path / "m")
    ds.msgl.downscale(model).to_netcdf(path / "t.nc")
    return path


def call(*arguments):
    return CliRunner().invoke(main, ["--quiet", *map(str, arguments)])


def described(*arguments):
    result = call("describe", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_known_by_its_content(folder, name):
    assert described(folder / name)["kind"] == KINDS[name]
    text = call("describe", folder / name).stdout
    assert len(text.splitlines()) > 8


def test_a_dataset(folder, river):
    facts = described(folder / "river.nc")
    ds = river.isel(time=slice(0, 150))
    assert (facts["segments"], facts["reaches"], facts["days"]) == (5, 12, 150)
    assert facts["labels_fine"] == int(np.isfinite(ds["water_temperature_fine"]).sum())
    assert "the small river of the tests" in call("describe", folder / "river.nc").stdout


def test_its_graphs(folder, river):
    text = call("describe", folder / "river.nc", "--graphs").stdout
    assert text.rstrip() == str(river.msgl.graph().describe()).rstrip()
    assert described(folder / "river.nc", "--graphs")["fine"]["nodes"] == 12


def test_a_model_and_its_checkpoint(folder):
    model = load_model(folder / "m")
    assert described(folder / "m")["sha256"] == model.sha256[:12]
    facts = described(folder / "c")
    assert facts["epoch"] == "2 of 2"
    best = min(model.history["validation"])
    assert facts["best"] == f"{best:.3f} degC in epoch {1 + model.history['validation'].index(best)}"


def test_a_prediction(folder):
    facts = described(folder / "t.nc")
    assert facts["kind"] == "prediction"
    assert facts["sizes"] == "time 150, fine 12"
    assert facts["model"] == load_model(folder / "m").sha256[:12]
    assert "downscale(method='remap'" in facts["step 1"]


@pytest.mark.parametrize("name", packaged_names())
def test_a_packaged_model(name):
    assert described(name)["kind"] == "model"


def test_a_dataset_by_its_name():
    facts = described("simulated", "--data", "n_coarse=3", "years=1")
    assert (facts["segments"], facts["days"]) == (3, 365)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["absent.nc"], 2, "'absent.nc' is not a known dataset or packaged model (delaware, "),
        (["river.nc", "--toml"], 1, "is not a model, a checkpoint or a run; leave out --toml"),
        (["m", "--graphs"], 1, "is not a dataset; leave out --graphs"),
        (["broken.nc"], 3, "air_temperature_coarse"),
        (["text"], 1, "error: "),
        (["river.nc", "--data", "years=3"], 1, "is a file, which takes no arguments; remove years"),
        (["simulated", "--data", "moon=3"], 1, "unexpected keyword argument 'moon'; it takes n_coarse"),
        (["old", "--toml"], 1, "does not store the settings it was trained with"),
    ],
)
def test_errors_are_short(folder, river, monkeypatch, arguments, code, message):
    monkeypatch.chdir(folder)
    (folder / "text").write_text("no dataset")
    model = load_model("m")
    model.spec.training.pop("settings")
    model.save("old")
    river["air_temperature_coarse"].attrs["units"] = "K"
    river.to_netcdf("broken.nc")
    result = call("describe", *arguments)
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    assert message in result.stderr
    assert result.stdout == ""


def test_a_run_of_a_benchmark(tmp_path):
    words = ["benchmark", "simulated", "--methods", "climatology", "--fractions", "0.1", "--seeds", "1"]
    words += ["--data", "n_coarse=3", "reaches_per_segment=2", "years=3", "--no-figures", "--out", tmp_path]
    done = call(*words)
    assert done.exit_code == 0, done.output
    (folder,) = (tmp_path / "runs").iterdir()
    assert described(folder)["method"] == "climatology"
    (tmp_path / "again.toml").write_text(call("describe", folder, "--toml").stdout)
    left = call("benchmark", "--config", tmp_path / "again.toml", "--out", tmp_path, "--list")
    assert left.stdout == f"done  {folder.name}\n"  # the same run, so nothing is left to do


def test_a_saved_simulated_basin_keeps_its_arguments(tmp_path):
    from xmsgl import datasets
    from xmsgl.util.origin import origin_of

    ds = datasets.simulated(n_coarse=3, years=1, seed=5)
    ds.to_netcdf(tmp_path / "s.nc")
    with xr.open_dataset(tmp_path / "s.nc") as stored:
        said = origin_of(stored)
    assert said.pop("dataset") == "simulated"
    xr.testing.assert_identical(datasets.simulated(**said), ds)


# ---------------------------------------------------------------- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_clicks_own(shell):
    result = call("completion", shell)
    assert result.exit_code == 0, result.output
    assert f"_XMSGL_COMPLETE={shell}_complete" in result.stdout
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=result.stdout, text=True, capture_output=True)
        assert checked.returncode == 0, checked.stderr


def complete(*words):
    """Ask as the shell's script does: the words so far, the last one unfinished."""
    asked = get_completion_class("bash")(main, {}, "xmsgl", "_XMSGL_COMPLETE")
    return [item.value for item in asked.get_completions(list(words[:-1]), words[-1])]


def test_what_completes():
    assert complete("desc") == ["describe"]
    assert {"--config", "--checkpoint"} == set(complete("train", "--c"))
    assert complete("train", "sim")[0] == "simulated"
    assert complete("train", "x.nc", "--recipe", "p") == ["published"]
    assert complete("benchmark", "simulated", "--protocol", "sp") == ["spatial", "spatial-observed"]
    for name in packaged_names():
        assert name in complete("downscale", "x.nc", "-m", name[:5])


def test_a_real_shell_completes(tmp_path):
    """Bash itself, with a command ``xmsgl`` on its path."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    tool = tmp_path / "xmsgl"
    tool.write_text(f"#!{sys.executable}\nfrom xmsgl.cli.main import main\nmain()\n")
    tool.chmod(0o755)
    script = (
        'eval "$(xmsgl completion bash)"; COMP_WORDS=(xmsgl comp); COMP_CWORD=1; '
        '_xmsgl_completion xmsgl comp xmsgl; echo "${COMPREPLY[@]}"'
    )
    path = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, env=path)
    assert done.stdout.split() == ["completion"], done.stderr


SCREEN = "\x1b]0;title\x07\x1b[31mred\x9b1m\u202e\r"


def test_titles_and_names_do_not_control_the_terminal(folder, river, tmp_path):
    """Titles of a dataset and a model, and an error, printed by click with colours."""
    ds = river.isel(time=slice(0, 50)).assign_attrs(title=SCREEN)
    ds.to_netcdf(tmp_path / "river.nc")
    model = load_model(folder / "m")
    model.spec.training.update(dataset=SCREEN, versions={SCREEN: SCREEN}, start=SCREEN)
    model.__dict__.pop("payload", None)
    model.save(tmp_path / "m")
    ds.drop_vars("air_temperature_coarse").to_netcdf(tmp_path / "less.nc")
    for words in (
        ["describe", tmp_path / "river.nc"],
        ["describe", tmp_path / "m"],
        ["models", tmp_path / "m"],
        ["validate", tmp_path / "river.nc", "--data", f"{SCREEN}=1"],
        ["describe", tmp_path / "m", "--toml"],
    ):
        result = CliRunner().invoke(main, ["--quiet", *map(str, words)], color=True)
        for mark in SCREEN.replace("0;title", "").replace("[31mred", "").replace("1m", "").replace("]", ""):
            assert mark not in result.output, (words, mark)
    assert "\\x1b[31mred" in call("describe", tmp_path / "m").output


@pytest.mark.parametrize("header", [{"settings": {}}, {"settings": {"training": 3}}, {"settings": []}])
def test_a_damaged_checkpoint_is_an_error_in_a_line(tmp_path, header):
    from xmsgl.models.file import storage

    (tmp_path / "c").write_bytes(storage.to_bytes({}, {"format": 1, **header}))
    result = call("describe", tmp_path / "c")
    assert result.exit_code == 1
    assert "is not a valid checkpoint" in result.output
