"""Summaries of graphs in numbers, as text and as HTML."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.errors import shorten
from xmsgl.util.html import as_xarray_shows, card, facts, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xmsgl.util.scales import Scale

__all__ = [
    "CrosswalkDescription",
    "GraphDescription",
    "GraphsDescription",
    "Spread",
    "neighbour_rule",
    "text_block",
]


@dataclass(frozen=True)
class Spread:
    """Least, mean and greatest of some numbers; NaN where there are none."""

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


class _Description(ABC):
    """Facts and a table of spreads, as text and as HTML."""

    @abstractmethod
    def _title(self) -> str:
        """Return the heading."""

    @abstractmethod
    def facts(self) -> list[tuple[str, str]]:
        """List what is not in the table of spreads."""

    @abstractmethod
    def spreads(self) -> list[tuple[str, Spread]]:
        """List the rows of the table."""

    def __str__(self) -> str:
        return text_block(self._title(), self.facts(), self.spreads())

    @as_xarray_shows
    def _repr_html_(self) -> str:
        rows = [[label, *spread.cells()] for label, spread in self.spreads()]
        return card(self._title(), facts(self.facts()), table(["", "min", "mean", "max"], rows))


@dataclass(frozen=True)
class GraphDescription(_Description):
    """What :meth:`xmsgl.network.graph.RiverGraph.describe` reports; ``str()`` gives a table."""

    scale: Scale
    rule: str  # how neighbours were chosen, in words
    kernel: str
    nodes: int
    edges: int  # pairs of different reaches
    basins: int
    depth: int  # greatest number of hops from a reach to its outlet
    orphans: tuple[Any, ...]  # ids of the reaches without neighbours
    distance: Spread  # of the edges, m
    weight: Spread  # of the edges in the row-normalised operator
    degree: Spread  # number of neighbours of a reach

    def _title(self) -> str:
        return f"river graph, {self.scale} scale"

    def facts(self) -> list[tuple[str, str]]:
        """List what is not in the table of spreads."""
        noun = {"coarse": "coarse segment", "fine": "fine reach"}[self.scale]
        ending = "" if self.nodes == 1 else "es" if self.scale == "fine" else "s"
        orphans = f"{len(self.orphans):,} ({shorten(self.orphans)})" if self.orphans else "none"
        return [
            ("nodes", f"{self.nodes:,} {noun}{ending}"),
            ("edges", f"{self.edges:,} besides the self-loops"),
            ("basins", f"{self.basins:,}, up to {_hops(self.depth)} deep"),
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


@dataclass(frozen=True)
class CrosswalkDescription(_Description):
    """How the two scales are linked."""

    kernel: str  # of the interpolation operator
    entries: int  # of the interpolation operator
    empty: int  # coarse segments without a fine reach
    reaches: Spread  # on a segment
    sources: Spread  # segments that a reach is interpolated from
    own: Spread  # weight of a reach's own segment

    def _title(self) -> str:
        return "crosswalk, coarse to fine"

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


@dataclass(frozen=True)
class GraphsDescription:
    """What :meth:`xmsgl.network.graph.RiverGraphs.describe` reports; ``str()`` gives three tables."""

    coarse: GraphDescription
    fine: GraphDescription
    crosswalk: CrosswalkDescription

    def __str__(self) -> str:
        return f"{self.coarse}\n\n{self.fine}\n\n{self.crosswalk}"

    @as_xarray_shows
    def _repr_html_(self) -> str:
        return "".join(part._repr_html_() for part in (self.coarse, self.fine, self.crosswalk))


def neighbour_rule(hops: int | None, limit: float | None, nearest: int | None, direction: str) -> str:
    """Describe how neighbours were chosen."""
    parts = [] if hops is None else [f"up to {_hops(hops)}"]
    if limit is not None and limit < sys.float_info.max:
        parts.append(f"within {limit:,.0f} m")
    if nearest is not None:
        parts.append(f"the nearest {nearest}")
    sides = "upstream and downstream" if direction == "both" else f"{direction} only"
    return ", ".join([*(parts or ["all on the flow path"]), sides])


def _hops(number: int) -> str:
    return f"{number:,} hop{'' if number == 1 else 's'}"


def text_block(title: str, facts: list[tuple[str, str]], spreads: list[tuple[str, Spread]]) -> str:
    """Write facts and spreads as aligned text."""
    wide = max(len(label) for label, _ in [*facts, *spreads]) + 2
    lines = [title, *(f"  {label:<{wide}}{text}" for label, text in facts)]
    lines.append(f"  {'':<{wide}}" + "".join(f"{head:>10}" for head in ("min", "mean", "max")))
    lines += [
        f"  {label:<{wide}}" + "".join(f"{cell:>10}" for cell in spread.cells()) for label, spread in spreads
    ]
    return "\n".join(lines)
