"""Every row of the tables of wrong input on the page on reliability: the message and its repair."""

from __future__ import annotations

import resource
import shlex
import shutil
import signal
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tests import bad_commands, bad_files, bad_inputs
from xmsgl.cli.main import main
from xmsgl.errors import XMSGLError

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
SECTIONS = {**bad_inputs.SECTIONS, **bad_files.SECTIONS, **bad_commands.SECTIONS}
CASES = {f"{section}: {case.wrong}": case for section, cases in SECTIONS.items() for case in cases}
#: Raised by intake and YAML, which the user calls to open a catalog.
FOREIGN = {"FileNotFoundError", "ScannerError", "ParserError", "KeyError", "ValueError"}


@pytest.fixture(scope="module")
def made(river_of, tmp_path_factory):
    """A dataset of 60 days, models and their files."""
    folder = tmp_path_factory.mktemp("made")
    place = np.arange(12.0)
    ds = river_of(60).assign(lat_fine=("fine", 40 + place / 50), lon_fine=("fine", -75 - place / 70))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ds.msgl.train("trees", validation="folds:2", iterations=5, progress=False)
        single = ds.msgl.train("trees", validation=None, iterations=5, progress=False)
    single.save(folder / "m")
    ds.to_netcdf(folder / "x.nc")
    return ds, model, single, folder


@pytest.fixture
def t(made, tmp_path, monkeypatch):
    ds, model, single, folder = made
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"id": [1, 2], "downstream": [2, 0], "length": [900.0, 400.0]})
    prediction = ds["water_temperature_fine"].fillna(9.0) + 1
    return SimpleNamespace(
        ds=ds.copy(deep=True),
        model=model,
        single=single,
        folder=tmp_path,
        prediction=prediction,
        table=table,
    )


def command(line):
    """Run a command line; anything but its own exit fails."""
    result = CliRunner().invoke(main, ["--quiet", *shlex.split(line)])
    if result.exit_code:
        assert isinstance(result.exception, SystemExit), result.exception
    return result


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def full_disk(request):
    """No file grows beyond 2 kB, as on a full disk."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, former[1]))

    def clear():
        resource.setrlimit(resource.RLIMIT_FSIZE, former)

    yield SimpleNamespace(fill=fill, clear=clear)
    clear()
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name, t, full_disk):
    case = CASES[name]
    if case.make:
        case.make(t)
    before = files(t.folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "full disk" in name:
            full_disk.fill()
        if isinstance(case.act, str):
            result = command(case.act)
            error, said = f"exit {result.exit_code}", result.stderr
            assert "Traceback" not in said
        else:
            with pytest.raises(Exception) as caught:  # noqa: PT011 - the type is compared below
                case.act(t)
            error, said = type(caught.value).__name__, str(caught.value)
            assert isinstance(caught.value, XMSGLError) or case.error in FOREIGN
        full_disk.clear()
    assert (error, case.says) == (case.error, case.says if case.says in said else said)
    assert files(t.folder) == before


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.fixed])
def test_the_repair_works(name, t):
    case = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(case.fixed, str):
            result = command(case.fixed)
            assert result.exit_code == 0, result.stderr
        else:
            case.fixed(t)


def rows(cases):
    """The table of some cases as on the page."""
    lines = ["| what is wrong | error | the message says | repair |", "|---|---|---|---|"]
    for case in cases:
        says = case.says.replace("|", r"\|")
        lines.append(f"| {case.wrong} | `{case.error}` | {says} | {case.repair} |")
    return "\n".join(lines)


def test_the_page_has_the_tables_of_the_cases():
    page = PAGE.read_text(encoding="utf-8")
    for section, cases in SECTIONS.items():
        assert f"### {section}\n\n{rows(cases)}\n" in page, section
    assert len(CASES) == sum(map(len, SECTIONS.values())) >= 80
