"""Models that come with the package: what lies in the folder is listed, described and loaded by name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import xmsgl
from benchmarks import card
from xmsgl.datasets.registry import dataset_files
from xmsgl.errors import CheckpointError, InvalidArgumentError
from xmsgl.models.file import packaged
from xmsgl.models.file.card import packaged_models
from xmsgl.prediction.downscale import downscale
from xmsgl.training.train import train

SHIPPED = packaged.packaged_names()
#: Size in bytes below which a file must stay, because every installation downloads it: room for four
#: trainings of 300 trees.
LARGEST = 4_000_000


@pytest.fixture(scope="module")
def model(river_once):
    days = river_once.isel(time=slice(0, 150))
    small = {"hidden": 4, "window": 60, "warmup": 10, "epochs": 1, "validation": None}
    return train(days, "remap", **small, device="cpu", progress=False)


@pytest.fixture
def folder(monkeypatch, tmp_path, model):
    """A folder of weights with two models, one of them the default, and what else may lie about."""
    weights = tmp_path / "weights"
    weights.mkdir()
    for name in (packaged.DEFAULT, "a-first.v2"):
        model.save(weights / f"{name}.safetensors")
    (weights / "README.md").write_text("words")
    monkeypatch.setattr(packaged, "_folder", lambda: weights)
    monkeypatch.chdir(tmp_path)
    return weights


def refuse_what_is_not_shippable(path: Path) -> None:
    """What a packaged file must be: small, whole, described, of the version that ships it."""
    assert path.stat().st_size < LARGEST
    model = xmsgl.load_model(path.stem)
    assert model.sha256 == xmsgl.load_model(path).sha256
    line = packaged_models()[path.stem]
    training = model.spec.training
    assert training["dataset"]
    for words in (model.method, training["dataset"], training["start"], training["stop"]):
        assert words in line
    assert sum(training["labels"].values()) > 0
    assert all(feature.units for feature in model.spec.features)
    assert all(torch.isfinite(tensor).all() for tensor in model.weights.values())


# -------------------------------------------------------------------- listing


def test_the_files_are_the_list(folder, model):
    assert packaged.packaged_names() == ("a-first.v2", packaged.DEFAULT)
    assert list(packaged_models()) == ["a-first.v2", packaged.DEFAULT]
    (folder / "a-first.v2.safetensors").unlink()
    assert packaged.packaged_names() == (packaged.DEFAULT,)
    assert packaged.packaged_bytes(packaged.DEFAULT) == model.payload


def test_a_description_is_that_of_the_file(folder):
    line = packaged_models()[packaged.DEFAULT]
    assert line == "remap, trained on the small river of the tests, 2001-10-01 to 2002-02-27"


def test_without_a_folder_there_are_none(monkeypatch, tmp_path):
    monkeypatch.setattr(packaged, "_folder", lambda: tmp_path / "absent")
    assert packaged_models() == {}


def test_the_real_folder_is_in_the_package():
    assert Path(str(packaged._folder())) == Path(xmsgl.__file__).parent / "models" / "file" / "weights"
    assert packaged._folder().joinpath("README.md").is_file()


def test_listing_does_not_bring_torch():
    listing = "from xmsgl.models.file import packaged; packaged.packaged_names()"
    code = f"import sys; {listing}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# ------------------------------------------------------------------- shipping


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_file_is_fit_to_ship(name):
    refuse_what_is_not_shippable(Path(str(packaged._folder())) / f"{name}.safetensors")


def test_the_check_of_shipped_files_passes_a_good_one(folder):
    refuse_what_is_not_shippable(folder / f"{packaged.DEFAULT}.safetensors")


@pytest.mark.parametrize("fault", ["large", "damaged", "nameless"])
def test_the_check_of_shipped_files_can_fail(folder, model, fault):
    path = folder / f"{packaged.DEFAULT}.safetensors"
    if fault == "large":
        path.write_bytes(bytes(LARGEST))
    elif fault == "damaged":
        payload = bytearray(path.read_bytes())
        payload[-3] ^= 1
        path.write_bytes(payload)
    else:
        other = xmsgl.Model.from_bytes(model.payload)
        other.spec.training["dataset"] = ""
        other.save(path)
    with pytest.raises((AssertionError, CheckpointError)):
        refuse_what_is_not_shippable(path)


# -------------------------------------------------------------------- loading


def test_a_model_is_loaded_by_name_and_by_default(folder, model):
    assert xmsgl.load_model(packaged.DEFAULT).sha256 == model.sha256
    assert xmsgl.load_model().sha256 == model.sha256
    assert xmsgl.load_model("a-first.v2").sha256 == model.sha256


def test_a_packaged_name_comes_before_a_file_and_a_path_is_a_path(folder, model, tmp_path):
    other = xmsgl.Model(model.spec, {name: value + 1 for name, value in model.weights.items()})
    other.save(tmp_path / packaged.DEFAULT)
    assert xmsgl.load_model(packaged.DEFAULT).sha256 == model.sha256
    for path in (f"./{packaged.DEFAULT}", Path(packaged.DEFAULT), str(tmp_path / packaged.DEFAULT)):
        assert xmsgl.load_model(path).sha256 == other.sha256


@pytest.mark.parametrize("name", ["delaware", "folder/river.safetensors", "delaware-gauged.safetensors"])
def test_what_is_neither_is_refused_with_the_packaged_names(folder, name):
    with pytest.raises(CheckpointError) as error:
        xmsgl.load_model(name)
    assert f"no file of weights at {name}" in str(error.value)
    assert "packaged: a-first.v2, delaware-gauged" in str(error.value)


def test_a_damaged_packaged_file_is_named(folder):
    (folder / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="the packaged model 'broken' is not a whole safetensors file"):
        packaged_models()


# ---------------------------------------------------------------- downscaling


@pytest.mark.parametrize("chunks", [None, {"time": 40}], ids=["eager", "lazy"])
@pytest.mark.filterwarnings("ignore::xmsgl.errors.ExtrapolationWarning")  # trained on some months
def test_downscaling_takes_the_default_or_a_name(folder, river, model, chunks):
    ds = river if chunks is None else river.chunk(chunks)
    expected = river.msgl.downscale(model)
    for result in (
        ds.msgl.downscale(),
        ds.msgl.downscale("a-first.v2"),
        downscale(ds, device="cpu"),
    ):
        np.testing.assert_array_equal(result, expected)
        assert result.attrs["model_sha256"] == model.sha256


def test_without_the_default_downscaling_says_so(folder, river):
    (folder / f"{packaged.DEFAULT}.safetensors").unlink()
    with pytest.raises(CheckpointError) as error:
        river.msgl.downscale()
    for words in ("comes without the default 'delaware-gauged'", "packaged: a-first.v2", "ds.msgl.train"):
        assert words in str(error.value)


# ----------------------------------------------------------------------- cards


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_model_has_the_page_its_file_gives(name):
    written = (card.PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert written == card.page(name), f"write it anew: python -m benchmarks.card {name}"


def test_a_page_is_written_from_the_file_and_the_facts_beside_it(folder, model, tmp_path):
    facts = {
        "about": "For tests.",
        "data": "delaware",
        "scores": [{"protocol": "temporal", "RMSE [degC]": 1.25, "n": 1234}],
        "limits": ["Main stems only."],
    }
    (tmp_path / f"{packaged.DEFAULT}.json").write_text(json.dumps(facts))
    card.main([packaged.DEFAULT], tmp_path)
    text = (tmp_path / f"{packaged.DEFAULT}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {packaged.DEFAULT}\n\nFor tests.\n")
    assert "| temporal | 1.250 | 1,234 |" in text
    assert "- Main stems only.\n" in text
    assert model.sha256[:12] in text
    used = {file.repository for file in dataset_files("delaware")}
    assert [name for name in sorted(used) if f"| {name} |" not in text] == []


@pytest.mark.parametrize("wrong", [{"score": []}, {"scores": [{"RMSE": 1.0}]}], ids=["unknown", "without n"])
def test_facts_that_are_wrong_make_no_page(folder, tmp_path, wrong):
    (tmp_path / f"{packaged.DEFAULT}.json").write_text(json.dumps({"data": "delaware", **wrong}))
    with pytest.raises((TypeError, InvalidArgumentError)):
        card.main([packaged.DEFAULT], tmp_path)
    assert not (tmp_path / f"{packaged.DEFAULT}.md").exists()
