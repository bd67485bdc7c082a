"""Prepare a training: validation days first, then everything that is fitted to the other days."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.batches import TrainingData
from xmsgl.inputs.choose import assign_inputs, parse_features
from xmsgl.inputs.neighbours_fit import has_labels
from xmsgl.inputs.validation import split_labels, without_labels
from xmsgl.models.file.spec import ModelSpec
from xmsgl.models.methods.registry import create_model
from xmsgl.prediction.operators import Operators, river_basins
from xmsgl.schema.graphs import build_graph
from xmsgl.training.loop import LoopSettings
from xmsgl.training.provenance import provenance
from xmsgl.training.source import DeviceBatches, label_scales
from xmsgl.training.stages import stage_rates, stages_of
from xmsgl.util.origin import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch
    import xarray as xr

    from xmsgl.inputs.days import BlockCache
    from xmsgl.inputs.features import Scaling
    from xmsgl.inputs.validation import Split
    from xmsgl.models.methods.base import NetworkModel
    from xmsgl.network.parts import Part
    from xmsgl.training.settings import TrainSettings
    from xmsgl.training.stages import Stage
    from xmsgl.training.start import Start
    from xmsgl.util.scales import Scale

__all__ = ["Prepared", "prepare"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A training that is ready to run."""

    ds: xr.Dataset  # with all inputs
    split: Split
    spec: ModelSpec
    source: DeviceBatches
    loop: LoopSettings
    module_of: Callable[[int], NetworkModel]  # the module of a seed, on the device
    run_of: Mapping[str, Any]  # identifies the training, plain JSON values; other checkpoints are refused
    members: int  # trained with successive seeds


def prepare(
    ds: xr.Dataset,
    settings: TrainSettings,
    begin: Start,
    device: torch.device,
    split: Split | None = None,
    cache: BlockCache | None = None,
) -> Prepared:
    """Fit inputs, scaling and graph to the labels that are not kept for validation, as drawn or as given.

    Trainings of one model share the `cache` of drivers on disk.
    """
    architecture = begin.architecture(settings, ds)
    empty = create_model(settings.method, n_features=1, seed=0, **architecture)
    epochs = empty.epochs or settings.epochs
    stages = stages_of(
        settings.method,
        empty.tasks,
        epochs,
        settings.pretrain,
        coarse_labels=has_labels(ds),
        process=schema.PROCESS_COARSE in ds,
    )
    scales = label_scales({task for stage in stages if stage.labels == "observed" for task in stage.tasks})
    if split is None:
        split = split_labels(
            ds, scales, window=settings.window, validation=settings.validation, seed=settings.seed
        )
    learned = without_labels(ds, split)
    names = begin.names(settings.features, coarse="coarse" in scales and has_labels(learned))
    neighbours = begin.neighbours(learned, parse_features(names))
    ds = assign_inputs(ds, season=begin.season("season" in names), neighbours=neighbours)
    features = begin.features(ds, names)
    module_of = partial(begin.module, settings.method, architecture, len(features), settings.frozen, device)
    module = module_of(settings.seed)
    data = TrainingData(
        ds,
        features,
        scales=scales,
        window=settings.window,
        warmup=settings.warmup,
        split=split,
        batch=settings.batch,
        seed=settings.seed,
        context=module.input_scales,
        scaling=begin.scaling,
        own_scaling=settings.scaling == "own",
        cache=cache,
    )
    _check_anchor(module, data.scaling)
    graph = {**settings.graph, "kernel": build_graph(ds, "coarse", **settings.graph).settings()["kernel"]}
    segments = begin.segments(ds, settings.identity)
    spec = ModelSpec(
        method=settings.method,
        architecture=architecture,
        features=features,
        scaling=dict(data.scaling),
        graph=graph,
        segments=segments,
        window=settings.window,
        warmup=settings.warmup,
        training={**provenance(ds, data, settings.seed), **begin.provenance},
        neighbours=neighbours,
        network=begin.network(ds),
        first_day=str(data.time[0].date()),
        held=tuple(schema.id_values(ds.indexes["coarse"].to_numpy()[split.held["coarse"]]).tolist()),
    )
    # Trees have no steps.
    more = 1 if empty.epochs else max(1, -(-settings.steps // (epochs * max(1, data.steps))))
    longer = [replace(stage, epochs=more * stage.epochs) for stage in stages]
    loop = replace(_loop(settings, longer, device), epochs=more * epochs)
    run_of = {**spec.to_dict(), "settings": settings.to_dict(), "loop": asdict(loop)}
    noted = {"data": origin_of(ds)}
    return Prepared(
        ds=ds,
        split=split,
        spec=replace(spec, training={**spec.training, **noted}),
        source=DeviceBatches(
            data, Operators.build(ds, graph, segments, device), _basins(ds, settings), settings.basins
        ),
        loop=loop,
        module_of=lambda seed: module if seed == settings.seed else module_of(seed),
        run_of=json.loads(json.dumps(run_of)),
        members=settings.ensemble,
    )


def _basins(ds: xr.Dataset, settings: TrainSettings) -> list[Part]:
    """Return the basins to draw from; none if none are drawn."""
    if settings.basins is None:
        return []
    found = river_basins(ds)
    if settings.basins > len(found):
        msg = f"basins must be at most {len(found)}, the number of the dataset, got {settings.basins}"
        raise InvalidArgumentError(msg)
    return found


def _loop(settings: TrainSettings, stages: Sequence[Stage], device: torch.device) -> LoopSettings:
    return LoopSettings(
        epochs=settings.epochs,
        stages=tuple(stages),
        learning_rate=stage_rates(settings.learning_rate, stages),
        clip=settings.clip,
        patience=settings.patience,
        weighting=settings.weighting,
        seed=settings.seed,
        amp=device.type == "cuda" if settings.amp is None else settings.amp,
        average=settings.average,
        keep=settings.keep,
    )


def _check_anchor(module: NetworkModel, scaling: Mapping[Scale, Scaling]) -> None:
    """Refuse an anchored model where each scale has its own standardised temperature."""
    if getattr(module, "anchored", False) and scaling["coarse"] != scaling["fine"]:
        msg = (
            "an anchored model adds temperatures of both scales, but scaling='own' standardises each scale "
            "with its own mean and deviation; pass anchored=False, or scaling='shared'"
        )
        raise InvalidArgumentError(msg)
