"""Training from a dataset: choose features, fit the scaling, build the graphs, run the loop."""

from __future__ import annotations

import inspect
import json
import logging
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl import schema
from xmsgl.inputs.batches import TrainingData
from xmsgl.inputs.neighbours import check_lengths, with_neighbours
from xmsgl.inputs.neighbours_fit import assign_neighbours
from xmsgl.inputs.season import assign_season, with_season
from xmsgl.models.file.model import ModelSpec
from xmsgl.prediction.operators import Operators
from xmsgl.prediction.prefetch import resolve_device
from xmsgl.schema.graphs import build_graph
from xmsgl.training.calibrate import calibrate, measure_spin_up
from xmsgl.training.checks import check_anchor, check_names, check_settings, stage_rates
from xmsgl.training.loop import LoopSettings
from xmsgl.training.members import Files, train_members
from xmsgl.training.provenance import provenance
from xmsgl.training.recipes import takes_recipe
from xmsgl.training.settings import check_fingerprint, settings_of
from xmsgl.training.source import DeviceBatches, label_scales
from xmsgl.training.stages import stages_of
from xmsgl.training.start import Start
from xmsgl.training.watch.watched import watched
from xmsgl.util.origin import origin_of
from xmsgl.util.writing import check_target

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import xarray as xr

    from xmsgl.inputs.validation import Validation
    from xmsgl.models.file.model import Model
    from xmsgl.training.stages import Stage
    from xmsgl.training.watch.standing import Observer
    from xmsgl.util.options import Progress

__all__ = ["train"]

logger = logging.getLogger(__name__)


