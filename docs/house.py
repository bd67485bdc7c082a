"""Read the house from the code: its rooms, what each is for, and which stand on which.

``docs/conf.py`` calls :func:`write` whenever the site is built, so the picture and the tables of the
architecture page cannot go stale. Colours are the picture's own and hold on a light and on a dark page.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1] / "xmsgl"
PAGES = Path(__file__).parent / "generated"

WINGS = ("labelled: xarray", "plain numbers: NumPy, SciPy, torch")
COLOURS = ("#1b6a8c", "#9a5b13")
INK = 'fill="#ffffff" text-anchor="middle"'
QUIET = "#858d97"  # on white and on the theme's black alike
WIDTH, MARGIN, GAP, HEIGHT, STEP = 780, 15, 12, 40, 54


def modules() -> dict[str, Path]:
    """Return every module of the package by its name without ``xmsgl.``; a package has its folder's name."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def rooms() -> list[str]:
    """Return the folders and files at the top of the package."""
    return sorted({name.split(".")[0] for name in modules() if name})


def modules_of(room: str) -> list[str]:
    """Return the modules of a room."""
    return [name for name in modules() if name.split(".")[0] == room]


@cache
def imports(module: str) -> frozenset[str]:
    """Return the full names that a module imports anywhere: inside functions and for typing, too."""
    found = set()
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(found)


def stands_on(room: str) -> set[str]:
    """Return the rooms that a room imports from."""
    names = {name for module in modules_of(room) for name in imports(module)}
    used = {name.split(".")[1] for name in names if name.startswith("xmsgl.")}
    return used & set(rooms()) - {room}


@cache
def floor(room: str) -> int:
    """Return how high a room lies: above every room that it stands on."""
    return 1 + max((floor(other) for other in stands_on(room)), default=-1)


def purpose(module: str) -> str:
    """Return the first sentence of a module's docstring, without roles of Sphinx such as ``:mod:``."""
    text = ast.get_docstring(ast.parse(modules()[module].read_text(encoding="utf-8"))) or ""
    sentence = " ".join(text.split("\n\n")[0].split())
    return re.sub(r"(?::\w+)+:`~?([^`]+)`", r"`\1`", sentence)


def is_labelled(room: str) -> bool:
    """Say whether any module of a room imports xarray."""
    return any(name.split(".")[0] == "xarray" for module in modules_of(room) for name in imports(module))


def draw() -> str:
    """Return the picture as SVG: the highest floor at the top."""
    floors = sorted({floor(room) for room in rooms()}, reverse=True)
    body = []
    for row, level in enumerate(floors):
        names = [room for room in rooms() if floor(room) == level]
        wide = (WIDTH - 2 * MARGIN - (len(names) - 1) * GAP) / len(names)
        for place, name in enumerate(names):
            x, y = MARGIN + place * (wide + GAP), 8 + row * STEP
            colour = COLOURS[0] if is_labelled(name) else COLOURS[1]
            size = f'width="{wide:g}" height="{HEIGHT}"'
            body.append(f'<rect x="{x:g}" y="{y}" {size} rx="4" fill="{colour}"/>')
            body.append(f'<text x="{x + wide / 2:g}" y="{y + HEIGHT / 2 + 5:g}" {INK}>{name}</text>')
    bottom = 8 + STEP * len(floors)
    for wing, words in enumerate(WINGS):
        x = MARGIN + wing * WIDTH / 2
        body.append(f'<rect x="{x:g}" y="{bottom}" width="14" height="14" rx="2" fill="{COLOURS[wing]}"/>')
        body.append(f'<text x="{x + 22:g}" y="{bottom + 12}" fill="{QUIET}">{words}</text>')
    size = f'viewBox="0 0 {WIDTH} {bottom + 24}" width="{WIDTH}" height="{bottom + 24}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="14" role="img">'
    )
    return "\n".join(
        [head, "<title>The rooms of xmsgl, each standing on rooms below</title>", *body, "</svg>\n"]
    )


def table(names: list[str]) -> str:
    """Return a table of modules and what they are for."""
    return "\n".join(["| | |", "|---|---|", *(f"| `{name}` | {purpose(name)} |" for name in names), ""])


def page() -> str:
    """Return the tables: one of the rooms, and for each room one of its modules."""
    parts = [table(sorted(rooms(), key=lambda room: (-floor(room), room)))]
    for room in rooms():
        inside = [name for name in modules() if name.startswith(f"{room}.")]
        if inside:
            parts.append(f"### {room}\n\n{table(inside)}")
    return "\n".join(parts)


def files() -> dict[Path, str]:
    """Return picture and tables for the site, by the files they are written to."""
    return {PAGES / "house.svg": draw(), PAGES / "rooms.txt": page()}


def write() -> None:
    """Write picture and tables for the site."""
    PAGES.mkdir(exist_ok=True)
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
