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
from xmsgl.network.pairs import Direction
from xmsgl.util.plain import read_plain
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from torch import Tensor

    from xmsgl.models.file.covariance import ErrorCovariance
    from xmsgl.models.file.intervals import IntervalTable
    from xmsgl.models.file.spec import ModelSpec
    from xmsgl.models.methods.base import NetworkModel

__all__ = ["check_spec", "check_weights", "unloaded"]

#: Whether a rule holds, what it is about, and the rule in words.
Rule = tuple[bool, str, str]

_GRAPH = {"hops": int | None, "limit": float | None, "nearest": int | None, "direction": Direction}
_PROVENANCE = {
    **dict.fromkeys(("start", "stop", "fingerprint"), str),
    **dict.fromkeys(("settings", "data"), dict[str, Any]),
    "dataset": str | None,
    "labels": dict[str, int],
    "versions": dict[str, str],
    "seed": int,
    "seeds": tuple[int, ...],
    "deterministic": bool,
}


def check_spec(spec: ModelSpec, where: str = "spec") -> None:
    """Refuse a specification whose values do not fit each other."""
    for what, kinds in (("training", _PROVENANCE), ("graph", _GRAPH)):
        values = getattr(spec, what)
        for name in kinds.keys() & values.keys():
            read_plain(kinds[name], values[name], f"{where}.{what}.{name}")
    for rules in (_days, _features, _segments, _graph, _calibration, _parts):
        for valid, name, rule in rules(spec):
            if not valid:
                msg = f"{where}.{name} must {rule}"
                raise InvalidArgumentError(msg)
    for k, part in enumerate(spec.parts):
        check_spec(part, f"{where}.parts[{k}]")


def _days(spec: ModelSpec) -> Iterator[Rule]:
    yield spec.window >= 1, "window", f"be at least 1 day, not {spec.window}"
    yield 0 <= spec.warmup <= LONGEST, "warmup", f"be 0 to {LONGEST} days, not {spec.warmup}"
    yield _is_day(spec.first_day), "first_day", f"be a day such as 1970-01-01, not {spec.first_day!r}"
    measured = all(day >= 1 and rms >= 0 for day, rms in spec.spin_up)
    yield measured, "spin_up", "hold days from 1 and changes of at least 0 degC"


def _is_day(text: str) -> bool:
    try:
        return 1700 < date.fromisoformat(text).year < 2200  # within the range of time in nanoseconds
    except ValueError:
        return False


def _features(spec: ModelSpec) -> Iterator[Rule]:
    features, count = spec.features, len(spec.features)
    for k, each in enumerate(features):
        known = ", ".join(TRANSFORMS)
        yield each.transform in TRANSFORMS, f"features[{k}].transform", f"be {known}, not {each.transform!r}"
        most = LONGEST if each.dynamic else 1
        yield 1 <= each.days <= most, f"features[{k}].days", f"be 1 to {most}, not {each.days}"
    alike = {(each.name, each.units, each.dynamic) for each in features}
    one = len(alike) == len({each.name for each in features})
    yield one, "features", "give all features of one name the same units and kind"
    yield 0 < count == len({each.label for each in features}), "features", "be one or more, and different"
    for scale, moments in spec.scaling.items():
        sizes = len(moments.mean) == len(moments.deviation) == count
        yield sizes, f"scaling.{scale}", f"have a mean and a deviation of each of {count} features"
        above = min(*moments.deviation, moments.label_deviation) > 0
        yield above, f"scaling.{scale}", "have deviations above 0"


def _segments(spec: ModelSpec) -> Iterator[Rule]:
    network, near = spec.network, spec.neighbours
    places = {"held": spec.held, "network.ids": network.ids, "network.downstream": network.downstream}
    # None stands for a segment of the basin of a model that training started with.
    places["segments"] = tuple(each for each in spec.segments if each is not None)
    if near:
        places["neighbours.segments"] = near.segments
    for name, ids in places.items():
        valid = all(type(each) is str or (type(each) is int and abs(each) < 2**63) for each in ids)
        yield valid, name, "hold ids, texts or whole numbers of at most 64 bits"
        yield name == "network.downstream" or len(set(ids)) == len(ids), name, "not repeat an id"
    yield _even(vars(network)), "network", "have one link and length for each id"
    yield min(network.length, default=1) > 0, "network.length", "hold lengths above 0 m"
    if near:
        columns = dict(vars(near))
        yield bool(check_lengths(columns.pop("lengths"))), "neighbours.lengths", "not be empty"
        yield _even(columns), "neighbours", "have one anomaly for each segment"
        yield min(near.days, default=0) >= 0, "neighbours.days", "hold numbers of at least 0"
    fits = spec.architecture.get("segments") == len(spec.segments) or not spec.architecture.get("identity")
    yield fits, "architecture.segments", f"be the number of segments, {len(spec.segments)}"


