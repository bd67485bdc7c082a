"""One class for all registries, and plug-ins of real distributions in a folder on the path."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from xmsgl.errors import InvalidArgumentError, PluginError, UnknownNameError, XMSGLError
from xmsgl.util.registry import Registry

ROOT = Path(__file__).parents[2]
GROUP = "xmsgl.shapes"

#: A package with one plug-in of each kind, and code that uses them.
MODULE = """
from dataclasses import dataclass
import numpy as np
import xarray as xr
from xmsgl.network.kernels import Kernel

@dataclass(frozen=True)
class Linear(Kernel):
    reach_m: float = 10_000.0

    def weight(self, distance, downstream):
        return np.maximum(0.0, 1.0 - distance / self.reach_m)

def read_lengths(lengths, *, scale="fine"):
    return xr.Dataset({f"length_{scale}": (scale, lengths)}, {scale: range(len(lengths))})
"""
NETWORKS = """
from xmsgl.models.backbones.recurrent import PlainLSTM
from xmsgl.models.methods.msgl import FineOnly

class Mine(FineOnly):
    pass

def narrow(n_features, hidden):
    return PlainLSTM(n_features, hidden)
"""
ENTRIES = """
[xmsgl.readers]
lengths = tiny_shapes:read_lengths
nhdplus = tiny_shapes:read_lengths
broken = tiny_shapes_broken:read
[xmsgl.kernels]
linear = tiny_shapes:Linear
exponential = tiny_shapes:Linear
function = tiny_shapes:read_lengths
[xmsgl.backbones]
narrow = tiny_shapes_networks:narrow
[xmsgl.methods]
mine = tiny_shapes_networks:Mine
msgl = tiny_shapes_networks:Mine
"""


def distribution(folder: Path, name: str, entries: str, **modules: str) -> None:
    """Write an installed package."""
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source)
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)


@pytest.fixture
def install(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, entries, **modules):
        distribution(tmp_path, name, f"[{GROUP}]\n{entries}", **modules)

    known = set(sys.modules)
    yield write
    for module in set(sys.modules) - known:
        del sys.modules[module]


@pytest.fixture
def shapes():
    return Registry("shape", {"round": abs}, group=GROUP)


# ------------------------------------------------------------------- names


def test_values_are_mapped_in_the_order_of_names():
    registry = Registry("shape", {"b": 2, "a": 1})
    registry["c"] = 3
    assert dict(registry) == {"a": 1, "b": 2, "c": 3}
    assert (list(registry), len(registry), registry.get("d")) == (["a", "b", "c"], 3, None)
    assert registry.pop("c") == 3
    assert "c" not in registry


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rond", "unknown shape 'rond'; known: flat, round; did you mean 'round'?"),
        ("ROUND", "unknown shape 'ROUND'; known: flat, round; did you mean 'round'?"),
        ("xyz", "unknown shape 'xyz'; known: flat, round"),
        (["round"], "unknown shape ['round']; known: flat, round; did you mean 'round'?"),
        (None, "unknown shape None; known: flat, round"),
    ],
)
def test_an_unknown_name_is_refused_with_the_most_similar_one(name, message):
    with pytest.raises(UnknownNameError) as error:
        Registry("shape", {"round": 1, "flat": 2})[name]
    assert str(error.value) == message


def test_a_taken_name_is_refused_unless_the_same_is_defined_again(shapes):
    def define():
        def flat():
            return 1

        return flat

    first, again = define(), define()
    assert shapes.register("flat")(first) is first
    assert shapes.register("flat")(again) is again
    assert shapes["flat"] is again
    with pytest.raises(InvalidArgumentError, match=r"already a shape 'flat' \(.*flat\); choose another"):
        shapes.register("flat")(define)
    assert shapes["flat"] is again


@pytest.mark.parametrize("name", ["", " ", None, 3, []])
def test_a_name_must_be_text(shapes, name):
    with pytest.raises(InvalidArgumentError, match="name of a shape must be text"):
        shapes.register(name)


def test_other_things_are_refused(shapes):
    with pytest.raises(InvalidArgumentError, match="shape 'flat' must be callable, not 3"):
        shapes.register("flat")(3)
    with pytest.raises(InvalidArgumentError, match="number 'flat' must be a class derived from int, not "):
        Registry("number", base=int).register("flat")(float)
    assert "flat" not in shapes


# ---------------------------------------------------------------- plug-ins


def test_a_plugin_is_listed_without_an_import_and_imported_on_request(install, shapes):
    install("tiny-flat", "flat = tiny_flat:flat", tiny_flat="def flat(): return 7")
    assert shapes["round"] is abs
    assert "_plugins" not in vars(shapes), "a known name needs no search"
    assert list(shapes) == ["flat", "round"]
    assert "flat" in shapes
    assert "tiny_flat" not in sys.modules
    assert shapes["flat"]() == 7
    assert shapes["flat"] is sys.modules["tiny_flat"].flat


def test_the_names_of_plugins_are_suggested(install, shapes):
    install("tiny-flat", "flat = tiny_flat:flat")
    with pytest.raises(UnknownNameError, match="known: flat, round; did you mean 'flat'"):
        shapes["falt"]


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import tiny_missing", "ModuleNotFoundError: No module named 'tiny_missing'"),
        ("1 / 0", "ZeroDivisionError"),
        ("def (", "SyntaxError"),
        ("", "AttributeError: .*flat"),
        ("flat = 3", "InvalidArgumentError: the shape 'flat' must be callable, not 3"),
    ],
)
def test_a_plugin_that_fails_names_its_package_and_spares_the_others(install, shapes, source, cause):
    install("tiny-flat", "flat = tiny_flat:flat", tiny_flat=source)
    message = (
        rf"the shape 'flat' of the package tiny-flat \(tiny_flat:flat in {GROUP}\) cannot be used: {cause}"
    )
    for _ in range(2):
        with pytest.raises(PluginError, match=message) as error:
            shapes["flat"]
        assert isinstance(error.value, XMSGLError)
    assert shapes["round"] is abs
    assert list(shapes) == ["flat", "round"]


def test_a_plugin_does_not_replace_a_value_of_the_package(install, shapes, caplog):
    install("tiny-flat", "round = tiny_flat:flat", tiny_flat="def flat(): return 7")
    with caplog.at_level(logging.WARNING, "xmsgl"):
        assert list(shapes) == ["round"]
    (said,) = caplog.messages
    assert "shape 'round' of the package tiny-flat" in said
    assert "is not used, because its name is taken" in said
    assert shapes["round"] is abs


def test_a_plugin_that_registers_over_a_value_of_the_package_is_refused(install):
    registry = sys.modules[Registry.__module__]
    shapes = registry.shapes_of_a_test = Registry("shape", {"round": abs}, group=GROUP)
    source = (
        "from xmsgl.util.registry import shapes_of_a_test as shapes\n"
        "@shapes.register('flat')\n"
        "def flat(): return 7\n"
        "shapes.register('round')(flat)\n"
    )
    install("tiny-flat", "flat = tiny_flat:flat", tiny_flat=source)
    try:
        with pytest.raises(PluginError, match=r"there is already a shape 'round' \(abs\)"):
            list(shapes.values())
        assert shapes["round"] is abs
    finally:
        del registry.shapes_of_a_test


def test_of_two_plugins_of_one_name_one_is_used(install, shapes, caplog):
    for name in ("tiny-a", "tiny-b"):
        module = name.replace("-", "_")
        install(name, f"flat = {module}:flat", **{module: f"def flat(): return {name!r}"})
    with caplog.at_level(logging.WARNING, "xmsgl"):
        assert shapes["flat"]() == "tiny-a"
    (said,) = caplog.messages
    assert "of the package tiny-b" in said


def test_what_the_session_registers_comes_before_a_plugin(install, shapes):
    install("tiny-flat", "flat = tiny_flat:flat", tiny_flat="1 / 0")
    assert "flat" in shapes
    shapes.register("flat")(max)
    assert shapes["flat"] is max


# ----------------------------------------------------- the groups of the package


def run(folder: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, logging\n{code}"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])},
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def packages(tmp_path):
    distribution(
        tmp_path,
        "tiny-shapes",
        ENTRIES,
        tiny_shapes=MODULE,
        tiny_shapes_networks=NETWORKS,
        tiny_shapes_broken="import no_such_library",
    )
    return tmp_path


def test_importing_and_listing_load_no_plugin(packages):
    run(
        packages,
        """
