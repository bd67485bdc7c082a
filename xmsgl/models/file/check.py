"""Whether the values in a model's file fit each other and its weights, before a module is made from them."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any, get_args

import torch

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.inputs.features import LONGEST, TRANSFORMS
from xmsgl.inputs.neighbours import check_lengths
from xmsgl.models.file.covariance import ErrorKind
from xmsgl.models.methods.registry import create_model
from xmsgl.network.kernels import get_kernel
from xmsgl.network.pairs import check_neighbours
from xmsgl.util.plain import read_plain
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from xmsgl.models.file.covariance import ErrorCovariance
    from xmsgl.models.file.intervals import IntervalTable
    from xmsgl.models.file.spec import ModelSpec
    from xmsgl.models.methods.base import NetworkModel

__all__ = ["check_spec", "check_weights", "unloaded"]

#: Whether a rule holds, what it is about, and the rule in words.
Rule = tuple[bool, str, str]

_GRAPH: dict[str, Any] = {
    "hops": int | None,
    "limit": float | None,
    "nearest": int | None,
    "direction": str,
}
_PROVENANCE: dict[str, Any] = {
    "start": str,
    "stop": str,
    "dataset": str | None,
    "fingerprint": str,
    "labels": dict[str, int],
    "versions": dict[str, str],
    "seed": int,
    "seeds": tuple[int, ...],
    "settings": dict[str, Any],
    "data": dict[str, Any],
}


def check_spec(spec: ModelSpec, where: str = "spec") -> None:
    """Refuse a specification whose values do not fit each other."""
    for name, kind in _PROVENANCE.items():
        if name in spec.training:
            read_plain(kind, spec.training[name], f"{where}.training.{name}")
    for rules in (_days, _inputs, _segments, _graph, _calibration, _stack):
        for valid, name, rule in rules(spec):
            if not valid:
                msg = f"{where}.{name} {rule}"
                raise InvalidArgumentError(msg)
    for k, part in enumerate(spec.parts):
        check_spec(part, f"{where}.parts[{k}]")


def _days(spec: ModelSpec) -> Iterator[Rule]:
    yield spec.window >= 1, "window", f"must be at least 1 day, not {spec.window}"
    yield 0 <= spec.warmup <= LONGEST, "warmup", f"must be 0 to {LONGEST} days, not {spec.warmup}"
    yield _is_day(spec.first_day), "first_day", f"must be a day such as 1970-01-01, not {spec.first_day!r}"
    measured = all(day >= 1 and rms >= 0 for day, rms in spec.spin_up)
    yield measured, "spin_up", "must hold days from 1 and changes of at least 0 degC"


def _is_day(text: str) -> bool:
    try:
        return 1700 < date.fromisoformat(text).year < 2200  # within the range of time in nanoseconds
    except ValueError:
        return False


def _inputs(spec: ModelSpec) -> Iterator[Rule]:
    count = len(spec.features)
    yield count > 0, "features", "must not be empty"
    for k, feature in enumerate(spec.features):
        name = f"features[{k}]"
        known = feature.transform in TRANSFORMS
        yield known, f"{name}.transform", f"must be one of {', '.join(TRANSFORMS)}, not {feature.transform!r}"
        most = LONGEST if feature.dynamic else 1
        yield 1 <= feature.days <= most, f"{name}.days", f"must be 1 to {most}, not {feature.days}"
    alike = {(feature.name, feature.units, feature.dynamic) for feature in spec.features}
    one = len(alike) == len({name for name, *_ in alike})
    yield one, "features", "must give all features of one name the same units and kind"
    labels = [feature.label for feature in spec.features]
    yield len(set(labels)) == count, "features", f"must be different, not {shorten(sorted(labels))}"
    yield len(spec.scaling) > 0, "scaling", "must not be empty"
    for scale, each in spec.scaling.items():
        sizes = len(each.mean) == len(each.deviation) == count
        yield sizes, f"scaling.{scale}", f"must have a mean and a deviation of each of {count} features"
        above = min(*each.deviation, each.label_deviation) > 0
        yield above, f"scaling.{scale}", "must have deviations above 0"


def _segments(spec: ModelSpec) -> Iterator[Rule]:
    network, near = spec.network, spec.neighbours
    places = {"segments": spec.segments, "held": spec.held, "network.ids": network.ids}
    columns: Sequence[Sequence[Any]] = (network.ids, network.downstream, network.length)
    if near:
        places["neighbours.segments"] = near.segments
    for name, ids in {**places, "network.downstream": network.downstream}.items():
        some = [each for each in ids if each is not None or name != "segments"]  # None: of another basin
        valid = all(isinstance(each, int | str) and not isinstance(each, bool) for each in some)
        yield valid, name, "must hold ids, whole numbers or texts"
        far = any(isinstance(each, int) and abs(each) >= 2**63 for each in ids)
        yield not far, name, "must hold whole numbers of at most 64 bits"
    for name, ids in places.items():
        known = [each for each in ids if each is not None]
        yield len(set(known)) == len(known), name, "must not repeat an id"
    yield len(set(map(len, columns))) == 1, "network", "must have one link and length for each id"
    yield min(network.length, default=1) > 0, "network.length", "must hold lengths above 0 m"
    if near:
        check_lengths(near.lengths)
        yield len(near.lengths) > 0, "neighbours.lengths", "must not be empty"
        anomalies = (near.segments, near.mean, near.warm, near.cold, near.days)
        yield len(set(map(len, anomalies))) == 1, "neighbours", "must have one anomaly for each segment"
        yield min(near.days, default=1) >= 1, "neighbours.days", "must hold numbers of at least 1"
    if spec.architecture.get("identity"):
        fits = spec.architecture.get("segments") == len(spec.segments)
        yield fits, "architecture.segments", f"must be the number of segments, {len(spec.segments)}"


def _graph(spec: ModelSpec) -> Iterator[Rule]:
    given = {name: value for name, value in spec.graph.items() if name != "kernel"}
    unknown = sorted(given.keys() - _GRAPH)
    yield not unknown, "graph", f"has unknown entries: {shorten(unknown)}"
    for name, value in given.items():
        read_plain(_GRAPH[name], value, f"graph.{name}")
    check_neighbours(**given)
    try:
        get_kernel(spec.graph.get("kernel"))
    except TypeError as error:  # of the name or of a parameter
        yield False, "graph.kernel", f"is not valid: {error}"


def _calibration(spec: ModelSpec) -> Iterator[Rule]:
    if spec.intervals:
        yield from _table(spec.intervals, "intervals")
    both = set(spec.errors) in (set(), set(get_args(ErrorKind)))
    yield both, "errors", f"must be of reaches {' and '.join(get_args(ErrorKind))}"
    for kind, covariance in spec.errors.items():
        yield from _covariance(covariance, f"errors.{kind}")


def _table(table: IntervalTable, name: str) -> Iterator[Rule]:
    p, x, n = table.probabilities, table.temperature, table.counts
    yield table.scale in SCALES, f"{name}.scale", f"must be coarse or fine, not {table.scale!r}"
    rising = len(p) > 0 and all(a < b for a, b in pairwise((0.0, *p, 1.0)))
    yield rising, f"{name}.probabilities", "must increase between 0 and 1"
    yield len(x) > 0 and all(a < b for a, b in pairwise(x)), f"{name}.temperature", "must increase"
    yield len(n) == len(x) and min(n) >= 1, f"{name}.counts", f"must be {len(x)} numbers of at least 1"
    rows = len(table.residuals) == len(x) and all(len(row) == len(p) for row in table.residuals)
    yield rows, f"{name}.residuals", f"must be {len(x)} lists of {len(p)} numbers"
    sorted_ = all(a <= b for row in table.residuals for a, b in pairwise(row))
    yield sorted_, f"{name}.residuals", "must not decrease from one probability to the next"
    yield table.segments >= 0, f"{name}.segments", "must be at least 0"


def _covariance(covariance: ErrorCovariance, name: str) -> Iterator[Rule]:
    for which, part in (("slow", covariance.slow), ("fast", covariance.fast)):
        yield part.variance >= 0, f"{name}.{which}.variance", "must be at least 0 degC2"
        yield part.days > 0, f"{name}.{which}.days", "must be above 0"
        shares = min(part.along_river, part.across_land, 1 - part.along_river - part.across_land) >= -1e-6
        yield shares, f"{name}.{which}", "must have shares of at least 0 whose sum is at most 1"
    scales = min(covariance.noise, covariance.river, covariance.land) > 0
    yield scales, name, "must have noise and distances above 0"
    yield from _table(covariance.spread, f"{name}.spread")


def _stack(spec: ModelSpec) -> Iterator[Rule]:
    parts, shares = spec.parts, spec.shares
    seeds = len(spec.training.get("seeds", range(spec.members)))
    yield seeds == spec.members, "training.seeds", f"must be of {spec.members} members, not {seeds}"
    yield (spec.method == "stack") == (len(parts) > 1), "parts", "must be two or more in a stack, else none"
    yield len(shares) == len(parts), "shares", f"must be {len(parts)} numbers"
    whole = not parts or (min(shares) >= 0 and abs(sum(shares) - 1) < 1e-6)
    yield whole, "shares", "must be at least 0, and their sum 1"
    same = all((part.window, part.first_day) == (spec.window, spec.first_day) for part in parts)
    yield same, "parts", "must have the windows of the stack"
    yield not any(part.parts for part in parts), "parts", "must not be stacks themselves"


def unloaded(spec: ModelSpec) -> NetworkModel:
    """Make the module of a specification without memory for its weights."""
    try:
        with torch.device("meta"):
            module = create_model(spec.method, n_features=len(spec.features), seed=0, **spec.architecture)
    except Exception as error:
        msg = f"the architecture of {spec.method!r} is not valid: {error}"
        raise InvalidArgumentError(msg) from error
    if lacking := {*module.input_scales, module.prediction_scale} - spec.scaling.keys():
        msg = f"spec.scaling lacks {shorten(sorted(lacking))}"
        raise InvalidArgumentError(msg)
    return module


def check_weights(module: NetworkModel, weights: Mapping[str, Tensor], where: str = "weights") -> None:
    """Refuse weights of other names, shapes or types than those of a module, and those not finite."""
    own = module.state_dict()
    for what, names in (("lack", own.keys() - weights.keys()), ("hold foreign", weights.keys() - own.keys())):
        if names:
            msg = f"{where} {what} {shorten(sorted(names))}"
            raise InvalidArgumentError(msg)
    for name, value in weights.items():
        expected = own[name]
        if name not in module.unsized and value.shape != expected.shape:
            found = f"the shape {tuple(value.shape)}, the architecture needs {tuple(expected.shape)}"
        elif value.dtype != expected.dtype:
            found = f"the type {value.dtype}, the architecture needs {expected.dtype}"
        elif not value.isfinite().all():
            found = "values that are not finite"
        else:
            continue
        msg = f"{where} {name} has {found}"
        raise InvalidArgumentError(msg)
