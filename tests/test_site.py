"""The documentation site: every page is reached, and the house stands as the imports do."""

from __future__ import annotations

import importlib.util
import re
from itertools import pairwise
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


def test_the_picture_of_the_house_is_the_one_drawn(house):
    assert house.PICTURE.read_text(encoding="utf-8") == house.draw()


def test_each_floor_rests_on_those_below(house):
    floors = [[name for wing in floor for name in wing] for floor in house.FLOORS]
    ranks = [[RANK[name] for name in names] for names in [*floors, house.ROOF]]
    assert all(max(below) < min(above) for below, above in pairwise(ranks))
    assert all(name in house.draw() for floor in floors for name in floor)


def test_every_part_has_a_room_in_the_house(house):
    drawn = [name for floor in house.FLOORS for wing in floor for name in wing] + house.ROOF
    assert sorted(drawn) == sorted(RANK)


def test_every_page_is_in_the_contents():
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    listed = {"index"}
    for name in pages:
        for body in re.findall(
            r"^```{toctree}\n(.*?)^```$", (DOCS / f"{name}.md").read_text(), re.MULTILINE | re.DOTALL
        ):
            listed |= {line for line in body.splitlines() if line and not line.startswith(":")}
    assert sorted(pages - listed) == []
