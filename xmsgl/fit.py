"""Training from a dataset: choose features, fit the scaling, build the graphs, run the loop."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr

from xmsgl import schema
from xmsgl.batches import PROCESS, HostBatch, TrainingData, Validation
from xmsgl.calibrate import calibrate
from xmsgl.engine import resolve_device
from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.fit_members import Files, train_members
from xmsgl.graphs import build_graph
from xmsgl.models.model import Model, ModelSpec, load_model
from xmsgl.models.registry import TASK_SCALES, create_model
from xmsgl.models.start import begin_with, shared_architecture
from xmsgl.operators import Operators
from xmsgl.prefetch import prefetch, to_device
from xmsgl.recipes import takes_recipe
from xmsgl.train.loop import KEEPS, LabelledBatch, LoopSettings
from xmsgl.train.stages import Stage, stages_of
from xmsgl.windows import SCALES, Scale, choose_features
from xmsgl.windows_check import check_features

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from xmsgl.features import Feature, Scaling
    from xmsgl.models.registry import NetworkModel

logger = logging.getLogger("xmsgl")

#: How inputs and labels are standardised.
SCALINGS: dict[str, str] = {
    "shared": "one mean and deviation for both scales: the same water has the same number on either",
    "own": "each scale has its own, as published",
}


class DeviceBatches:
    """Batches of a dataset on a device: the :class:`~xmsgl.train.loop.Source` of the loop.

    Parameters
    ----------
    data
        Labels and inputs.
    operators
        The graphs, on the device.
    """

    def __init__(self, data: TrainingData, operators: Operators) -> None:
        self._data, self._operators = data, operators
        self._few, self._few_operators = _pruned(data, operators)
        self.deviation: Mapping[str, float] = {
            scale: scaling.label_deviation for scale, scaling in data.scaling.items()
        }

    def training(self, epoch: int, stage: Stage) -> Iterator[LabelledBatch]:
        """Batches of an epoch."""
        operators = self._few_operators if stage.labels == "observed" else self._operators
        return self._ahead(self._host_batches(epoch, stage), operators)

    def validation(self, tasks: Collection[str]) -> Iterator[LabelledBatch]:
        """Batches to judge by; none for tasks whose observations the method does not use."""
        scales = [scale for scale in label_scales(tasks) if scale in self._data.scales]
        batches = self._few.validation_batches(scales) if scales else ()
        return self._ahead(batches, self._few_operators)

    def drawn(self, seed: int) -> DeviceBatches:
        """Return the same batches in the order of another seed; the validation days stay."""
        other = copy.copy(self)
        other._data, other._few = copy.copy(self._data), copy.copy(self._few)
        other._data.seed = other._few.seed = seed
        return other

    def _host_batches(self, epoch: int, stage: Stage) -> Iterator[HostBatch]:
        if stage.labels == "process":
            return self._data.process_batches(epoch)
        if stage.labels == "carried":  # the coarse inputs are for who predicts the labels
            return self._data.unlabelled_batches(epoch, SCALES if "fine" in stage.tasks else ("coarse",))
        return self._few.training_batches(epoch, label_scales(stage.tasks))

    def _ahead(self, batches: Iterable[HostBatch], operators: Operators) -> Iterator[LabelledBatch]:
        return prefetch(batches, lambda host: self._put(host, operators), operators.coarse.device)

    def _put(self, host: HostBatch, operators: Operators) -> LabelledBatch:
        device = operators.coarse.device
        labels = {str(scale): to_device(values, device) for scale, values in host.labels.items()}
        scored = None if host.scored is None else to_device(host.scored, device)
        batch = operators.batch(host.inputs, host.nodes)
        if "fine" in labels:
            batch = replace(batch, fine_days=torch.isfinite(labels["fine"]))
        return LabelledBatch(batch, labels, host.name, scored, _from_coarse_to_fine(self._data.scaling))


def _from_coarse_to_fine(scaling: Mapping[Scale, Scaling]) -> tuple[float, float]:
    """Return factor and offset from a standardised coarse temperature to a standardised fine one."""
    coarse, fine = scaling["coarse"], scaling["fine"]
    offset = (coarse.label_mean - fine.label_mean) / fine.label_deviation
    return coarse.label_deviation / fine.label_deviation, offset


def _pruned(data: TrainingData, operators: Operators) -> tuple[TrainingData, Operators]:
    """Leave out the nodes that no observed label depends on: losses and gradients stay the same."""
    keep = operators.closure(data.labelled_nodes())
    few = data.prune(keep._asdict())
    if few is data:
        return data, operators
    kept = ", ".join(f"{few.inputs[scale].n} of {data.inputs[scale].n} {scale}" for scale in SCALES)
    logger.info("labels depend on %s nodes; the others are left out of training", kept)
    return few, operators.restrict(keep)


@takes_recipe
def train(
    obj: xr.Dataset | xr.DataTree,
    method: str = "msgl",
    *,
    recipe: str | None = None,
    features: Sequence[str] | None = None,
    means: Sequence[int] | None = None,
    scaling: str = "shared",
    window: int = 365,
    warmup: int = 60,
    batch: int = 1,
    epochs: int = 60,
    pretrain: int | None = None,
    learning_rate: float = 0.005,
    clip: float | None = 3.0,
    patience: int | None = None,
    weighting: str = "mgda",
    average: float = 0.0,
    keep: str = "best",
    jitter: float = 0.0,
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
    progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
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
        method as Fan et al. (2025) describe it, see :mod:`xmsgl.recipes`. Default: the package's own.
    features
        Base names of the inputs, in order; default: all drivers, means of air temperature over the days
        of `means`, and all static attributes.
    means
        Trailing means of air temperature among the default features, days each. Default: 7, 30 and 90;
        ``()`` for none, as published. Not together with `features`.
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
        :mod:`xmsgl.train.stages`. Default: the method's own share; none for ``"msgl"`` without coarse
        labels and for methods of one stage.
    learning_rate
        Of Adam at the start; times 0.3 after two thirds and five sixths of the epochs.
    clip
        Largest norm of the gradient; None: as long as it is.
    patience
        Epochs without a better validation score before stopping; None never stops early.
    weighting
        How the tasks' gradients are combined: ``"mgda"``, ``"uniform"`` or ``"uncertainty"``, see
        `xmsgl.train.mgda.WEIGHTINGS`.
    average
        Keep a running mean of the weights that holds on to this share of its past at each step, for
        example 0.98, and validate and return that mean; 0, the default, returns the weights themselves.
    keep
        ``"best"``: return the weights of the epoch with the lowest validation error. ``"last"``: those of
        the last epoch, as published. The stages before the last hand on theirs in the same way.
    jitter
        Noise on the static attributes while training, in their own deviations (standardised inputs): the
        model can then not know a place by its attributes, which helps on reaches without labels and
        costs a little on those with.
    validation
        Share of windows kept for choosing the best epoch, or days as slices, or None: learn from all
        and keep the last epoch. How far the model is off on these days also makes the intervals that
        ``ds.msgl.downscale(quantiles=...)`` gives; None gives none. See :mod:`xmsgl.calibrate`.
    kernel, hops, limit, nearest, direction
        The graphs, see ``ds.msgl.graph``.
    seed
        Draws initial weights, validation windows, the order of windows and dropout. The same seed
        on the same device gives the same weights, bit for bit on CPU with the same number of threads.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    ensemble
        Members to train, one after another, with the seeds `seed`, `seed` + 1, ...; the mean of their
        predictions is the model's. They share data, validation days and graphs. Several err less than
        one, and take as many times as long.
    identity
        Numbers to learn of each segment beyond its attributes, carried to its reaches by the
        crosswalk. 0, the default, learns none, as published. They help where nearly all segments
        have labels, and mislead on segments that have none.
    amp
        bfloat16 autocast; default: on a GPU only.
    start
        A model, or the path of its file, whose weights to begin with: of another method, such as
        ``"remap"`` for the coarse task of ``"msgl"``, or trained on another basin. Its features, scaling,
        sizes and segments are kept, whatever `means` and `scaling` say. Default: fresh weights.
    progress
        Draw a progress bar; default: the option ``progress``.
    checkpoint
        File rewritten after every epoch.
    resume
        A checkpoint to continue from, with the same data and settings.
    **architecture
        Arguments of the module: ``hidden``, ``recurrent_dropout``, ``backend``, and for ``"msgl"``
        also ``heads``, ``dropout``, ``anchored`` and ``tasks``; see :mod:`xmsgl.models.msgl`.

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
        A setting does not fit.
    UnknownNameError
        No such method, recipe, scaling or `keep`.
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
    Pritzel & Blundell (2017), arXiv:1612.01474 (ensembles).
    """
    ds = schema.as_dataset(obj)
    schema.validate(ds)
    target = resolve_device(device)
    begun = load_model(start) if isinstance(start, str | PathLike) else start
    if begun is not None and begun.members > 1:
        msg = f"the model to start with has {begun.members} members; start with one of them, model.member(k)"
        raise InvalidArgumentError(msg)
    chosen = (
        choose_features(ds, features, means=means) if begun is None else _features_of(begun, ds, features)
    )
    _check_counts(
        1, epochs=epochs, window=window, ensemble=ensemble, patience=1 if patience is None else patience
    )
    _check_counts(0, seed=seed)
    _check_positive(learning_rate=learning_rate, clip=1.0 if clip is None else clip)
    _check_names(scaling=(scaling, SCALINGS), keep=(keep, KEEPS))
    _check_share(average=average)
    if not 0 <= jitter < float("inf"):
        msg = f"jitter must be 0 or a positive number of deviations, got {jitter}"
        raise InvalidArgumentError(msg)
    segments = tuple(ds["coarse"].values.tolist()) if identity else ()
    architecture |= {"identity": identity, "segments": len(segments)}
    if begun is not None:
        segments = begun.spec.segments
        architecture = _architecture_of(begun, method, architecture)

    def module_of(drawn: int) -> NetworkModel:
        made = create_model(method, n_features=len(chosen), seed=drawn, **architecture).to(target)
        if begun is not None:
            fresh = begin_with(made, begun.weights)
            logger.info("%s begins with model %s; fresh: %s", method, begun.sha256[:12], ", ".join(fresh))
        return made

    module = module_of(seed)
    stages = stages_of(method, module.tasks, epochs, pretrain, **_coarse_teachers(ds))
    data = TrainingData(
        ds,
        chosen,
        scales=label_scales(stage_tasks(stages)),
        window=window,
        warmup=warmup,
        validation=validation,
        batch=batch,
        seed=seed,
        context=module.input_scales,
        jitter=jitter,
        scaling=None if begun is None else begun.spec.scaling,
        own_scaling=scaling == "own",
    )
    if getattr(module, "anchored", False) and data.scaling["coarse"] != data.scaling["fine"]:
        msg = (
            "an anchored model adds up temperatures of both scales, which scaling='own' measures each with "
            "its own mean and deviation; pass anchored=False, or scaling='shared'"
        )
        raise InvalidArgumentError(msg)
    graph = _graph_settings(ds, kernel=kernel, hops=hops, limit=limit, nearest=nearest, direction=direction)
    source = DeviceBatches(data, Operators.build(ds, graph, segments, target))
    settings = LoopSettings(
        epochs,
        stages,
        learning_rate,
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
        architecture=dict(architecture),
        features=chosen,
        scaling=dict(data.scaling),
        graph=graph,
        segments=segments,
        window=window,
        warmup=warmup,
        training=_provenance(ds, data, seed, begun, recipe),
    )
    run_of = {**spec.to_dict(), "loop": settings.to_dict(), "batch": batch, "jitter": jitter}
    run_of |= {"ensemble": ensemble} if ensemble > 1 else {}
    files = Files(checkpoint, resume, json.loads(json.dumps(run_of)))
    model = train_members(
        spec,
        ensemble,
        lambda drawn: module if drawn == seed else module_of(drawn),
        source.drawn,
        settings,
        files,
        progress,
    )
    return calibrate(model, ds, data.validation_days, source, stages[-1].tasks, str(target))


