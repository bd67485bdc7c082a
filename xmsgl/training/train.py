"""Training from a dataset: settings, preparation, the loop, and the errors of the result."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xmsgl import schema
from xmsgl.prediction.prefetch import resolve_device
from xmsgl.training.calibrate import calibrate, measure_spin_up
from xmsgl.training.members import train_members
from xmsgl.training.prepare import prepare
from xmsgl.training.settings import TrainSettings
from xmsgl.training.start import Start
from xmsgl.training.watch.watched import watched
from xmsgl.util.writing import check_target

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import xarray as xr

    from xmsgl.inputs.validation import Validation
    from xmsgl.models.file.model import Model
    from xmsgl.training.watch.standing import Observer
    from xmsgl.util.options import Progress

__all__ = ["train"]

logger = logging.getLogger(__name__)


def train(
    obj: xr.Dataset | xr.DataTree,
    method: str = "msgl",
    *,
    recipe: str | None = None,
    epochs: int | None = None,
    validation: Validation = 0.15,
    seed: int = 0,
    start: Model | str | os.PathLike[str] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    observers: Sequence[Observer] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> Model:
    """Train a model on the observations of a dataset; set those to hold out to NaN.

    Parameters
    ----------
    obj
        A dataset of the convention; validated first.
    method
        ``"msgl"``, ``"async-msgl"``, ``"fine-only"``, ``"remap"``, ``"progressive"``, ``"direct"`` or
        ``"trees"``.
    recipe
        Name of a set of settings: ``"published"`` is the method as described by Fan et al. (2025). Default:
        the settings of the package.
    epochs
        Maximum number of passes over the training windows. Default: that of the recipe, else 60.
    validation
        Observations kept to choose the best epoch and to calibrate intervals: those of a fraction of the
        windows, of date ranges such as ``"2011-10-01/2012-09-30"``, of whole ``"segments"``, or None.
    seed
        Seed of initial weights, validation windows, the order of windows, and dropout.
    start
        A model, its packaged name or the path of its file, whose weights training starts from: of another
        method, such as ``"remap"`` for the coarse task of ``"msgl"``, or of another basin. Its features,
        scaling, sizes and segments are kept; its neighbour anomalies are fitted to the coarse labels of this
        dataset, if it has any. Default: new weights.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    progress
        True: a bar, and curves in a notebook; ``"bar"``: the bar only; False: nothing. Default: the option
        ``progress``.
    observers
        Called with a :class:`xmsgl.training.watch.standing.Standing` before the first epoch and after each.
    checkpoint
        File rewritten after every epoch.
    resume
        A checkpoint to continue from, with the same data and settings.
    **settings
        Any other of :class:`xmsgl.training.settings.TrainSettings`, such as ``hidden=32`` or ``hops=10``.

    Returns
    -------
    Model
        With the weights of the epoch with the lowest validation error, and its residuals on those days. Of
        trees, an epoch is one more tree.

    Raises
    ------
    InvalidDatasetError
        The dataset has faults.
    InvalidArgumentError
        A setting does not exist, or its value is invalid.
    UnknownNameError
        No such method, recipe, scaling, weighting or ``keep``.
    DivergenceError
        A loss is not finite.
    CheckpointError
        `resume` is not a checkpoint of the same run.
    ModelMismatchError
        The dataset lacks a feature of `start`, or the shapes of its weights differ.
    MissingDependencyError
        ``"trees"`` without scikit-learn.

    References
    ----------
    Fan et al. (2025), Multi-Scale Graph Learning for Anti-Sparse Downscaling, AAAI-25,
    doi:10.1609/aaai.v39i27.35014.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=3, years=1)
    >>> model = train(ds, epochs=2, window=60, warmup=10, progress=False)
    >>> model.method
    'msgl'
    """
    given = settings if epochs is None else {**settings, "epochs": epochs}
    chosen = TrainSettings.of(method, recipe=recipe, validation=validation, seed=seed, **given)
    if checkpoint is not None:
        check_target(checkpoint)
    watching = watched(progress, observers)
    ds = schema.as_dataset(obj)
    schema.validate(ds)
    target = resolve_device(device)
    ready = prepare(ds, chosen, Start(start), target)
    if recipe is not None:
        ready = replace(ready, spec=replace(ready.spec, training={**ready.spec.training, "recipe": recipe}))
    training = ready.spec.training
    logger.info(
        "training %s on %s: %d features, %s, %s to %s",
        method,
        target,
        len(ready.spec.features),
        ", ".join(f"{name} {count}" for name, count in training["labels"].items()),
        training["start"],
        training["stop"],
    )
    with watching as watchers:
        model = train_members(
            ready, chosen.ensemble, checkpoint=checkpoint, resume=resume, observers=watchers
        )
    model = measure_spin_up(model, ready.ds, str(target))
    tasks = ready.loop.stages[-1].tasks
    return calibrate(model, ready.ds, ready.split.kept, ready.source, tasks, str(target))
