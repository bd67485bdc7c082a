"""The parts of a stack and the folds of the segments: their preparation, and their shares in the prediction.

References
----------
Breiman (1996), Stacked regressions, doi:10.1007/BF00117832: weights that are not negative, from predictions
of observations that the parts were not fitted to.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls

from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.validation import split_labels
from xmsgl.models.file.intervals import LEAST, fit_table
from xmsgl.models.file.model import Model
from xmsgl.models.file.stack import stack_models
from xmsgl.training.calibrate import fine_pairs
from xmsgl.training.prepare import prepare
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import torch
    import xarray as xr

    from xmsgl.inputs.days import BlockCache
    from xmsgl.training.prepare import Prepared
    from xmsgl.training.settings import TrainSettings
    from xmsgl.training.start import Start

__all__ = ["join_parts", "prepare_all", "shares_of"]

logger = logging.getLogger(__name__)

_SHRINK = 1.0  # of shares learned on segments; what a few segments prefer, others often do not


def prepare_all(
    ds: xr.Dataset,
    settings: TrainSettings,
    begin: Start,
    device: torch.device,
    cache: BlockCache | None = None,
) -> list[Prepared]:
    """Prepare the trainings of a model: one for each part of a stack in each fold of the segments.

    The parts of a fold keep the same observations for validation.
    """
    if not (settings.parts or settings.folds):
        return [prepare(ds, settings, begin, device, cache=cache)]
    if settings.parts and begin.scaling is not None:
        msg = "'stack' cannot start from another model; leave start out"
        raise InvalidArgumentError(msg)
    split = partial(
        split_labels, ds, SCALES, window=settings.window, validation=settings.validation, seed=settings.seed
    )
    splits = [split(fold=fold) for fold in range(max(1, settings.folds))]
    return [
        prepare(ds, part, begin, device, kept, cache)
        for kept in splits
        for part in settings.parts or [settings]
    ]


def join_parts(
    validated: Sequence[Model], prepared: Sequence[Prepared], final: Sequence[Model], folds: int, device: str
) -> Model:
    """Join the final models, weighed by the errors of the validated ones at the fine observations kept."""
    count = len(validated) // folds
    # In folds, the observations of the segments that were left out; those of the years are of known gauges.
    kept = [
        replace(r.split, validation=np.zeros_like(r.split.validation)) if folds > 1 else r.split
        for r in prepared
    ]
    found = [
        fine_pairs(model, ready.ds, split.kept, device)
        for model, ready, split in zip(validated, prepared, kept, strict=True)
    ]
    # The pairs of a part in all folds, one after the other.
    predicted = np.array(
        [np.concatenate([pairs[0] for pairs in found[k::count]]) for k in range(count)], np.float64
    )
    observed, segment = (np.concatenate([pairs[which] for pairs in found[::count]]) for which in (1, 2))
    if observed.size < LEAST:
        if count > 1:
            logger.warning(
                "fewer than %d fine observations are kept for validation, so all parts of the stack have the "
                "same share; keep more of them to weigh the parts by their errors",
                LEAST,
            )
        return stack_models(final, [1 / len(final)] * len(final))
    whole = prepared[0].split.held["coarse"].any()
    shares = shares_of(predicted, observed, _SHRINK if whole else 0.0)
    logger.info("shares: %s", ", ".join(f"{m.method} {s:.3f}" for m, s in zip(final, shares, strict=False)))
    joined = stack_models(final, np.tile(shares / folds, folds).tolist())
    table = fit_table(shares @ predicted, observed, "fine", segment if whole else None)
    return Model(replace(joined.spec, intervals=table), joined.weights, joined.history)


def shares_of(
    predicted: npt.ArrayLike, observed: npt.ArrayLike, shrink: float = 0.0
) -> npt.NDArray[np.float64]:
    """Return weights of at least 0 with the sum 1 that minimise the squared error of the weighted mean.

    Added to it is `shrink` times the mean squared error of the parts times the squared distance from equal
    weights. Shapes: `predicted` (part, n), `observed` (n,), returns (part,).
    """
    error = np.asarray(predicted, np.float64) - np.asarray(observed, np.float64)
    # The sum of 1 makes the error of the mean the mean of the errors. Their product matrix holds all that
    # the squared error depends on; the last row, far heavier than the others, demands the sum.
    values, vectors = np.linalg.eigh(error @ error.T / error.shape[1])
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    count, heavy = len(error), 1e4 * max(float(np.abs(root).max()), 1.0)
    drawn = np.sqrt(shrink * np.maximum(values, 0.0).mean())
    system = np.vstack([root, drawn * np.eye(count), np.full(count, heavy)])
    found, _ = nnls(system, np.concatenate([np.zeros(count), np.full(count, drawn / count), [heavy]]))
    shares: npt.NDArray[np.float64] = found / found.sum()
    return shares
