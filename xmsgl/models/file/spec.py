"""The specification of a model: everything in its file but weights and history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from xmsgl.inputs.features import Feature, Scaling
from xmsgl.inputs.neighbours import Neighbours
from xmsgl.models.file.covariance import ErrorCovariance, ErrorKind
from xmsgl.models.file.intervals import IntervalTable
from xmsgl.network.known import KnownSegments
from xmsgl.util.plain import OPTIONAL, read_plain
from xmsgl.util.scales import Scale

__all__ = ["ModelSpec"]


@dataclass(frozen=True)
class ModelSpec:
    """A model without its weights; stored as JSON in the metadata of the file."""

    method: str
    architecture: dict[str, Any]  # arguments of the module except the number of features
    features: tuple[Feature, ...]  # in the order of the inputs
    scaling: dict[Scale, Scaling]
    graph: dict[str, Any]  # arguments of xmsgl.schema.graphs.build_graph
    segments: tuple[Any, ...]  # ids of the segments with learned identities, in the order of their table
    window: int  # scored days of a window
    warmup: int  # days before them
    training: dict[str, Any] = field(default_factory=dict)  # period, seed, labels, versions, fingerprint
    members: int = field(default=1, metadata=OPTIONAL)  # modules whose mean is the prediction
    intervals: IntervalTable | None = field(default=None, metadata=OPTIONAL)
    # Observed segments of the neighbour anomalies.
    neighbours: Neighbours | None = field(default=None, metadata=OPTIONAL)
    network: KnownSegments = field(default_factory=lambda: KnownSegments((), (), ()))  # in training
    first_day: str = "1970-01-01"  # from which windows are counted, whatever the first day of a record
    # RMS change of the temperature, degC, on some days from 1 after a record was cut; empty: not measured.
    spin_up: tuple[tuple[int, float], ...] = ()
    # Ids of the segments with observations that were kept for validation.
    held: tuple[Any, ...] = field(default=(), metadata=OPTIONAL)
    # Covariance between places and days, of reaches without and with a gauge in training; empty: unknown.
    errors: Mapping[ErrorKind, ErrorCovariance] = field(default_factory=dict, metadata=OPTIONAL)
    # Of a stack: its parts, and the share of each in the prediction. The features are those of all parts.
    parts: tuple[ModelSpec, ...] = field(default=(), metadata=OPTIONAL)
    shares: tuple[float, ...] = field(default=(), metadata=OPTIONAL)

    def to_dict(self) -> dict[str, Any]:
        """Return the specification as plain values for JSON, without optional parts that are absent."""
        parts = [part.to_dict() for part in self.parts]
        values = {**asdict(replace(self, parts=())), "parts": parts}
        if self.members == 1:
            del values["members"]
        absent = ("intervals", "neighbours", "held", "errors", "parts", "shares")
        return {name: value for name, value in values.items() if value or name not in absent}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelSpec:
        """Make a specification from what :meth:`to_dict` returned."""
        spec: ModelSpec = read_plain(cls, values, "spec")
        return spec
