"""Curves of a running training in a notebook, in one output that is updated."""

from __future__ import annotations

import html
import math
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xmsgl.training.watch.standing import Standing

__all__ = ["Curves", "curves_html"]

# Colours of Okabe and Ito that are visible on white and on black.
_COLOURS = {"coarse": "#D55E00", "fine": "#0072B2", "interpolation": "#009E73"}
_OTHERS = ("#CC79A7", "#E69F00", "#56B4E9")
_PANELS = {"loss": "loss", "validation": "validation RMSE [°C]"}
_WIDTH, _HEIGHT = 340, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 22, 22
_POINTS = 200  # of a curve; more cannot be distinguished at this width


def curves_html(standing: Standing) -> str:
    """Draw a line of text, and losses and validation scores by epoch."""
    history = standing.state.history
    panels = [
        _panel(title, {name: history[name] for name in history if name.partition("_")[0] == group})
        for group, title in _PANELS.items()
        if group in {name.partition("_")[0] for name in history}
    ]
    return (
        f"<div style='font:13px sans-serif;line-height:1.5'>{_words(standing)}"
        f"<div style='display:flex;flex-wrap:wrap;gap:12px'>{''.join(panels)}</div></div>"
    )


def _words(standing: Standing) -> str:
    state = standing.state
    parts = [f"<b>{html.escape(standing.method)}</b>"]
    if standing.members > 1:
        parts.append(f"member {standing.member + 1} of {standing.members}")
    parts.append(f"epoch {state.epoch} of {standing.epochs}")
    if scores := state.history.get("validation"):
        best = f"best {state.best_score:.3f} °C in epoch {state.best_epoch}"
        parts += [f"validation {scores[-1]:.3f} °C", best]
    return " &middot; ".join(parts)


def _panel(title: str, curves: Mapping[str, Sequence[float]]) -> str:
    """Draw curves over the epochs on a logarithmic axis, because the first epochs would hide the others."""
    shown = [value for values in curves.values() for value in values if _drawable(value)]
    low, high = (math.log(min(shown)), math.log(max(shown))) if shown else (0.0, 0.0)
    epochs = max(len(values) for values in curves.values())
    across = (_WIDTH - _LEFT - _RIGHT) / max(epochs - 1, 1)
    up = (_HEIGHT - _TOP - _BOTTOM) / (high - low or 1.0)

    def place(epoch: int, value: float) -> str:
        return f"{_LEFT + across * epoch:.1f},{_HEIGHT - _BOTTOM - up * (math.log(value) - low):.1f}"

    lines, names = [], []
    for number, (name, values) in enumerate(curves.items()):
        task = name.partition("_")[2]
        colour = _COLOURS.get(task, _OTHERS[number % len(_OTHERS)]) if task else "currentColor"
        drawn = "".join(_line(points, colour) for points in _runs(values, place))
        last = next((f"{value:.3g}" for value in reversed(values) if _drawable(value)), "-")
        lines.append(drawn)
        names.append(
            f"<span style='white-space:nowrap'><span style='color:{colour}'>&#9644;</span> "
            f"{html.escape(task.replace('_', ' ') or 'mean')} {last}</span>"
        )
    return (
        f"<div><svg width='{_WIDTH}' height='{_HEIGHT}' viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' "
        f"aria-label='{html.escape(title)}'>{_axes(title, low, high, epochs)}{''.join(lines)}</svg>"
        f"<div style='display:flex;flex-wrap:wrap;gap:0 12px;max-width:{_WIDTH}px;"
        f"padding-left:{_LEFT}px;box-sizing:border-box'>{''.join(names)}</div></div>"
    )


def _axes(title: str, low: float, high: float, epochs: int) -> str:
    """Draw frame, title, and the ends and the middle of both axes."""
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    heights = {bottom: low, (bottom + _TOP) / 2: (low + high) / 2, _TOP: high}
    texts = [f"<text x='{_LEFT}' y='13'>{html.escape(title)}</text>"]
    texts += [
        f"<text x='{_LEFT - 5}' y='{y + 4:.0f}' text-anchor='end'>{math.exp(value):.3g}</text>"
        for y, value in heights.items()
        if high > low or y == bottom
    ]
    texts += [
        f"<text x='{_LEFT}' y='{_HEIGHT - 6}' text-anchor='middle'>1</text>",
        f"<text x='{right}' y='{_HEIGHT - 6}' text-anchor='end'>epoch {epochs}</text>",
    ]
    frame = f"<path d='M{_LEFT} {_TOP}V{bottom}H{right}' fill='none' stroke='currentColor' opacity='.5'/>"
    return f"{frame}<g fill='currentColor' font-size='11' opacity='.8'>{''.join(texts)}</g>"


def _line(points: Sequence[str], colour: str) -> str:
    if len(points) == 1:  # a line of one point is invisible
        x, _, y = points[0].partition(",")
        return f"<circle cx='{x}' cy='{y}' r='2' fill='{colour}'/>"
    return f"<polyline points='{' '.join(points)}' fill='none' stroke='{colour}' stroke-width='1.6'/>"


def _runs(values: Sequence[float], place: Callable[[int, float], str]) -> list[list[str]]:
    """Place the points of a thinned curve, with gaps in stages without it."""
    stride = max(1, -(-len(values) // _POINTS))
    kept = {*range(0, len(values), stride), len(values) - 1}
    runs: list[list[str]] = [[]]
    for epoch, value in enumerate(values):
        if not _drawable(value):
            runs.append([])
        elif epoch in kept:
            runs[-1].append(place(epoch, value))
    return [run for run in runs if run]


def _drawable(value: float) -> bool:
    return math.isfinite(value) and value > 0


class Curves:
    """Draws the curves below the cell, at most once an interval (s) and at the end."""

    def __init__(self, interval: float = 0.5, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval, self._clock = interval, clock
        self._handle: Any = None
        self._drawn = -math.inf
        self._latest: Standing | None = None

    def __call__(self, standing: Standing, /) -> None:
        """Draw the curves, unless they were drawn within the interval."""
        self._latest = standing
        if self._clock() - self._drawn >= self._interval:
            self._draw(standing)

    def _draw(self, standing: Standing) -> None:
        from IPython.display import HTML, display

        page = HTML(curves_html(standing))
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)
        self._drawn, self._latest = self._clock(), None

    def close(self) -> None:
        """Draw the last epoch if it is not drawn yet."""
        if self._latest is not None:
            self._draw(self._latest)
