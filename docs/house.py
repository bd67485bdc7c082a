"""Draw the house: which parts of the package stand on which. ``python docs/house.py`` writes the picture.

Colours are the picture's own and hold on a light and on a dark page. tests/test_site.py keeps the floors to
the layers that tests/test_walls.py enforces.
"""

from __future__ import annotations

from pathlib import Path

# From the cellar up. A floor may use itself and those below. Left, in the middle, right: see WINGS. What
# has a floor to itself takes all of it.
FLOORS: list[tuple[list[str], list[str], list[str]]] = [
    (
        ["errors", "options", "optional", "history", "origin", "markup", "words", "writing", "progress"],
        [],
        [],
    ),
    ([], ["schema"], ["network"]),
    (["graphs", "readers", "datasets", "opening"], [], ["simulate"]),
    (["features", "neighbours", "season"], ["windows", "batches"], ["models"]),
    (["recipes"], ["calibrate"], ["prefetch", "spin_up", "operators", "engine", "train", "supply", "watch"]),
    ([], ["fit", "predict"], []),
    (["outputs", "evaluate", "export", "plot", "benchmark", "catalog"], [], []),
]
ROOF = ["accessor", "demo", "cli"]
WINGS = ("labelled: xarray", "doors: ids become positions", "plain numbers: NumPy, torch")
COLOURS = ("#1b6a8c", "#8a4f9e", "#9a5b13")
WHITE = 'fill="#ffffff" text-anchor="middle"'
QUIET = "#858d97"  # on white and on the theme's black alike

WIDTH, LEFT, ROOM, GAP, HEIGHT, STEP = 780, 15, 242, 12, 50, 62
PICTURE = Path(__file__).parent / "images" / "house.svg"


def room(wing: int, names: list[str], y: int, *, alone: bool) -> list[str]:
    """Draw one room with the names of what lives in it, over the whole floor if it is `alone` there."""
    x = LEFT if alone else LEFT + wing * (ROOM + GAP)
    wide = 3 * ROOM + 2 * GAP if alone else ROOM
    half = (len(names) + 1) // 2 if len(names) > 3 and not alone else len(names)
    lines = [" · ".join(part) for part in (names[:half], names[half:]) if part]
    first = y + HEIGHT / 2 + 5 - 9 * (len(lines) - 1)
    drawn = [f'<rect x="{x}" y="{y}" width="{wide}" height="{HEIGHT}" rx="4" fill="{COLOURS[wing]}"/>']
    for number, line in enumerate(lines):
        at = f'x="{x + wide / 2:g}" y="{first + 18 * number:g}"'
        drawn.append(f"<text {at} {WHITE}>{line}</text>")
    return drawn


def draw() -> str:
    """Return the picture as SVG."""
    roof = 96
    bottom = roof + STEP * len(FLOORS)
    peak, wide = WIDTH / 2, WIDTH - LEFT
    body = [
        f'<polygon points="{LEFT},{roof - 8} {peak:g},8 {wide},{roof - 8}" fill="#31566b"/>',
        f'<text x="{peak:g}" y="52" {WHITE} font-weight="bold">ds.msgl · xmsgl</text>',
        f'<text x="{peak:g}" y="74" {WHITE}>{" · ".join(ROOF)}</text>',
    ]
    for number, floor in enumerate(reversed(FLOORS)):
        y = roof + STEP * number
        alone = sum(map(bool, floor)) == 1
        for wing, names in enumerate(floor):
            body += room(wing, names, y, alone=alone) if names else []
        body.append(f'<path d="M{LEFT} {y + HEIGHT + 6}H{wide}" stroke="{QUIET}" stroke-width="1"/>')
    for wing, words in enumerate(WINGS):
        x = LEFT + wing * (ROOM + GAP) + ROOM / 2
        body.append(f'<text x="{x:g}" y="{bottom + 18}" fill="{QUIET}" text-anchor="middle">{words}</text>')
    size = f'viewBox="0 0 {WIDTH} {bottom + 30}" width="{WIDTH}" height="{bottom + 30}"'
    font = 'font-family="sans-serif" font-size="14"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font} role="img">',
            "<title>The floors of xmsgl, each resting on those below</title>",
            *body,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
