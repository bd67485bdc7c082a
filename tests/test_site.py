"""The documentation site: every page is reached, and the house is drawn from the code."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.test_walls import RANK

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@cache
def load_house() -> ModuleType:
    """The module that draws the house, which lies outside of the package."""
    spec = importlib.util.spec_from_file_location("house", DOCS / "house.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def house() -> ModuleType:
    return load_house()


@pytest.fixture
def hut(house, tmp_path, monkeypatch) -> ModuleType:
    """A house of two rooms: one that names xarray and one that imports it."""
    named = '"""Plain arrays, see :mod:`numpy`, :py:func:`~numpy.sum`; a caller may import xarray."""\n'
    (tmp_path / "hut_plain.py").write_text(named)
    (tmp_path / "hut_labelled.py").write_text(
        '"""Labels."""\ndef late():\n    from xarray import Dataset\n    from xmsgl import hut_plain\n'
    )
    monkeypatch.setattr(house, "ROOT", tmp_path)
    return house


def test_the_picture_has_every_room_above_those_it_stands_on(house):
    picture = house.draw()
    for room in RANK:
        assert f">{room}</text>" in picture
        assert all(house.floor(below) < house.floor(room) for below in house.stands_on(room))


def test_every_module_says_what_it_is_for(house):
    page = house.page()
    for module in house.modules():
        assert len(house.purpose(module)) > 10, module
        assert module in {"", "accessor", "errors"} or f"| `{module}` | {house.purpose(module)} |" in page


def test_a_room_is_labelled_if_it_imports_xarray(hut):
    assert [room for room in hut.rooms() if hut.is_labelled(room)] == ["hut_labelled"]


def test_an_import_is_found_however_it_is_spelled(hut):
    assert hut.stands_on("hut_labelled") == {"hut_plain"}


def test_purposes_are_free_of_roles(hut):
    said = "Plain arrays, see `numpy`, `numpy.sum`; a caller may import xarray."
    assert hut.purpose("hut_plain") == said


def test_pages_of_the_house_are_written_where_the_site_looks(house, tmp_path, monkeypatch):
    monkeypatch.setattr(house, "PAGES", tmp_path / "generated")
    house.write()
    assert {path: path.read_text() for path in (tmp_path / "generated").iterdir()} == house.files()


def test_every_page_is_in_the_contents():
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    listed = {"index"}
    for name in pages:
        for body in re.findall(
            r"^```{toctree}\n(.*?)^```$", (DOCS / f"{name}.md").read_text(), re.MULTILINE | re.DOTALL
        ):
            listed |= {line for line in body.splitlines() if line and not line.startswith(":")}
    assert sorted(pages - listed) == []