def _coarse_teachers(ds: xr.Dataset) -> dict[str, bool]:
    """Say which coarse temperatures there are to learn from before the last stage."""
    observed = ds.get("water_temperature_coarse")
    return {
        "coarse_labels": observed is not None and bool(np.isfinite(observed).any()),
        "process": PROCESS in ds,
    }


def stage_tasks(stages: Sequence[Stage]) -> set[str]:
    """Return the tasks that learn from observed labels in some stage."""
    return {task for stage in stages if stage.labels == "observed" for task in stage.tasks}


def label_scales(tasks: Collection[str]) -> tuple[Scale, ...]:
    """Return the scales whose labels some tasks learn from."""
    used = {TASK_SCALES[task] for task in tasks}
    return tuple(scale for scale in SCALES if scale in used)


def _check_counts(least: int, **counts: int) -> None:
    for name, value in counts.items():
        if value < least:
            msg = f"{name} must be at least {least}, got {value}"
            raise InvalidArgumentError(msg)


def _check_positive(**numbers: float) -> None:
    for name, value in numbers.items():
        if not 0 < value < float("inf"):
            msg = f"{name} must be a positive number, got {value}"
            raise InvalidArgumentError(msg)


def _check_names(**chosen: tuple[str, Collection[str]]) -> None:
    for name, (value, known) in chosen.items():
        if value not in known:
            raise UnknownNameError(name, value, known)


