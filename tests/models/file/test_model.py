"""A trained model as an object and as a file."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch

from xmsgl.errors import CheckpointError, OutputError
from xmsgl.inputs.features import Feature, Scaling
from xmsgl.models.file import storage
from xmsgl.models.file.model import Model, load_model
from xmsgl.models.file.spec import ModelSpec
from xmsgl.models.methods.registry import create_model

FEATURES = (
    Feature("air_temperature", "degC", dynamic=True),
    Feature("air_temperature", "degC", dynamic=True, days=30),
    Feature("slope", "1", dynamic=False, transform="sqrt"),
)
ARCHITECTURES = {
    "msgl": {"hidden": 8, "identity": 2, "segments": 3, "tasks": ["coarse", "fine"], "anchored": True},
    "fine-only": {"hidden": 6},
    "remap": {"hidden": 5, "recurrent_dropout": 0.2},
}


def make(method="msgl", seed=0, **changes):
    architecture = ARCHITECTURES[method]
    scaling = Scaling((1 / 3, 0.5, 0.1), (1.0, 2.0, 3.0), 11.1, 6.7)
    values = {
        "method": method,
        "architecture": architecture,
        "features": FEATURES,
        "scaling": {"coarse": scaling, "fine": scaling},
        "graph": {"kernel": {"name": "exponential", "scale_m": 5000.0}, "hops": None, "limit": 9e3},
        "segments": (101, 102, 103),
        "window": 365,
        "warmup": 60,
        "training": {
            "start": "2001-10-01",
            "stop": "2003-12-09",
            "labels": {"training_fine": 1234},
            "seed": seed,
            "versions": {"xmsgl": "0.1.0"},
            "fingerprint": "abc",
        },
        **changes,
    }
    weights = create_model(method, n_features=3, seed=seed, **architecture).state_dict()
    history = {"epoch": [1.0, 2.0], "validation": [1 / 3, 0.1]}
    return Model(ModelSpec(**values), weights, history)


@pytest.mark.parametrize("method", sorted(ARCHITECTURES))
def test_save_and_load(tmp_path, method):
    model = make(method)
    path = model.save(tmp_path / "m.safetensors")
    back = load_model(path)
    assert back.spec == model.spec
    assert back.history == model.history
    assert back.sha256 == model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert set(back.weights) == set(model.weights)
    assert all(torch.equal(back.weights[name], model.weights[name]) for name in model.weights)
    assert load_model(back.save(tmp_path / "again")).payload == model.payload


def test_string_ids_survive(tmp_path):
    model = make(segments=("Q-1", "Ä", "3"))
    assert load_model(model.save(tmp_path / "m")).spec.segments == ("Q-1", "Ä", "3")


def test_the_file_tells_what_the_model_is(tmp_path):
    payload = make().save(tmp_path / "m").read_bytes()
    size = int.from_bytes(payload[:8], "little")
    spec = json.loads(json.loads(payload[8 : 8 + size])["__metadata__"]["xmsgl"])["spec"]
    assert [feature["name"] for feature in spec["features"]] == [
        "air_temperature",
        "air_temperature",
        "slope",
    ]
    assert [feature["units"] for feature in spec["features"]] == ["degC", "degC", "1"]
    assert spec["scaling"]["fine"]["label_mean"] == 11.1
    assert spec["graph"]["kernel"]["name"] == "exponential"
    assert spec["training"]["start"] == "2001-10-01"
    assert spec["architecture"]["hidden"] == 8


def test_the_module_is_the_one_that_was_trained():
    model = make()
    module = model.module()
    assert not module.training
    for name, value in module.state_dict().items():
        assert torch.equal(value, model.weights[name])
    with torch.no_grad():
        next(module.parameters()).add_(1)
    assert all(torch.equal(model.weights[n], v) for n, v in make().weights.items())  # a copy was changed


def test_the_digest_tells_models_apart():
    assert make().sha256 == make().sha256
    assert len({make().sha256, make(seed=1).sha256, make(window=364).sha256, make("remap").sha256}) == 4


def test_the_model_keeps_its_own_copy_of_the_weights():
    module = create_model("remap", n_features=3, seed=0, **ARCHITECTURES["remap"])
    model = Model(make("remap").spec, module.state_dict())
    before = model.sha256
    with torch.no_grad():
        next(module.parameters()).add_(1)
    assert Model(model.spec, model.weights).sha256 == before
    assert model.history == {}


def test_other_files_are_refused(tmp_path):
    model = make()
    payload = model.payload
    for name, content, message in [
        ("half", payload[: len(payload) // 2], "not a whole safetensors file"),
        ("text", b"not a model at all", "not a whole safetensors file"),
        ("empty", b"", "not a whole safetensors file"),
        ("changed", payload[:-3] + b"\x01\x02\x03", "is damaged"),
        ("checkpoint", storage.to_bytes({}, {"format": 1, "settings": {}}), "resume it with ds.msgl.train"),
        (
            "newer",
            storage.to_bytes(model.weights, {"format": 3, "spec": {}}),
            "has file format 3, this xmsgl reads 2; upgrade xmsgl",
        ),
        (
            "older",
            storage.to_bytes(model.weights, {"format": 1, "spec": {}}),
            "has file format 1, this xmsgl reads 2; train the model again",
        ),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=message) as error:
            load_model(tmp_path / name)
        assert name in str(error.value)
    with pytest.raises(CheckpointError, match=r"no file of weights at .*absent"):
        load_model(tmp_path / "absent")


def test_saving_into_no_folder_is_refused(tmp_path):
    with pytest.raises(OutputError, match="does not exist; make it first"):
        make().save(tmp_path / "nowhere" / "m.safetensors")


def test_repr_tells_what_a_reader_wants_to_know():
    model = make()
    text = repr(model)
    for part in (
        "<xmsgl.Model>",
        "msgl",
        "air_temperature [degC], air_temperature:30 [degC], slope [1]",
        "365 days after 60 of warm-up",
        "2001-10-01 to 2003-12-09",
        "training fine 1,234",
        f"{sum(w.numel() for w in model.weights.values()):,}",
        model.sha256[:12],
    ):
        assert part in text
    assert "device" not in text


def test_html_shows_every_fact_and_feature(read_html):
    model = make(features=(Feature("<script>", "a & b", dynamic=True), *FEATURES[1:]))
    facts, features = read_html(model._repr_html_()).tables
    assert dict(facts) == {**model.facts(), "features": "3"}
    assert features == [
        ["feature", "role", "units", "transform"],
        ["<script>", "driver", "a & b", "identity"],
        *(
            [f.label, "driver" if f.dynamic else "static", f.units, f.transform]
            for f in model.spec.features[1:]
        ),
    ]


def test_a_model_without_provenance_still_prints():
    assert "? to ?" in repr(make(training={}))
