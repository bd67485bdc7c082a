"""What a valid dataset holds: the answer of ``validate``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from xmsgl.errors import shorten
from xmsgl.util.html import as_xarray_shows, card, facts, table

__all__ = ["FeatureSource", "ValidationReport"]


@dataclass(frozen=True)
class FeatureSource:
    """A feature, and where the reaches have it from.

    Parameters
    ----------
    name
        Base name.
    role
        ``"driver"`` (daily) or ``"static"``.
    units
        As the dataset states them.
    fine
        ``"own"``, ``"inherited"`` from the segment, or ``"inherited, corrected for height"``.
    """

    name: str
    role: Literal["driver", "static"]
    units: str
    fine: str


@dataclass(frozen=True)
class ValidationReport:
    """Summary of a dataset without faults; prints as a table.

    Parameters
    ----------
    segments, reaches, days
        Sizes of ``coarse``, ``fine`` and ``time``.
    start, end
        First and last day, ISO.
    outlets_coarse, outlets_fine
        How many segments and reaches leave the network; None when not looked at.
    labels_coarse, labels_fine
        How many observed values; None when not counted (``values=False``).
    links
        How many reaches flow into one on another segment; None when not looked at.
    aside
        Of these the links that leave the coarse river, to a segment neither downstream nor upstream: ids of
        the reach and of the one it flows into. Two sources of the same rivers seldom agree everywhere.
    features
        Drivers, then static attributes, each in order of name.
    """

    segments: int
    reaches: int
    days: int
    start: str
    end: str
    outlets_coarse: int | None
    outlets_fine: int | None
    labels_coarse: int | None
    labels_fine: int | None
    links: int | None
    aside: tuple[tuple[Any, Any], ...]
    features: tuple[FeatureSource, ...]

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