def _check_share(**shares: float) -> None:
    for name, value in shares.items():
        if not 0 <= value < 1:
            msg = f"{name} must be in [0, 1), got {value}"
            raise InvalidArgumentError(msg)


def _graph_settings(ds: xr.Dataset, **arguments: Any) -> dict[str, Any]:
    """Return graph arguments as plain values, with the kernel written out."""
    graph = build_graph(ds, "coarse", **arguments)
    return {**arguments, "kernel": graph.settings()["kernel"]}


def _features_of(model: Model, ds: xr.Dataset, names: Sequence[str] | None) -> tuple[Feature, ...]:
    """Return the features of the model to start with, which the dataset must have."""
    features = model.spec.features
    if names is not None and list(names) != (own := [feature.label for feature in features]):
        msg = f"features are those of the model to start with ({', '.join(own)}); leave them out"
        raise InvalidArgumentError(msg)
    check_features(ds, features)
    return features


def _architecture_of(model: Model, method: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the sizes of the model to start with, and whatever else was asked for."""
    kept = shared_architecture(method, model.spec.architecture)
    wanted = {name: value for name, value in asked.items() if name not in ("identity", "segments")}
    if asked["identity"] and asked["identity"] != kept.get("identity"):
        msg = f"identity is that of the model to start with ({kept.get('identity', 0)}); leave it out"
        raise InvalidArgumentError(msg)
    return {**kept, **wanted}


def _provenance(
    ds: xr.Dataset, data: TrainingData, seed: int, begun: Model | None, recipe: str | None
) -> dict[str, Any]:
    from xmsgl import __version__

    start = {} if begun is None else {"begun_with": begun.sha256}
    named = {} if recipe is None else {"recipe": recipe}
    days = np.flatnonzero(data.training_days)
    return {
        "start": str(data.time[days[0]].date()),
        "stop": str(data.time[days[-1]].date()),
        "labels": data.counts(),
        "seed": seed,
        "dataset": str(ds.attrs.get("title", "")),
        **start,
        **named,
        "fingerprint": fingerprint(ds, data),
        "versions": {"xmsgl": __version__, "torch": torch.__version__, "xarray": xr.__version__},
    }


def fingerprint(ds: xr.Dataset, data: TrainingData) -> str:
    """Return a digest of what a model was trained on: network, days and labels."""
    sha = hashlib.sha256()
    for name in ("coarse", "fine", "downstream_coarse", "downstream_fine", "coarse_segment"):
        values = np.asarray(ds[name].values)
        sha.update(
            repr(values.tolist()).encode()
            if values.dtype.kind not in "iu"
            else values.astype("<i8").tobytes()
        )
    sha.update(data.time.to_numpy().astype("datetime64[D]").astype("<i8").tobytes())
    for values in data.labels.values():
        sha.update(np.nan_to_num(values, nan=-999.0).astype("<f4").tobytes())
    return sha.hexdigest()
