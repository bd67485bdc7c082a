"""HTML for notebooks: every text escaped, no colour that a dark or a light page would swallow."""

from __future__ import annotations

import html
import re

import pytest
import xarray as xr

import xmsgl
from xmsgl.evaluate import skill_table
from xmsgl.util.html import card, facts, folded, table

HOSTILE = "<script>alert('x')</script> & \"y\" </td>"
COLOUR = re.compile(
    r"#[0-9a-fA-F]{3,8}\b|\b(?:rgb|hsl|hwb|lab|lch|oklab|oklch|color)a?\(|\b(?:white|black|gr[ae]y)\b(?!-)"
)


def outside_of_variables(style: str) -> str:
    """Take away what stands inside ``var(...)``: names of the theme's colours, and their fallbacks."""
    kept, depth, start = "", 0, 0
    while (found := style.find("var(", start)) >= 0:
        kept += style[start:found]
        depth, start = 1, found + 4
        while depth:
            depth += {"(": 1, ")": -1}.get(style[start], 0)
            start += 1
    return kept + style[start:]


def fixed_colours(styles: list[str]) -> list[str]:
    return [style for style in styles if COLOUR.search(outside_of_variables(style))]


def declarations(styles: list[str], name: str) -> set[str]:
    pairs = [part.partition(":") for style in styles for part in style.split(";")]
    return {value.strip() for key, _, value in pairs if key.strip() == name}


@pytest.fixture
def shown(river):
    """Everything that shows itself as HTML."""
    observed = river["water_temperature_fine"]
    return {
        "model": xmsgl.load_model(),
        "graph": river.msgl.graph("fine"),
        "graphs": river.msgl.graph(),
        "description": river.msgl.graph().describe(),
        "report": river.msgl.validate(),
        "skill": skill_table({HOSTILE: observed + 1}, observed, groups={HOSTILE: river["time"].dt.month > 6}),
    }


@pytest.mark.parametrize("what", ["model", "graph", "graphs", "description", "report", "skill"])
def test_colours_are_those_of_the_page(shown, what, read_html):
    page = read_html(shown[what]._repr_html_())
    assert fixed_colours(page.styles) == []
    assert declarations(page.styles, "color") == {"inherit"}
    assert declarations(page.styles, "background") == {"none"}
    assert not {"script", "style", "link", "img", "font"} & set(page.tags)


@pytest.mark.parametrize("what", ["model", "graph", "graphs", "report", "skill"])
def test_rows_of_a_table_are_equally_long(shown, what, read_html):
    for rows in read_html(shown[what]._repr_html_()).tables:
        assert len({len(row) for row in rows if row[0]}) == 1


def test_lines_have_a_colour_where_the_page_names_none(read_html):
    styles = read_html(table(["a"], [["b"]])).styles
    (line,) = declarations(styles, "border-bottom")
    assert re.fullmatch(r"1px solid var\(--jp-[\w-]+, var\(--vscode-[\w-]+, rgba\(.*\)\)\)", line)


@pytest.mark.parametrize(
    ("style", "fixed"),
    [
        ("color:#fff", True),
        ("background: rgb(0, 0, 0)", True),
        ("border:1px solid var(--a, var(--b, #123456)) black", True),
        ("border:1px solid var(--a, var(--b, rgba(1, 2, 3, 0.4)))", False),
        ("color:inherit", False),
    ],
)
def test_the_search_for_colours_can_fail(style, fixed):
    assert bool(fixed_colours([style])) is fixed


def test_every_text_is_escaped(read_html):
    page = read_html(
        card(
            HOSTILE,
            facts([(HOSTILE, HOSTILE)]),
            folded(HOSTILE, table([HOSTILE, "n"], [[HOSTILE, HOSTILE]], groups=[(HOSTILE, 1)])),
            about=HOSTILE,
        )
    )
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) == 9
    assert page.tables == [
        [[HOSTILE, HOSTILE]],
        [["", HOSTILE], [HOSTILE, "n"], [HOSTILE, HOSTILE]],
    ]


def test_a_hostile_method_stays_text(shown, read_html):
    (rows,) = read_html(shown["skill"]._repr_html_()).tables
    assert rows[0] == ["", HOSTILE]
    assert rows[2][0] == HOSTILE


def test_details_are_folded_unless_asked(read_html):
    assert "<details open" in folded("more", facts([]), unfolded=True)
    assert "<details open" not in folded("more", facts([]))
    assert read_html(folded("more", facts([("a", "b")]))).tables == [[["a", "b"]]]


def test_text_is_shown_where_xarray_shows_text(river):
    graph = river.msgl.graph("coarse")
    assert "<table" in graph._repr_html_()
    with xr.set_options(display_style="text"):
        shown = graph.describe()._repr_html_()
    assert shown == f"<pre>{html.escape(repr(graph.describe()))}</pre>"
