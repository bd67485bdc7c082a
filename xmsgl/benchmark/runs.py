"""One run of a benchmark, and what several have in common."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Run", "in_common"]


@dataclass(frozen=True)
class Run:
    """One method, trained and scored once.

    Attributes
    ----------
    dataset
        Name of a source, see :mod:`xmsgl.benchmark.sources`.
    protocol
        ``"temporal"``, ``"spatial"``, ``"kfold"``, or one with sensors, such as ``"gaps-30"``.
    method
        Name of a contender, see :mod:`xmsgl.benchmark.methods`.
    fraction
        Fraction of the fine labels to learn from; None for a method that uses none of them.
    seed
        Seed of the method: initial weights, order of windows. 0 for a method without random numbers.
    draw
        Seed of the split: labels kept, segments held out, basin simulated. 0 where nothing is drawn.
    settings
        Arguments of the method.
    data
        Arguments of the dataset.
    degrade
        Errors added before the split, see :func:`xmsgl.benchmark.degrade.degrade`.
    """

    dataset: str
    protocol: str
    method: str
    fraction: float | None
    seed: int
    draw: int
    settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    degrade: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the run as plain values for JSON."""
        return asdict(self)

    @property
    def id(self) -> str:
        """Name of the run and of its folder, made of its main values and a digest of all of them.

        Examples
        --------
        >>> Run("simulated", "temporal", "msgl", 0.01, seed=0, draw=0).id
        'simulated-temporal-msgl-0.01-s0d0-8a4291b1e1'
        """
        content = json.dumps(self.to_dict(), sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()[:10]
        amount = "any" if self.fraction is None else f"{self.fraction:g}"
        words = (self.dataset, self.protocol, self.method, amount, f"s{self.seed}d{self.draw}")
        return "-".join(re.sub(r"[^\w.-]", "_", word) for word in (*words, digest))


def in_common(mappings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the names and values that are in all of the mappings."""
    first = mappings[0] if mappings else {}
    return {
        name: value
        for name, value in first.items()
        if all(name in other and other[name] == value for other in mappings)
    }
