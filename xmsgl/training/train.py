"""Training from a dataset: settings, preparation, the loop, and the errors of the result."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xmsgl import schema
from xmsgl.inputs.days import BlockCache
from xmsgl.inputs.neighbours_fit import has_labels
from xmsgl.models.file.model import Model
from xmsgl.prediction.prefetch import resolve_device
from xmsgl.reconstruct.fit import fit_errors
from xmsgl.training.calibrate import calibrate, measure_spin_up
from xmsgl.training.checkpoint import check_checkpoint
from xmsgl.training.members import train_members
from xmsgl.training.recipes import FINE_PARTS
from xmsgl.training.settings import STACK, TrainSettings
from xmsgl.training.stacking import join_parts, prepare_all
from xmsgl.training.start import Start
from xmsgl.training.team import Team
from xmsgl.training.threads import repeatable
from xmsgl.training.watch.watched import watched
from xmsgl.util.arguments import checked
from xmsgl.util.memory import training_memory
from xmsgl.util.options import get_option

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import xarray as xr

    from xmsgl.inputs.validation import Validation
    from xmsgl.training.prepare import Prepared
    from xmsgl.training.watch.standing import Observer
    from xmsgl.util.options import Progress

__all__ = ["train"]

logger = logging.getLogger(__name__)


@checked
@repeatable()
def train(
    obj: xr.Dataset | xr.DataTree,
    method: str | None = None,
    *,
    recipe: str | None = None,
    epochs: int | None = None,
    validation: Validation = "default",
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
        ``"msgl"``, ``"async-msgl"``, ``"dynamic-msgl"``, ``"fine-only"``, ``"remap"``, ``"progressive"``,
        ``"direct"``, ``"trees"`` or ``"stack"``. Default: ``"stack"``, the weighted mean of ``"msgl"`` and
        ``"trees"`` (of fine observations where there are no coarse ones); with a recipe that of the recipe,
        or else ``"msgl"``; with `start` that of its model.
    recipe
        Name of a set of settings: ``"gauged"`` has the lowest error at reaches with a gauge on their segment,
        ``"ungauged"`` has intervals for reaches without one, ``"sensors"`` is for ``ds.msgl.reconstruct``,
        ``"quick"`` takes a minute, ``"published"`` is the method as described by Fan et al. (2025). Default:
        the settings of the package.
    epochs
        Maximum number of passes over the training windows of a network. Default: that of the recipe, else
        30, and more where these are fewer than 1000 steps.
    validation
        Observations kept to choose the best epoch and to calibrate intervals: those of a fraction of the
        windows, of date ranges such as ``"2011-10-01/2012-09-30"``, of whole ``"segments"``, of each of
        five ``"folds"`` of the segments in turn, or None. ``"default"``: those of the recipe, else 0.15.
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
        Called with a :class:`xmsgl.training.watch.standing.Standing` before the first epoch and after each;
        where members are trained on the workers of a Dask cluster, after each member.
    checkpoint
        File rewritten after every epoch, or member. No other file is replaced.
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
        A setting does not exist, its value is invalid, or it is that of a single model and no method is
        named.
    UnknownNameError
        No such method, recipe, scaling, weighting or ``keep``.
    DivergenceError
        A loss is not finite.
    CheckpointError
        `resume` is not a checkpoint of the same run, or `checkpoint` exists and is none.
    ModelMismatchError
        The dataset lacks a feature of `start`, or the shapes of its weights differ.

    Notes
    -----
    In the processes of ``torch.distributed`` each step has `batch` windows for each of them, and all return
    the model of one process with as many windows in a step. The first one alone observes and writes.

    References
    ----------
    Fan et al. (2025), Multi-Scale Graph Learning for Anti-Sparse Downscaling, AAAI-25,
    doi:10.1609/aaai.v39i27.35014.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=3, years=1)
    >>> model = train(ds, "msgl", epochs=2, window=60, warmup=10, progress=False)
    >>> model.method
    'msgl'
    """
    given = settings if epochs is None else {**settings, "epochs": epochs}
    if not (isinstance(validation, str) and validation == "default"):
        given = {**given, "validation": validation}
    begin, cache = Start(start), BlockCache(training_memory())
    method = method or (begin.method if recipe is None else None)
    chosen = TrainSettings.of(method, recipe=recipe, seed=seed, **given)
    if checkpoint is not None:
        check_checkpoint(checkpoint)
    watching = watched(progress, observers) if Team.current().leads else watched(False, ())
    ds = schema.as_dataset(obj)
    schema.validate(ds)
    target = resolve_device(device)
    if chosen.method == STACK and recipe is None and "parts" not in given and not has_labels(ds):
        chosen = replace(chosen, architecture={"parts": FINE_PARTS})
    prepared = prepare_all(ds, chosen, begin, target, cache)
    if chosen.refit and chosen.validation is not None:
        prepared += prepare_all(ds, chosen.again, begin, target, cache)
    prepared = [_noted(ready, chosen, recipe) for ready in prepared]
    training = prepared[0].spec.training
    logger.info(
        "training %s on %s: %s, %s to %s",
        chosen.method,
        target,
        ", ".join(f"{name} {count}" for name, count in training["labels"].items()),
        training["start"],
        training["stop"],
    )
    with watching as watchers:
        models = train_members(prepared, checkpoint=checkpoint, resume=resume, observers=watchers)
    folds = max(1, chosen.folds)
    count = folds * (len(chosen.parts) or 1)
    # The start of the record has the same effect on each fold.
    parts = count // folds
    measured = [
        measure_spin_up(model, ready.ds, str(target))
        for model, ready in zip(models[-count:][:parts], prepared[-count:], strict=False)
    ]
    final = measured + [
        Model(replace(model.spec, spin_up=measured[k % parts].spec.spin_up), model.weights, model.history)
        for k, model in enumerate(models[-count:][parts:])
    ]
    if count > 1:
        joined = join_parts(models[:count], prepared[:count], final, folds, str(target))
        return fit_errors(ds, joined, folds, chosen.seed, str(target)) if chosen.folds else joined
    ready, tasks = prepared[0], prepared[0].loop.stages[-1].tasks
    first = models[0] if chosen.refit else final[0]
    table = calibrate(first, ready.ds, ready.split.kept, ready.source, tasks, str(target))
    return Model(replace(final[0].spec, intervals=table), final[0].weights, final[0].history)


def _noted(ready: Prepared, settings: TrainSettings, recipe: str | None) -> Prepared:
    """Keep the settings of the whole training, and the name of its recipe, in the provenance of a model."""
    noted: dict[str, Any] = {"settings": settings.differing()}
    noted |= {} if recipe is None else {"recipe": recipe}
    noted |= {"deterministic": True} if get_option("deterministic") else {}
    return replace(ready, spec=replace(ready.spec, training={**ready.spec.training, **noted}))
