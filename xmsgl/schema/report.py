"""The summary of a valid dataset that ``validate`` returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from xmsgl.errors import shorten
from xmsgl.util.html import as_xarray_shows, card, facts, table

__all__ = ["FeatureSource", "ValidationReport"]


@dataclass(frozen=True)
class FeatureSource:
    """A feature, and its source at the fine scale."""

    name: str  # base name
    role: Literal["driver", "static"]
    units: str
    fine: str  # "own", "inherited" from the segment, or "inherited, corrected for height"


@dataclass(frozen=True)
class ValidationReport:
    """Summary of a dataset without faults; prints as a table."""

    segments: int
    reaches: int
    days: int
    start: str  # first day, ISO
    end: str
    outlets_coarse: int | None  # None where the topology was not read
    outlets_fine: int | None
    labels_coarse: int | None  # number of observations; None where not counted (values=False)
    labels_fine: int | None
    links: int | None  # reaches that flow into a reach on another segment; None where not checked
    aside: tuple[tuple[Any, Any], ...]  # ids of the links to a segment neither downstream nor upstream
    features: tuple[FeatureSource, ...]  # drivers, then static attributes, each sorted by name

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)

    def _rows(self) -> list[tuple[str, str, str]]:
        return [
            ("", "coarse", "fine"),
            ("nodes", f"{self.segments:,}", f"{self.reaches:,}"),
            ("outlets", _count(self.outlets_coarse), _count(self.outlets_fine)),
            ("labels", _count(self.labels_coarse), _count(self.labels_fine)),
        ]

    def _period(self) -> str:
        return f"{self.days:,} days, {self.start} to {self.end}"

    def __str__(self) -> str:
        table = [f"  {what:<8} {coarse:>14} {fine:>14}" for what, coarse, fine in self._rows()]
        wide = max((len(feature.name) for feature in self.features), default=0)
        units = max((len(feature.units) for feature in self.features), default=0)
        lines = [
            f"  {feature.name:<{wide}}  {feature.role:<6}  {feature.units:<{units}}  fine: {feature.fine}"
            for feature in self.features
        ]
        return "\n".join([f"valid dataset: {self._period()}", *table, *self._asides(), "features", *lines])

    def _asides(self) -> list[str]:
        if not self.aside:
            return []
        pairs = shorten([f"{reach} -> {below}" for reach, below in self.aside], 3)
        return [f"{len(self.aside)} of {self.links:,} links between segments leave the coarse river: {pairs}"]

    @as_xarray_shows
    def _repr_html_(self) -> str:
        head, *rows = self._rows()
        features = [[f.name, f.role, f.units, f.fine] for f in self.features]
        return card(
            "valid dataset",
            table(head, rows),
            *(facts([("crosswalk", text)]) for text in self._asides()),
            table(["feature", "role", "units", "fine scale"], features, words=4),
            about=self._period(),
        )


def _count(number: int | None) -> str:
    return "not counted" if number is None else f"{number:,}"
