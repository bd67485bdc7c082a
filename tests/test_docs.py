"""What README, docs and docstrings say, held against the package: examples run, names and links exist."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import inspect
import re
import shlex
from pathlib import Path
from urllib.parse import unquote

import nbformat
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xmsgl
from tests.test_site import load_house
from xmsgl.accessor import MsglAccessor

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "xmsgl").rglob("*.py")
)
# Libraries of the extras: a module whose examples need one that is missing is skipped.
OPTIONAL = {
    *("bokeh", "cf_xarray", "geopandas", "intake", "matplotlib", "pyarrow", "pyogrio"),
    *("rdata", "shapely", "triton", "xvec", "zarr"),
}
NEEDS_FILES = "# needs the files"

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
DOTTED = re.compile(r"\bxmsgl((?:\.[A-Za-z_]\w*)+)")
GROUP = re.compile(r'^\[project\.entry-points\."(.*)"\]$', re.MULTILINE)
METHOD = re.compile(r"\bds\.msgl\.([a-z_]\w*)")
COMMAND = re.compile(r"^xmsgl (?:--\w+ )*([a-z]+)((?: \S+)*)", re.MULTILINE)


def page_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def notebook_source(path: Path, kind: str) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == kind)


def text_of(path: Path) -> str:
    """A page's text, or what an author wrote into a notebook."""
    if path.suffix == ".ipynb":
        return f"{notebook_source(path, 'markdown')}\n{notebook_source(path, 'code')}"
    return path.read_text(encoding="utf-8")


def blocks(path: Path, language: str) -> list[str]:
    found = BLOCK.findall(path.read_text(encoding="utf-8"))
    return [body for name, body in found if name == language]


def snippets(path: Path) -> list[str]:
    return [body for body in blocks(path, "python") if not body.startswith(NEEDS_FILES)]