import xmsgl
names = xmsgl.readers.names()
assert {"lengths", "broken", "csv"} <= set(names), names
assert xmsgl.readers.get("csv") is xmsgl.readers.read_csv
assert not [name for name in sys.modules if name.startswith("tiny_shapes")]
""",
    )


def test_readers_and_kernels_of_another_package(packages):
    said = run(
        packages,
        """
logging.basicConfig(level="WARNING")
import numpy as np, pytest, xmsgl
from xmsgl.errors import PluginError
from xmsgl.network.kernels import Exponential, get_kernel
assert xmsgl.readers.read("lengths", [1.0, 2.0]).length_fine.values.tolist() == [1.0, 2.0]
assert xmsgl.readers.get("nhdplus") is xmsgl.readers.read_nhdplus
with pytest.raises(PluginError, match=r"reader 'broken' of the package tiny-shapes.*no_such_library"):
    xmsgl.readers.read("broken")
kernel = get_kernel({"name": "linear", "reach_m": 100.0})
assert kernel.weight(np.array([25.0]), np.array([True])).tolist() == [0.75]
assert kernel.to_dict() == {"name": "linear", "reach_m": 100.0}
assert get_kernel("exponential") == Exponential()
with pytest.raises(PluginError, match="kernel 'function' must be a class derived from Kernel"):
    get_kernel("function")
ds = xmsgl.datasets.simulated(n_coarse=3, years=1)
assert ds.msgl.graph(kernel="linear").fine.kernel == get_kernel("linear")
""",
    )
    for kind, name in (("reader", "nhdplus"), ("kernel", "exponential")):
        assert f"the {kind} '{name}' of the package tiny-shapes" in said


def test_backbones_and_methods_of_another_package(packages):
    said = run(
        packages,
        """
logging.basicConfig(level="WARNING")
import xmsgl
from xmsgl.benchmark.methods import contender
from xmsgl.models.backbones.recurrent import PlainLSTM
from xmsgl.models.methods.msgl import MSGL
from xmsgl.models.methods.registry import MODELS, create_model
assert type(create_model("mine", n_features=2, backbone="narrow").cell) is PlainLSTM
assert type(create_model("msgl", n_features=2)) is MSGL
assert contender("mine").sources({"hidden": 4}) == {"fine"}
xmsgl.set_options(progress=False)
ds = xmsgl.datasets.simulated(n_coarse=3, years=1)
settings = dict(hidden=4, epochs=1, window=60, warmup=10, device="cpu", validation=None)
model = ds.msgl.train("mine", backbone="narrow", **settings)
model.save("mine.safetensors")
again = xmsgl.load_model("mine.safetensors")
assert type(again.modules()[0]).__name__ == "Mine"
""",
    )
    assert "the network model 'msgl' of the package tiny-shapes" in said
