"""The documentation site: every page is reached, and the house is drawn from the code."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.test_walls import RANK

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def house() -> ModuleType:
    spec = importlib.util.spec_from_file_location("house", DOCS / "house.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def test_every_page_is_in_the_contents():
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    listed = {"index"}
    for name in pages:
        for body in re.findall(
            r"^```{toctree}\n(.*?)^```$", (DOCS / f"{name}.md").read_text(), re.MULTILINE | re.DOTALL
        ):
            listed |= {line for line in body.splitlines() if line and not line.startswith(":")}
    assert sorted(pages - listed) == []
