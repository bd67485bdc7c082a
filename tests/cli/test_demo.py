"""The demo: its choice of dataset, its results and its errors."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
import xarray as xr
from click.testing import CliRunner

import xmsgl
from xmsgl.cli import demo
from xmsgl.cli.main import main
from xmsgl.datasets.download import DIRECTORY_VARIABLE, MIRROR_VARIABLE, Availability

if TYPE_CHECKING:
    from pathlib import Path

HERE = Availability("cache", "somewhere", "all files are in the cache")
NOWHERE = Availability("none", "somewhere", "no address answered")


@pytest.mark.parametrize(
    ("data", "found", "dataset"),
    [
        pytest.param("auto", HERE, "delaware", id="auto takes the real basin"),
        pytest.param("auto", NOWHERE, "simulated", id="auto falls back"),
        pytest.param("delaware", NOWHERE, "delaware", id="insisting"),
        pytest.param("simulated", HERE, "simulated", id="asked for"),
    ],
)
def test_choice_of_dataset(data: str, found: Availability, dataset: str) -> None:
    plan = demo.choose(data, found)
    assert plan.dataset == dataset
    assert (found.reason in plan.why) == (data != "simulated")


def test_insisting_on_the_delaware_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = "http://127.0.0.1:9/"
    monkeypatch.setattr(import_module("xmsgl.datasets.download"), "BASE_URL", closed)
    monkeypatch.setenv("XMSGL_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XMSGL_DATA_MIRROR", str(tmp_path / "mirror"))
    result = CliRunner().invoke(
        main, ["--quiet", "demo", "--data", "delaware", "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 1
    for part in (closed, str(tmp_path / "cache"), DIRECTORY_VARIABLE, MIRROR_VARIABLE):
        assert part in result.output


MSGL = {"method": "msgl", "epochs": 2}
PARTS = [{**MSGL, "features": ["default", "neighbour_anomalies:40km"]}, {"method": "trees", "iterations": 3}]
ONE, BOTH = ["MSGL"], ["MSGL and trees", "msgl alone", "trees alone"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "names"),
    [
        pytest.param(MSGL, ONE, id="one"),
        pytest.param({"method": "stack", "parts": PARTS, "refit": True}, BOTH, id="stack"),
    ],
)
def test_the_whole_workflow_on_a_small_basin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], names: list[str]
) -> None:
    plan = replace(demo.choose("simulated", NOWHERE), settings=settings, name=names[0])
    monkeypatch.setattr(demo, "choose", lambda data, found: plan)
    small = xmsgl.datasets.simulated(n_coarse=8, reaches_per_segment=3, years=2, label_fraction=0.05)
    monkeypatch.setattr(demo, "_load", lambda plan: small)
    lines: list[str] = []
    with xmsgl.set_options(progress=False):
        table = demo.run_demo("simulated", tmp_path, seed=0, say=lines.append)
    assert {*names, "air-temperature regression", "climatology"} == set(table.data["method"].values)
    assert {"held-out days", "held-out reaches"} == set(table.data["group"].values)
    assert (table.data["n"] > 0).all()
    assert "simulated basin" in lines[0]
    written = xr.open_dataset(tmp_path / "temperature.nc")["water_temperature"]
    assert written.sizes == {"time": small.sizes["time"], "fine": small.sizes["fine"]}
    assert written.attrs["units"] == "degC"
    assert (tmp_path / "overview.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "skill.md").read_text().startswith("| method")
    assert xmsgl.load_model(tmp_path / "model.safetensors").sha256 == written.attrs["model_sha256"]


def test_held_out_labels_are_hidden_at_both_scales() -> None:
    ds = xmsgl.datasets.simulated(n_coarse=8, reaches_per_segment=3, years=2, label_fraction=0.05)
    test, held_coarse, held_fine = demo._hold_out(ds, demo.choose("simulated", NOWHERE), seed=0)
    training = xmsgl.evaluate.mask_labels(xmsgl.evaluate.mask_labels(ds, days=test), segments=held_coarse)
    for scale, held in (("coarse", held_coarse), ("fine", held_fine)):
        labels = training[f"water_temperature_{scale}"]
        assert held.any()
        assert not labels.where(test, drop=True).notnull().any()
        assert not labels.isel({scale: held.values}).notnull().any()
        assert labels.notnull().any()
