"""Train the parts of a stack, and their shares in its prediction.

References
----------
Breiman (1996), Stacked regressions, doi:10.1007/BF00117832: weights that are not negative, from predictions
of observations that the parts were not fitted to.
"""

from __future__ import annotations

import logging
from dataclasses import replace
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

    from xmsgl.training.prepare import Prepared
    from xmsgl.training.settings import TrainSettings
    from xmsgl.training.start import Start

__all__ = ["join_parts", "prepare_parts", "shares_of"]

logger = logging.getLogger(__name__)


def prepare_parts(
    ds: xr.Dataset, settings: TrainSettings, begin: Start, device: torch.device
) -> list[Prepared]:
    """Prepare the parts of a stack, with the same observations kept for validation."""
    if begin.scaling is not None:
        msg = "'stack' cannot start from another model; leave start out"
        raise InvalidArgumentError(msg)
    split = split_labels(
        ds, SCALES, window=settings.window, validation=settings.validation, seed=settings.seed
    )
    return [prepare(ds, part, begin, device, split) for part in settings.parts]


def join_parts(
    validated: Sequence[Model], prepared: Sequence[Prepared], final: Sequence[Model], device: str
) -> Model:
    """Join the final models, weighed by the errors of the validated ones at the fine observations kept."""
    pairs = [
        fine_pairs(model, ready.ds, ready.split.kept, device)
        for model, ready in zip(validated, prepared, strict=True)
    ]
    predicted = np.array([part for part, _, _ in pairs], np.float64)
    _, observed, segment = pairs[0]
    if observed.size < LEAST:
        logger.warning(
            "fewer than %d fine observations are kept for validation, so all parts of the stack have the "
            "same share; keep more of them to weigh the parts by their errors",
            LEAST,
        )
        return stack_models(final, [1 / len(final)] * len(final))
    shares = shares_of(predicted, observed)
    logger.info("shares: %s", ", ".join(f"{m.method} {s:.3f}" for m, s in zip(final, shares, strict=True)))
    joined = stack_models(final, shares.tolist())
    whole = prepared[0].split.held["coarse"].any()
    table = fit_table(shares @ predicted, observed, "fine", segment if whole else None)
    return Model(replace(joined.spec, intervals=table), joined.weights, joined.history)


def shares_of(predicted: npt.ArrayLike, observed: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return weights of at least 0 with the sum 1 that minimise the squared error of the weighted mean.

    Shapes: `predicted` (part, n), `observed` (n,), returns (part,).
    """
    error = np.asarray(predicted, np.float64) - np.asarray(observed, np.float64)
    # The sum of 1 makes the error of the mean the mean of the errors. Their product matrix holds all that
    # the squared error depends on; the last row, far heavier than the others, demands the sum.
    values, vectors = np.linalg.eigh(error @ error.T / error.shape[1])
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    heavy = 1e4 * max(float(np.abs(root).max()), 1.0)
    system = np.vstack([root, np.full(len(error), heavy)])
    found, _ = nnls(system, np.append(np.zeros(len(error)), heavy))
    shares: npt.NDArray[np.float64] = found / found.sum()
    return shares