def _even(columns: Mapping[str, Sequence[Any]]) -> bool:
    return len(set(map(len, columns.values()))) == 1


def _graph(spec: ModelSpec) -> Iterator[Rule]:
    unknown = sorted(spec.graph.keys() - {"kernel", *_GRAPH})
    yield not unknown, "graph", f"not have entries such as {shorten(unknown)}"
    for name in ("hops", "limit", "nearest"):
        value = spec.graph.get(name)
        yield value is None or value > 0, f"graph.{name}", f"be above 0, not {value}"
    try:
        get_kernel(spec.graph.get("kernel"))
    except TypeError as error:  # of a parameter
        yield False, "graph.kernel", f"be valid: {error}"


def _calibration(spec: ModelSpec) -> Iterator[Rule]:
    if spec.intervals:
        yield from _table(spec.intervals, "intervals")
    both = set(spec.errors) in (set(), set(get_args(ErrorKind)))
    yield both, "errors", f"be of reaches {' and '.join(get_args(ErrorKind))}"
    for kind, covariance in spec.errors.items():
        yield from _covariance(covariance, f"errors.{kind}")


def _table(table: IntervalTable, name: str) -> Iterator[Rule]:
    p, x, rows = table.probabilities, table.temperature, table.residuals
    yield table.scale in SCALES, f"{name}.scale", f"be coarse or fine, not {table.scale!r}"
    rising = len(p) > 0 and all(a < b for a, b in pairwise((0.0, *p, 1.0)))
    yield rising, f"{name}.probabilities", "increase between 0 and 1"
    yield len(x) > 0 and all(a < b for a, b in pairwise(x)), f"{name}.temperature", "increase"
    counted = len(table.counts) == len(x) and min(table.counts) >= 1 and table.segments >= 0
    yield counted, f"{name}.counts", f"be {len(x)} numbers of at least 1"
    sizes = len(rows) == len(x) and all(len(row) == len(p) for row in rows)
    sizes = sizes and all(a <= b for row in rows for a, b in pairwise(row))
    yield sizes, f"{name}.residuals", f"be {len(x)} lists of {len(p)} numbers that do not decrease"


def _covariance(covariance: ErrorCovariance, name: str) -> Iterator[Rule]:
    for which, part in (("slow", covariance.slow), ("fast", covariance.fast)):
        fits = part.variance >= 0 and part.days > 0
        yield fits, f"{name}.{which}", "have a variance of at least 0 degC2 and days above 0"
        shares = min(part.along_river, part.across_land, 1 - part.along_river - part.across_land) >= -1e-6
        yield shares, f"{name}.{which}", "have shares of at least 0 whose sum is at most 1"
    scales = min(covariance.noise, covariance.river, covariance.land) > 0
    yield scales, name, "have noise and distances above 0"
    yield from _table(covariance.spread, f"{name}.spread")
    for number, each in enumerate(covariance.companions):
        size = len(each.others) + 1
        sizes = len(each.products) == size and len(each.moments) == size * (size + 1) // 2
        yield sizes and each.left >= 0, f"{name}.companions[{number}]", f"have the moments of {size} errors"


def _parts(spec: ModelSpec) -> Iterator[Rule]:
    parts, shares = spec.parts, spec.shares
    seeds = len(spec.training.get("seeds", range(spec.members)))
    yield seeds == spec.members, "training.seeds", f"be of {spec.members} members, not {seeds}"
    number = (spec.method == "stack") == (len(parts) > 1) and len(parts) != 1
    yield (
        number and not any(part.parts for part in parts),
        "parts",
        "be two models or more in a stack only",
    )
    sum_ = len(shares) == len(parts) and (not parts or (min(shares) >= 0 and abs(sum(shares) - 1) < 1e-6))
    yield sum_, "shares", f"be {len(parts)} numbers of at least 0, whose sum is 1"
    same = all((part.window, part.first_day) == (spec.window, spec.first_day) for part in parts)
    yield same, "parts", "have the windows of the stack"


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


def check_weights(
    own: Mapping[str, Tensor], weights: Mapping[str, Tensor], unsized: Collection[str] = ()
) -> None:
    """Refuse weights of other names, shapes or types than those of a module, and those not finite."""
    for what, names in (("lack", own.keys() - weights.keys()), ("hold foreign", weights.keys() - own.keys())):
        if names:
            msg = f"the weights {what} {shorten(sorted(names))}"
            raise InvalidArgumentError(msg)
    for name, value in weights.items():
        found, expected = (f"{tuple(each.shape)} {each.dtype}" for each in (value, own[name]))
        if value.dtype != own[name].dtype or (name not in unsized and value.shape != own[name].shape):
            msg = f"the weight {name} is {found}, the architecture needs {expected}"
        elif not value.isfinite().all():
            msg = f"the weight {name} has values that are not finite"
        else:
            continue
        raise InvalidArgumentError(msg)
