"""What a graph looks like in numbers, as text and as HTML."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.errors import shorten
from xmsgl.util.html import Markup, as_xarray_shows, card, facts, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "CrosswalkDescription",
    "GraphDescription",
    "GraphsDescription",
    "Spread",
    "neighbour_rule",
    "text_block",
]

NAMES = {"coarse": "coarse segment", "fine": "fine reach"}


@dataclass(frozen=True)
class Spread:
    """Least, mean and greatest of some numbers; NaN where there are none.

    Parameters
    ----------
    minimum, mean, maximum
        In the unit of the numbers.
    """

    minimum: float
    mean: float
    maximum: float

    @classmethod
    def of(cls, values: NDArray[Any]) -> Spread:
        """Take the spread of an array."""
        if values.size == 0:
            return cls(np.nan, np.nan, np.nan)
        return cls(float(values.min()), float(values.mean()), float(values.max()))

    def cells(self) -> list[str]:
        """Write the three numbers for a table."""
        return [_number(value) for value in (self.minimum, self.mean, self.maximum)]


def _number(value: float) -> str:
    if np.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


@dataclass(frozen=True)
class GraphDescription:
    """What :meth:`xmsgl.network.graph.RiverGraph.describe` reports; ``str()`` gives a table.

    Parameters
    ----------
    scale
        ``"coarse"`` or ``"fine"``.
    rule
        How neighbours were chosen, in words.
    kernel
        The kernel, as text.
    nodes, edges
        Number of reaches, and of pairs of different reaches.
    basins
        Number of outlets.
    depth
        Greatest number of hops from a reach to its outlet.
    orphans
        Ids of the reaches without any neighbour.
    distance
        Spread of the edges' length (m).
    weight
        Spread of the edges' weight in the row-normalised operator (1).
    degree
        Spread of the number of neighbours of a reach (1).
    """

    scale: str
    rule: str
    kernel: str
    nodes: int
    edges: int
    basins: int
    depth: int
    orphans: tuple[Any, ...]
    distance: Spread
    weight: Spread
    degree: Spread

    def facts(self) -> list[tuple[str, str]]:
        """List what is not in the table of spreads."""
        orphans = f"{len(self.orphans):,} ({shorten(self.orphans)})" if self.orphans else "none"
        return [
            ("nodes", f"{self.nodes:,} {NAMES[self.scale]}{_plural(self.nodes, NAMES[self.scale])}"),
            ("edges", f"{self.edges:,} besides the self-loops"),
            ("basins", f"{self.basins:,}, up to {self.depth:,} hops deep"),
            ("neighbours", self.rule),
            ("kernel", self.kernel),
            ("orphans", orphans),
        ]

    def spreads(self) -> list[tuple[str, Spread]]:
        """List the rows of the table."""
        return [
            ("edge distance (m)", self.distance),
            ("edge weight", self.weight),
            ("neighbours of a node", self.degree),
        ]

    def __str__(self) -> str:
        return text_block(f"river graph, {self.scale} scale", self.facts(), self.spreads())

    @as_xarray_shows
    def _repr_html_(self) -> str:
        return _html_block(f"river graph, {self.scale} scale", self.facts(), self.spreads())


@dataclass(frozen=True)
class CrosswalkDescription:
    """How the two scales meet.

    Parameters
    ----------
    kernel
        The kernel of the interpolation operator, as text.
    entries
        Number of entries of the interpolation operator.
    empty
        Number of coarse segments without a fine reach.
    reaches
        Spread of the number of reaches on a segment.
    sources
        Spread of the number of segments a reach is interpolated from.
    own
        Spread of the weight of a reach's own segment.
    """

    kernel: str
    entries: int
    empty: int
    reaches: Spread
    sources: Spread
    own: Spread

    def facts(self) -> list[tuple[str, str]]:
        """List what is not in the table of spreads."""
        return [
            ("entries", f"{self.entries:,}"),
            ("kernel", self.kernel),
            ("segments without a reach", f"{self.empty:,}"),
        ]

    def spreads(self) -> list[tuple[str, Spread]]:
        """List the rows of the table."""
        return [
            ("reaches on a segment", self.reaches),
            ("segments a reach takes from", self.sources),
            ("weight of the own segment", self.own),
        ]

    def __str__(self) -> str:
        return text_block("crosswalk, coarse to fine", self.facts(), self.spreads())

    @as_xarray_shows
    def _repr_html_(self) -> str:
        return _html_block("crosswalk, coarse to fine", self.facts(), self.spreads())


@dataclass(frozen=True)
class GraphsDescription:
    """What :meth:`xmsgl.network.graph.RiverGraphs.describe` reports; ``str()`` gives three tables.

    Parameters
    ----------
    coarse, fine
        The graph of each scale.
    crosswalk
        What joins them.
    """

    coarse: GraphDescription
    fine: GraphDescription
    crosswalk: CrosswalkDescription

    def __str__(self) -> str:
        return f"{self.coarse}\n\n{self.fine}\n\n{self.crosswalk}"

    @as_xarray_shows
    def _repr_html_(self) -> str:
        return "".join(part._repr_html_() for part in (self.coarse, self.fine, self.crosswalk))


def neighbour_rule(hops: int | None, limit: float | None, nearest: int | None, direction: str) -> str:
    """Say in words how neighbours were chosen."""
    parts = [] if hops is None else [f"up to {hops} hops"]
    if limit is not None and limit < sys.float_info.max:
        parts.append(f"within {limit:,.0f} m")
    if nearest is not None:
        parts.append(f"the nearest {nearest}")
    sides = "upstream and downstream" if direction == "both" else f"{direction} only"
    return ", ".join([*(parts or ["all on the flow path"]), sides])


def _plural(count: int, noun: str) -> str:
    if count == 1:
        return ""
    return "es" if noun.endswith("ch") else "s"


def text_block(title: str, facts: list[tuple[str, str]], spreads: list[tuple[str, Spread]]) -> str:
    """Write facts and spreads as aligned text."""
    wide = max(len(label) for label, _ in [*facts, *spreads]) + 2
    lines = [title, *(f"  {label:<{wide}}{text}" for label, text in facts)]
    lines.append(f"  {'':<{wide}}" + "".join(f"{head:>10}" for head in ("min", "mean", "max")))
    lines += [
        f"  {label:<{wide}}" + "".join(f"{cell:>10}" for cell in spread.cells()) for label, spread in spreads
    ]
    return "\n".join(lines)


def _html_block(title: str, texts: list[tuple[str, str]], spreads: list[tuple[str, Spread]]) -> Markup:
    rows = [[label, *spread.cells()] for label, spread in spreads]
    return card(title, facts(texts), table(["", "min", "mean", "max"], rows))
