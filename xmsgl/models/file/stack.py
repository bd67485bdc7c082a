"""A stack: the weighted mean of models of any method, as one model in one file.

References
----------
Breiman (1996), Stacked regressions, doi:10.1007/BF00117832.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.file.model import Model, join_histories

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xmsgl.inputs.features import Scaling
    from xmsgl.models.file.spec import ModelSpec
    from xmsgl.util.scales import Scale

__all__ = ["stack_models"]


def stack_models(models: Sequence[Model], shares: Sequence[float]) -> Model:
    """Combine models that were trained on one dataset, with windows of the same length.

    The shares are at least 0, with the sum 1. The stack has no intervals, because the residuals of the mean
    are unknown. The effect of a record's start is at most the weighted mean of that of the models.
    """
    specs = [model.spec for model in models]
    if len(models) < 2 or any(spec.parts for spec in specs):
        msg = "a stack needs two models or more, and none that is a stack itself"
        raise InvalidArgumentError(msg)
    if len({(spec.window, spec.first_day) for spec in specs}) > 1:
        found = ", ".join(f"{spec.window} days from {spec.first_day}" for spec in specs)
        msg = f"the models of a stack must have the same windows; these have windows of {found}"
        raise InvalidArgumentError(msg)
    if len(shares) != len(models) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        msg = f"shares must be {len(models)} numbers of at least 0 whose sum is 1, got {list(shares)}"
        raise InvalidArgumentError(msg)
    rows = [spec.spin_up for spec in specs]
    spin_up = [
        (same[0][0], round(sum(share * rms for share, (_, rms) in zip(shares, same, strict=True)), 3))
        for same in (zip(*rows, strict=True) if all(rows) else ())
    ]
    labels = {name: count for spec in specs for name, count in spec.training.get("labels", {}).items()}
    features = {feature.label: feature for spec in specs for feature in spec.features}
    spec = replace(
        specs[0],
        scaling={scale: _joined(specs, scale, features) for scale in specs[0].scaling},
        training={**specs[0].training, "labels": labels},
        method="stack",
        architecture={},
        features=tuple(features.values()),
        segments=tuple(dict.fromkeys(segment for spec in specs for segment in spec.segments)),
        warmup=max(spec.warmup for spec in specs),
        members=1,
        intervals=None,
        neighbours=next((spec.neighbours for spec in specs if spec.neighbours), None),
        spin_up=tuple(spin_up),
        held=(),
        errors={},
        parts=tuple(replace(spec, intervals=None) for spec in specs),
        shares=tuple(map(float, shares)),
    )
    weights = {f"part{k}/{name}": w for k, model in enumerate(models) for name, w in model.weights.items()}
    return Model(spec, weights, join_histories(models, "part"))


def _joined(specs: Sequence[ModelSpec], scale: Scale, features: Iterable[str]) -> Scaling:
    """Return the moments of the features of all parts; a feature of several has those of the first."""
    moments: dict[str, tuple[float, float]] = {}
    for spec in reversed(specs):
        own = spec.scaling[scale]
        labels = [feature.label for feature in spec.features]
        moments |= dict(zip(labels, zip(own.mean, own.deviation, strict=True), strict=True))
    mean, deviation = zip(*(moments[label] for label in features), strict=True)
    return replace(specs[0].scaling[scale], mean=mean, deviation=deviation)