def anchors(path: Path) -> list[str]:
    """The anchors that GitHub and MyST give the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", text_of(path), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings]


def resolve(dotted: str) -> object:
    """Find what a dotted name means: a name in a module, or a module itself."""
    names = dotted.strip(".").split(".")
    for cut in range(len(names), -1, -1):
        try:
            found = importlib.import_module(".".join(["xmsgl", *names[:cut]]))
            for name in names[cut:]:
                found = getattr(found, name)
        except (AttributeError, ImportError):
            continue
        return found
    msg = f"there is no xmsgl.{'.'.join(names)}"
    raise LookupError(msg)


@pytest.fixture
def empty_folder(monkeypatch, tmp_path):
    """Run in an empty folder, and forget kernels that an example registers."""
    from xmsgl.network.kernels import KERNELS

    monkeypatch.chdir(tmp_path)
    known = dict(KERNELS)
    yield tmp_path
    KERNELS.clear()
    KERNELS.update(known)


@pytest.fixture
def quiet(empty_folder, small_fits):
    with xmsgl.set_options(progress=False):
        yield empty_folder


def run_snippets(path: Path) -> dict[str, object]:
    """Run the blocks of a page one after the other, as a reader would paste them."""
    scope: dict[str, object] = {"__name__": "__main__"}
    for number, body in enumerate(snippets(path), 1):
        exec(compile(body, f"{page_id(path)}, block {number}", "exec"), scope)
    return scope


PAGES_WITH_SNIPPETS = [path for path in PAGES if snippets(path) and path.name != "README.md"]


@pytest.mark.parametrize("path", PAGES_WITH_SNIPPETS, ids=page_id)
def test_snippets_run_as_printed(path, quiet):
    run_snippets(path)


def test_daily_runs_can_be_repeated_and_repaired(quiet, monkeypatch):
    zarr = pytest.importorskip("zarr")
    ds = xmsgl.datasets.simulated(n_coarse=8, years=2, label_fraction=0.2, seed=3)
    model = ds.msgl.train("trees", validation="folds:2", iterations=5)
    expected = ds.msgl.reconstruct(model, mode="filter")
    scope = {"ds": ds, "model": model, "today": expected}
    (recipe,) = [body for body in snippets(ROOT / "docs" / "reconstruction.md") if "def run(" in body]
    exec(recipe, scope)
    run = scope["run"]

    def check(end):
        with xr.open_zarr("2003.zarr", consolidated=False) as store:
            seen = store.water_temperature.notnull().all("fine").values
            assert store.sizes["time"] == 365
            np.testing.assert_array_equal(store.time[seen], pd.date_range("2003-09-01", end))
            found = store.water_temperature.sel(time=slice("2003-09-01", end))
            np.testing.assert_allclose(found, expected.sel(time=found.time), atol=1e-5)

    def files():
        return {path: path.read_bytes() for path in Path("2003.zarr").rglob("*") if path.is_file()}

    check("2003-09-08")
    once = files()
    run("2003-09-08")
    assert files() == once

    begun, written, put = [], [], zarr.storage.LocalStore.set

    async def put_three(self, key, value, *args):
        if "water_temperature/c/" not in key:
            await put(self, key, value, *args)
            return
        begun.append(key)
        if len(begun) <= 3:
            await put(self, key, value, *args)
            written.append(key)
            return
        while len(written) < 3:  # the chunks of a region are written at the same time
            await asyncio.sleep(0.001)
        raise OSError("no space left on device")

    monkeypatch.setattr(zarr.storage.LocalStore, "set", put_three)
    with pytest.raises(OSError, match="no space"):
        run("2003-09-15")
    monkeypatch.undo()
    monkeypatch.chdir(quiet)
    assert len(files()) - len(once) == 3
    run("2003-09-15")
    check("2003-09-15")
    Path("states/2003-09-15.nc").unlink()  # as after a run that ended before its last line
    run("2003-09-20")  # the days since the last state, too
    check("2003-09-20")


def test_readme_snippets_run_and_do_what_they_say(quiet):
    scope = run_snippets(ROOT / "README.md")
    assert len(snippets(ROOT / "README.md")[0].strip().splitlines()) == 10
    temperature, ds = scope["temperature"], scope["ds"]
    assert temperature.dims == ("time", "fine")
    assert temperature.attrs["units"] == "degC"
    assert temperature.shape == (ds.sizes["time"], ds.sizes["fine"])
    written = {path.name for path in quiet.iterdir()}
    assert {"river.safetensors", "temperature.nc", "map.png", "temperature.html"} <= written


@pytest.fixture(scope="module")
def generated():
    """Files that docs/conf.py writes whenever the site is built."""
    return set(load_house().files())


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=page_id)
def test_links_resolve(path, generated):
    broken = []
    for target in LINK.findall(text_of(path)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, wanted = unquote(target).partition("#")
        there = (path.parent / file).resolve() if file else path
        if there in generated and not wanted:
            continue
        if not there.exists() or (wanted and wanted not in anchors(there)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=page_id)
def test_names_exist(path):
    text = GROUP.sub("", text_of(path))
    unknown = [f"ds.msgl.{name}" for name in METHOD.findall(text) if not hasattr(MsglAccessor, name)]
    for dotted in sorted(set(DOTTED.findall(text))):
        try:
            resolve(dotted)
        except LookupError:
            unknown.append(f"xmsgl{dotted}")
    assert unknown == []


def test_the_checks_of_names_can_fail():
    assert METHOD.findall("call ds.msgl.dowscale(model)") == ["dowscale"]
    assert resolve(".evaluate.skill_table") is xmsgl.evaluate.skill_table
    with pytest.raises(LookupError):
        resolve(".evaluate.skil_table")


def test_api_page_names_everything_public():
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    public = [f"xmsgl.{name}" for name in xmsgl.__all__ if not inspect.ismodule(getattr(xmsgl, name))]
    for module in ("benchmark", "datasets", "evaluate", "export", "plot", "readers"):
        public += [f"xmsgl.{module}.{name}" for name in getattr(xmsgl, module).__all__]
    public += [f"xarray.Dataset.msgl.{name}" for name in dir(MsglAccessor) if not name.startswith("_")]
    listed = {*re.findall(r"^   ([\w.]+)$", text, re.MULTILINE), *re.findall(r"`([\w.]+)`", text)}
    assert sorted(set(public) - listed) == []


def test_api_page_lists_nothing_that_is_not_there():
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^   (?:xarray\.Dataset|xmsgl)\.([\w.]+)$", text, re.MULTILINE)
    assert len(listed) > 80
    for name in listed:
        resolve(f".{name}" if not name.startswith("msgl.") else f".accessor.MsglAccessor{name[4:]}")


@pytest.mark.parametrize("name", ["combine", "load_model", "Model", "set_options", "get_option"])
def test_a_module_never_takes_the_place_of_a_public_name(name):
    """Importing a submodule sets it as an attribute of the package, over a function of the same name."""
    importlib.import_module("xmsgl.schema.rivers")
    assert callable(getattr(xmsgl, name))
    assert callable(getattr(xmsgl, name)), "the second look gives something else than the first"


def test_documented_arguments_exist():
    """Settings that the page on the method gives as switches are arguments of training."""
    from xmsgl.training.settings import TrainSettings, network_arguments
    from xmsgl.training.train import train

    known = {*inspect.signature(train).parameters, *inspect.signature(TrainSettings).parameters}
    known |= network_arguments("msgl") | network_arguments("trees")
    text = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    switches = set(re.findall(r"`(\w+)=", text))
    assert {"kernel", "pretrain", "anchored", "warmup"} <= switches
    assert switches - known == set()


def test_registries_are_documented():
    from xmsgl.models.methods.registry import MODELS
    from xmsgl.network.kernels import KERNELS

    text = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    assert [name for name in (*MODELS, *KERNELS) if f"`{name}`" not in text] == []


def test_documented_entry_points_are_those_of_the_registries():
    from xmsgl.models.backbones.registry import BACKBONES
    from xmsgl.models.methods.registry import MODELS
    from xmsgl.network.kernels import KERNELS
    from xmsgl.readers.registry import READERS

    page = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    assert GROUP.findall(page) == [each._group for each in (READERS, KERNELS, BACKBONES, MODELS)]


def test_commands_and_options_exist():
    from xmsgl.cli.main import main

    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `xmsgl (\w+)`", page, re.MULTILINE)) == set(main.commands)
    sessions = "\n".join(body for path in PAGES for body in blocks(path, "sh"))
    inline = "\n".join(re.findall(r"`(xmsgl [^`]*)`", page))
    used = COMMAND.findall(f"{sessions}\n{inline}")
    assert len(used) > len(main.commands)
    for name, rest in used:
        options = {option for parameter in main.commands[name].params for option in parameter.opts}
        given = [word for word in rest.split() if word.startswith("-")]
        assert set(given) <= options, f"xmsgl {name} has no {set(given) - options}"


@pytest.mark.slow
def test_documented_session_runs(quiet):
    from click.testing import CliRunner

    from xmsgl.cli.main import main

    session = "\n".join(blocks(ROOT / "docs" / "cli.md", "sh"))
    runner = CliRunner()
    for line in filter(None, session.splitlines()):
        words = shlex.split(re.sub(r"--epochs \d+", "--epochs 1", line))[1:]
        result = runner.invoke(main, ["--quiet", *words])
        assert result.exit_code == 0, f"{line}: {result.output}"
    for name in ("temperature.nc", "bounds.nc"):
        assert (quiet / name).is_file()


def test_make_targets_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    wanted = {
        name
        for path in PAGES
        for body in blocks(path, "sh")
        for name in re.findall(r"^make (\w+)", body, re.MULTILINE)
    }
    assert {"demo", "test"} <= wanted <= targets


def test_extras_on_the_page_are_those_of_the_package():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8").split("\n## ")[0]
    listed = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert listed == set(project["optional-dependencies"]) - {"lint"}


def test_every_source_is_credited():
    from xmsgl.datasets.registry import SOURCES, dataset_files

    page = (ROOT / "docs" / "credits.md").read_text(encoding="utf-8")
    names = ("delaware", "willamette", "yakima")
    used = {file.repository for name in names for file in dataset_files(name)}
    assert used <= set(SOURCES)
    assert [name for name in sorted(used) if f"| {name} |" not in page] == []


def test_tests_named_on_the_page_of_reliability_exist():
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    source, named = "", re.findall(r"`([\w/]*(?:\.py)?)::(?:\w+::)?(\w+)`", text)
    assert len(named) > 20
    for path, name in named:
        source = (ROOT / "tests" / path).read_text(encoding="utf-8") if path else source
        assert f"def {name}(" in source, (path, name)


def test_readme_keeps_the_places_of_picture_and_table():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for mark in ("picture", "skill table"):
        assert readme.index(f"<!-- {mark}: start -->") < readme.index(f"<!-- {mark}: end -->")


class Finder(doctest.DocTestFinder):
    """Finds the examples of decorated functions, too."""

    def _from_module(self, module, found):
        return super()._from_module(module, inspect.unwrap(found) if callable(found) else found)


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings(module, empty_folder):
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        pytest.skip(f"{error.name} is not installed")
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    # By full name: a package may show a function in the place of the module of the same name.
    finder = Finder(exclude_empty=True)
    for test in finder.find(loaded, module, module=loaded):
        runner.run(test, out=report.append)
    if any(f"No module named '{name}'" in line for line in report for name in OPTIONAL):
        pytest.skip("needs a library of an extra")
    assert runner.failures == 0, "\n".join(report)


def test_examples_are_found():
    finder = Finder(exclude_empty=True)
    for name in ("xmsgl.network.kernels", "xmsgl.evaluate.splits"):
        module = importlib.import_module(name)
        assert sum(len(test.examples) for test in finder.find(module, name, module=module)) > 5
