"""Models of each method that were stored once: files stay readable, and training comes to the same model.

``python -m tests.models.file.test_stored`` writes the files of the present format, in ``stored/format-N``.
Folders of former formats stay as they are. A change that is meant to alter a method writes its file anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from xmsgl.datasets import simulated
from xmsgl.models.file import storage
from xmsgl.models.file.model import load_model
from xmsgl.models.methods.registry import MODELS
from xmsgl.training.train import train
from xmsgl.util.options import set_options

STORED = Path(__file__).parent / "stored"
FOLDERS = sorted(STORED.iterdir())
ANY = {"device": "cpu", "progress": False, "seed": 3}
SMALL = {"window": 90, "warmup": 10, "epochs": 3, "hidden": 4}
# The defaults of networks when these files were written.
THEN = {
    "features": ["drivers", *(f"air_temperature:{days}" for days in (7, 30, 90)), "statics"],
    "recurrent_dropout": 0.0,
}
NETWORK = {**ANY, **SMALL, **THEN, "learning_rate": 0.02}
TREES = {"iterations": 20, "min_samples_leaf": 20, "features": ["drivers"]}
CASES = {
    "msgl": {**NETWORK, "pretrain": 1},
    "async-msgl": {**NETWORK, "pretrain": (1, 1)},
    "dynamic-msgl": {**NETWORK, "epochs": 2, "pretrain": 1},
    "fine-only": NETWORK,
    "remap": {**NETWORK, "ensemble": 2, "identity": 3},
    "direct": {**NETWORK, "pretrain": 1},
    "progressive": {**NETWORK, "pretrain": (1, 1)},
    "trees": {**ANY, **TREES},
    "stack": {
        **ANY,
        "window": 90,
        "parts": [
            {**THEN, "method": "remap", "warmup": 10, "epochs": 2, "hidden": 4},
            {**TREES, "method": "trees"},
        ],
    },
}


def river():
    return simulated(n_coarse=3, reaches_per_segment=3, years=1, label_fraction=0.5, seed=5)


def temperature(ds, model):
    """The prediction on a few days, and its upper quantile."""
    values = ds.msgl.downscale(model, quantiles=[0.5, 0.95], device="cpu")
    return values.isel(time=[60, 150, 240, 330], fine=[0, 4, 8]).transpose("quantile", "time", "fine").values


def test_every_method_is_stored():
    assert {*CASES} == {*MODELS, "trees", "stack"}


@pytest.fixture(scope="module")
def ds():
    return river()


@pytest.mark.parametrize(
    "path", [p for f in FOLDERS for p in sorted(f.glob("*.safetensors"))], ids=lambda p: p.stem
)
def test_a_stored_file_is_read_and_predicts_the_same(ds, path):
    wanted = json.loads((path.parent / "temperature.json").read_text(encoding="utf-8"))[path.stem]
    np.testing.assert_allclose(temperature(ds, load_model(path)), wanted, atol=0.002, rtol=0)


@pytest.mark.parametrize("name", CASES)
def test_training_comes_to_the_stored_model(ds, name):
    """To 0.02 degC: sums differ in their last digits between machines, and two epochs keep that small."""
    wanted = json.loads((FOLDERS[-1] / "temperature.json").read_text(encoding="utf-8"))[name]
    found = temperature(ds, train(ds, name, **CASES[name]))
    np.testing.assert_allclose(found, wanted, atol=0.02, rtol=0)


def main():
    """Write the files of all cases."""
    ds, found, folder = river(), {}, None
    for name, settings in CASES.items():
        model = train(ds, name, **settings)
        folder = STORED / f"format-{storage.from_bytes(model.payload, name)[1]['format']}"
        folder.mkdir(parents=True, exist_ok=True)
        model.save(folder / f"{name}.safetensors")
        found[name] = np.round(temperature(ds, model).astype(float), 4).tolist()
    text = json.dumps(found).replace('], "', '],\n"')
    (folder / "temperature.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    with set_options(progress=False):
        main()