@takes_recipe
def train(
    obj: xr.Dataset | xr.DataTree,
    method: str = "msgl",
    *,
    recipe: str | None = None,
    features: Sequence[str] | None = None,
    means: Sequence[int] | None = None,
    season: bool = False,
    neighbours: Sequence[float] = (),
    scaling: str = "shared",
    window: int = 365,
    warmup: int = 60,
    batch: int = 1,
    epochs: int = 60,
    pretrain: int | Sequence[int] | None = None,
    learning_rate: float | Sequence[float] = 0.005,
    clip: float | None = 3.0,
    patience: int | None = None,
    weighting: str = "uniform",
    average: float = 0.0,
    keep: str = "best",
    validation: Validation = 0.15,
    kernel: Any = None,
    hops: int | None = None,
    limit: float | None = None,
    nearest: int | None = None,
    direction: str = "both",
    seed: int = 0,
    device: str = "auto",
    ensemble: int = 1,
    identity: int = 0,
    amp: bool | None = None,
    start: Model | str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    tensorboard: str | os.PathLike[str] | None = None,
    observers: Sequence[Observer] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    fingerprint: str | None = None,
    **architecture: Any,
) -> Model:
    """Train a model on the labels that a dataset holds.

    What is to be held out is masked by setting its labels to NaN; nothing else is needed.

    Parameters
    ----------
    obj
        A dataset of the convention; validated first.
    method
        Name in the registry of methods: ``"msgl"`` (three tasks on both graphs), ``"async-msgl"`` (the
        same, after it has learned at every reach what the coarse task predicts there), ``"fine-only"``
        (fine graph alone), ``"remap"`` (coarse graph alone, carried to the reaches), ``"progressive"``
        (``fine-only`` after coarse observations and what they predict), ``"direct"`` (``fine-only``
        after a process model's ``simulated_temperature_coarse``).
    recipe
        Name of settings that replace the defaults of all arguments not given here: ``"published"`` is the
        method as Fan et al. (2025) describe it, see ``xmsgl.training.recipes``. Default: the package's own.
    features
        Base names of the inputs, in order; default: all drivers, means of air temperature over the days
        of `means`, and all static attributes.
    means
        Trailing means of air temperature among the default features, days each. Default: 7, 30 and 90;
        ``()`` for none, as published. Not together with `features`.
    season
        Add the time of year to the features, as its cosine and sine: spring and autumn differ in what
        the weather does not tell.
    neighbours
        E-folding lengths along the river, m, such as ``(10_000,)``. Each adds features that
        say how much warmer than a simple regression the observed segments around are, by the coarse labels
        of the dataset, a segment's own left out: see ``xmsgl.inputs.neighbours``. They help on reaches
        without a gauge that are near ones with; far from all they are 0, and on another basin too. The model
        keeps the anomalies, so that a prediction needs no labels. Labels of validation days count in
        them, of other segments only, so that a validation score is slightly too good. Default: none.
    scaling
        ``"shared"``: inputs and labels of both scales are standardised alike, with the coarse scale's
        inputs and the labels of both. ``"own"``: each scale with its own mean and deviation, as published;
        then a model may not be ``anchored``, for that adds up temperatures of both scales.
    window, warmup
        Scored days of a window, and days run before it to fill the memory.
    batch
        Windows in a batch.
    epochs
        Passes over the training windows, at most.
    pretrain
        How many of them, the first ones, belong to the stages before the last: ``"msgl"`` trains the
        coarse task alone, which is cheap, for its graph is small; for the others see
        :mod:`xmsgl.training.stages`. A list: of each of these stages. Default: the method's own share; none
        for ``"msgl"`` without coarse labels and for methods of one stage.
    learning_rate
        Of Adam at the start; times 0.3 after two thirds and five sixths of the epochs. A list: one for
        each stage of the method, which then is a training of its own: it begins with the weights kept of the
        stage before and with fresh moments, and its rate falls over its own epochs. So the coarse task of
        ``"async-msgl"`` can be finished before the others begin, and those go in small steps.
    clip
        Largest norm of the gradient; None: as long as it is.
    patience
        Epochs without a better validation score before stopping; None never stops early.
    weighting
        How the tasks' gradients are combined: ``"uniform"`` or ``"mgda"`` (as published), see
        ``xmsgl.training.weighting``.
    average
        Keep a running mean of the weights that holds on to this share of its past at each step, for
        example 0.98, and validate and return that mean; 0, the default, returns the weights themselves.
    keep
        ``"best"``: return the weights of the epoch with the lowest validation error. ``"last"``: those of
        the last epoch, as published. The stages before the last hand on theirs in the same way.
    validation
        Share of windows kept for choosing the best epoch, or days as slices, or None: learn from all
        and keep the last epoch. How far the model is off on these days also makes the intervals that
        ``ds.msgl.downscale(quantiles=...)`` gives; None gives none. See :mod:`xmsgl.training.calibrate`.
    kernel, hops, limit, nearest, direction
        The graphs, see ``ds.msgl.graph``.
    seed
        Draws initial weights, validation windows, the order of windows, and dropout. The same seed
        on the same device gives the same weights, bit for bit on CPU with the same number of threads.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    ensemble
        Members to train, one after another, with the seeds `seed`, `seed` + 1, ...; the mean of their
        predictions is the model's. They share data, validation days and graphs, and take as many times
        as long as one. Their mean is expected to err less than a member, as far as the members err
        differently (Lakshminarayanan et al. 2017); how much less, a score on held-out labels tells.
    identity
        Numbers to learn of each segment beyond its attributes, carried to its reaches by the
        crosswalk. 0, the default, learns none, as published. They help where nearly all segments
        have labels, and mislead on segments that have none.
    amp
        bfloat16 autocast; default: on a GPU only.
    start
        A model, its packaged name or the path of its file, whose weights to begin with: of another
        method, such as ``"remap"`` for the coarse task of ``"msgl"``, or trained on another basin. Its
        features, scaling, sizes and segments are kept, whatever `means` and `scaling` say, and so are the
        lengths of `neighbours`, whose anomalies are fitted to this dataset's coarse labels, if it has any.
        Default: fresh weights.
    progress
        What to draw of progress: True, a bar, and in a notebook the curves of losses and scores;
        ``"bar"``, the bar alone; False, nothing. Default: the option ``progress``.
    tensorboard
        Folder to write the history to as TensorBoard's event files, epoch by epoch. Default: none.
    observers
        Called with a ``xmsgl.training.watch.standing.Standing`` after each epoch, and once before the first.
    checkpoint
        File rewritten after every epoch; a kill leaves that of the epoch before.
    resume
        A checkpoint to continue from, with the same data and settings.
    fingerprint
        What the digest of the dataset's network, days and labels must be, as ``Model.spec.training`` has it:
        to train again on what another model was trained on, and on nothing else. Default: any.
    **architecture
        Arguments of the module: ``hidden``, ``backbone`` (``"rgcn"``, ``"lstm"``, ``"gat-lstm"``,
        ``"graph-wavenet"`` or ``"stgcn"``, see :mod:`xmsgl.models.backbones.registry`),
        ``recurrent_dropout`` and ``backend`` (of ``"rgcn"`` only), and for ``"msgl"`` also ``heads``,
        ``dropout``, ``anchored`` and ``tasks``; see :mod:`xmsgl.models.methods.msgl`.

    Returns
    -------
    Model
        With the weights of the epoch that was best on the validation days, or of the last, see `keep`; of
        an ensemble those of all members, and the history of one after another.

    Raises
    ------
    InvalidDatasetError
        The dataset has faults.
    InvalidArgumentError
        A setting does not fit, or the dataset its `fingerprint`.
    OutputError
        `checkpoint` cannot be written: its folder is missing, for example.
    MissingDependencyError
        `tensorboard` is given and TensorBoard is not installed.
    UnknownNameError
        No such method, recipe, scaling, weighting or `keep`.
    DivergenceError
        A loss is not finite.
    CheckpointError
        `resume` is not a checkpoint of this run.
    ModelMismatchError
        The dataset lacks a feature of `start`, or its weights do not fit.

    References
    ----------
    Fan et al. (2025), Multi-Scale Graph Learning for Anti-Sparse Downscaling, AAAI-25,
    doi:10.1609/aaai.v39i27.35014; Sener & Koltun (2018), arXiv:1810.04650 (MGDA); Lakshminarayanan,
    Pritzel & Blundell (2017), arXiv:1612.01474 (ensembles); Skøien, Merz & Blöschl (2006),
    doi:10.5194/hess-10-277-2006 (anomalies and correlation along the stream network).
    """
    arguments = dict(locals())  # before there are other names
    check_names(architecture, method, _defaults())
    check_settings(
        season=season,
        amp=amp,
        epochs=epochs,
        window=window,
        ensemble=ensemble,
        patience=patience,
        seed=seed,
        learning_rate=learning_rate,
        clip=clip,
        scaling=scaling,
        keep=keep,
        weighting=weighting,
        average=average,
    )
    if checkpoint is not None:
        check_target(checkpoint)
    watching = watched(progress, tensorboard)
    lengths = check_lengths(neighbours)
    ds = schema.as_dataset(obj)
    schema.validate(ds)
    target = resolve_device(device)
    begin = Start(start)
    around = begin.neighbours(ds, lengths)
    ds = assign_neighbours(ds, around)
    if seasonal := begin.season(season):
        ds = assign_season(ds)
    named = features if around is None else with_neighbours(features, around.lengths)
    chosen = begin.features(ds, with_season(named) if seasonal else named, means)
    segments = begin.segments(ds, identity)
    sizes = begin.architecture(method, architecture, identity, segments)
    module_of = partial(begin.module, method, sizes, len(chosen), target)
    module = module_of(seed)
    stages = stages_of(method, module.tasks, epochs, pretrain, **_coarse_teachers(ds))
    rates = stage_rates(learning_rate, stages)
    data = TrainingData(
        ds,
        chosen,
        scales=label_scales(_observed_tasks(stages)),
        window=window,
        warmup=warmup,
        validation=validation,
        batch=batch,
        seed=seed,
        context=module.input_scales,
        scaling=begin.scaling,
        own_scaling=scaling == "own",
    )
    check_anchor(module, data.scaling)
    graph = _graph_settings(ds, kernel=kernel, hops=hops, limit=limit, nearest=nearest, direction=direction)
    source = DeviceBatches(data, Operators.build(ds, graph, segments, target))
    settings = LoopSettings(
        epochs,
        stages,
        rates,
        clip,
        patience,
        weighting,
        seed,
        target.type == "cuda" if amp is None else amp,
        average,
        keep,
    )
    spec = ModelSpec(
        method=method,
        architecture=sizes,
        features=chosen,
        scaling=dict(data.scaling),
        graph=graph,
        segments=segments,
        window=window,
        warmup=warmup,
        training={**provenance(ds, data, seed, recipe), **begin.provenance},
        neighbours=around,
        network=begin.network(ds),
        first_day=str(data.time[0].date()),
    )
    check_fingerprint(spec.training["fingerprint"], fingerprint)
    logger.info(
        "training %s on %s: %d features, %s, %s to %s",
        method,
        target,
        len(chosen),
        ", ".join(f"{name} {count}" for name, count in spec.training["labels"].items()),
        spec.training["start"],
        spec.training["stop"],
    )
    run_of = {**spec.to_dict(), "loop": asdict(settings), "batch": batch}
    run_of |= {"ensemble": ensemble} if ensemble > 1 else {}
    noted = {"settings": settings_of(arguments, _defaults()), "data": origin_of(ds)}
    spec = replace(spec, training={**spec.training, **noted})
    with watching as watchers:
        model = train_members(
            spec,
            ensemble,
            lambda drawn: module if drawn == seed else module_of(drawn),
            source.drawn,
            settings,
            Files(checkpoint, resume, json.loads(json.dumps(run_of)), spec.training),
            [*watchers, *observers],
        )
    model = measure_spin_up(model, ds, str(target))
    return calibrate(model, ds, data.validation_days, source, stages[-1].tasks, str(target))


def _defaults() -> dict[str, Any]:
    return {name: each.default for name, each in inspect.signature(train).parameters.items()}


def _coarse_teachers(ds: xr.Dataset) -> dict[str, bool]:
    """Say which coarse temperatures there are to learn from before the last stage."""
    observed = ds.get("water_temperature_coarse")
    return {
        "coarse_labels": observed is not None and bool(np.isfinite(observed).any()),
        "process": schema.PROCESS_COARSE in ds,
    }


def _observed_tasks(stages: Sequence[Stage]) -> set[str]:
    """Return the tasks that learn from observed labels in some stage."""
    return {task for stage in stages if stage.labels == "observed" for task in stage.tasks}


def _graph_settings(ds: xr.Dataset, **arguments: Any) -> dict[str, Any]:
    """Return graph arguments as plain values, with the kernel written out."""
    graph = build_graph(ds, "coarse", **arguments)
    return {**arguments, "kernel": graph.settings()["kernel"]}
