"""What the package must not contain, because a file of a stranger could then run code."""

from __future__ import annotations

import ast
import json
import os
import pickle
import re
from pathlib import Path

import pytest

from xmsgl.datasets.open import open_data

ROOT = Path(__file__).parents[1]
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
CALLS = {
    *(
        "torch.load",
        "torch.package",
        "torch.jit.load",
        "torch.hub.load",
        "pandas.read_pickle",
        "pd.read_pickle",
    ),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen"),
}
WORDS = {"allow_pickle": True, "shell": True}


def dangers(source: str) -> list[str]:
    """Imports and calls that read objects or text as code."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            found += [name for name in names if name.split(".")[0] in MODULES or name in CALLS]
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            found += [name] if name in BUILTINS | CALLS else []
            for word in node.keywords:
                value = getattr(word.value, "value", ...)
                found += [f"{word.arg}={value}"] if word.arg in WORDS and value is not False else []
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "xmsgl").rglob("*.py")), ids=lambda path: str(path.name))
def test_no_module_reads_a_file_as_code(path):
    assert dangers(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        *("import pickle", "from pickle import loads", "import joblib.memory", "from torch import load"),
        *("eval('1')", "exec(text)", "torch.load(path)", "yaml.load(text)", "pd.read_pickle(path)"),
        *("np.load(path, allow_pickle=True)", "np.load(path, allow_pickle=chosen)", "run(x, shell=True)"),
    ],
)
def test_the_search_finds_each_kind(line):
    assert dangers(f"def f():\n    {line}\n")


@pytest.mark.parametrize(
    "line", ["module.eval()", "np.load(path, allow_pickle=False)", "yaml.safe_load(text)"]
)
def test_the_search_leaves_the_rest(line):
    assert dangers(line) == []


def test_places_named_in_the_security_policy_exist():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:xmsgl|tests)/[\w/]+\.\w+)(?:::(\w+))?`", text)
    assert len(named) > 8
    for path, name in named:
        assert (
            f"def {name}(" in (ROOT / path).read_text(encoding="utf-8") if name else (ROOT / path).exists()
        ), path


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, place):
        self.place = str(place)

    def __reduce__(self):
        return os.mkdir, (self.place,)


@pytest.mark.parametrize(
    ("filters", "compressor"),
    [(["vlen-utf8", "pickle"], None), (["vlen-utf8"], "pickle"), (["pickle"], None), (None, "pickle")],
)
def test_pickled_values_of_a_zarr_store_are_not_read(tmp_path, filters, compressor):
    zarr = pytest.importorskip("zarr")
    zarr.create_array(tmp_path / "s.zarr/a", shape=3, chunks=3, dtype="f8", zarr_format=2)
    zarr.open_group(tmp_path / "s.zarr", mode="a", zarr_format=2)
    path = tmp_path / "s.zarr" / "a" / ".zarray"
    codecs = {"filters": filters and [{"id": name} for name in filters]}
    codecs["compressor"] = compressor and {"id": compressor}
    changed = {**json.loads(path.read_text()), **codecs, "dtype": "|O", "fill_value": None}
    path.write_text(json.dumps(changed))
    (path.parent / ".zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": ["x"]}))
    content = pickle.dumps(Payload(tmp_path / "made"))
    (path.parent / "0").write_bytes(content)
    with pytest.raises(Exception, match=r"(?i)pickle"):
        open_data(tmp_path / "s.zarr")["a"].compute()
    assert not (tmp_path / "made").exists()
    pickle.loads(content)
    assert (tmp_path / "made").exists()
