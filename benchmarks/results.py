"""From the JSON of pytest-benchmark to ratios, verdicts, exponents and the roofline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Case", "Fit", "Roof", "Verdict", "fit_exponents", "judge", "read_cases", "roofline"]


@dataclass(frozen=True)
class Case:
    """One timed case.

    Attributes
    ----------
    group, name, about, unit, threads, rounds, work
        As in :class:`benchmarks.harness.Runner`; `rounds` is n of the median.
    median
        Seconds per call.
    ratio
        How many times faster than the reference of its group, per unit of work; 1 for the reference.
    before, peak
        Bytes resident before a call and at its highest; None if not measured.
    reference, bars, flops, moved, series, machine, tiny
        As in :class:`benchmarks.harness.Runner`.
    """

    group: str
    name: str
    about: str
    unit: str
    threads: int
    rounds: int
    work: float
    median: float
    ratio: float | None
    before: int | None
    peak: int | None
    reference: bool
    bars: Sequence[Mapping[str, Any]]
    flops: float | None
    moved: float | None
    series: Mapping[str, Any] | None
    machine: str | None
    tiny: bool

    @property
    def per_unit(self) -> float:
        """Seconds per unit of work."""
        return self.median / self.work

    @property
    def above(self) -> int | None:
        """Bytes at the peak of a call beyond those before it."""
        return None if self.peak is None or self.before is None else max(0, self.peak - self.before)


@dataclass(frozen=True)
class Verdict:
    """The outcome of a bar; `state` is ``"aim"``, ``"reached"`` or ``"missed"``."""

    group: str
    name: str
    kind: str
    value: float
    must: float
    aim: float | None
    state: str


@dataclass(frozen=True)
class Fit:
    """Cost against size: seconds grow as `variable` to the power of `exponent`.

    `points` are pairs of size and seconds, per call or as :class:`benchmarks.harness.Series` divides them;
    `worst` is the largest ratio between a point and the fitted line, in either direction.
    """

    name: str
    variable: str
    points: Sequence[tuple[float, float]]
    exponent: float
    worst: float
    most: float | None


@dataclass(frozen=True)
class Roof:
    """The distance of a case from the limits of the machine.

    Attributes
    ----------
    case
        The case.
    intensity
        Operations per byte moved.
    least
        Seconds a call would take at the machine's limits.
    bound
        The limit that applies, ``"operations"`` or ``"memory"``.
    share
        Least time over measured time.
    """

    case: Case
    intensity: float
    least: float
    bound: str
    share: float


def read_cases(benchmarks: Sequence[Mapping[str, Any]]) -> list[Case]:
    """Read the entries ``benchmarks`` of the JSON, in their order, and compute the ratios."""
    per_unit = {
        entry["group"]: entry["stats"]["median"] / entry["extra_info"]["work"]
        for entry in benchmarks
        if entry["extra_info"]["reference"]
    }
    cases = []
    for entry in benchmarks:
        info, stats = entry["extra_info"], entry["stats"]
        base, memory = per_unit.get(entry["group"]), info["memory"] or {}
        cases.append(
            Case(
                group=entry["group"],
                name=info["case"],
                about=info["about"],
                unit=info["unit"],
                threads=info["threads"],
                rounds=stats["rounds"],
                work=info["work"],
                median=stats["median"],
                ratio=None if base is None else base / (stats["median"] / info["work"]),
                before=memory.get("before"),
                peak=memory.get("peak"),
                reference=info["reference"],
                bars=info["bars"],
                flops=info["flops"],
                moved=info["bytes"],
                series=info["series"],
                machine=info["machine"],
                tiny=info["tiny"],
            )
        )
    return cases


def grouped(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Put cases of a group together, groups in the order of their first case."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case)
    return groups


def judge(cases: Sequence[Case]) -> list[Verdict]:
    """Compare every case with its bars, and fitted exponents with theirs."""
    verdicts = []
    for case in cases:
        found = {
            "ratio": case.ratio,
            "rate": case.work / case.median,
            "seconds": case.median,
            "memory": case.above,
            "process": case.peak,
        }
        for bar in case.bars:
            value = found[bar["kind"]]
            if value is None:
                msg = f"{case.group}, {case.name} has a bar on its {bar['kind']}, which was not measured"
                raise ValueError(msg)
            verdicts.append(
                _verdict(case.group, case.name, bar["kind"], float(value), bar["must"], bar["aim"])
            )
    verdicts += [
        _verdict(f"cost against {fit.variable}", fit.name, "exponent", fit.exponent, fit.most, None)
        for fit in fit_exponents(cases)
        if fit.most is not None
    ]
    return verdicts


def _verdict(group: str, name: str, kind: str, value: float, must: float, aim: float | None) -> Verdict:
    sign = 1 if kind in ("ratio", "rate") else -1  # at least, or at most
    if aim is not None and sign * value >= sign * aim:
        state = "aim"
    else:
        state = "reached" if sign * value >= sign * must else "missed"
    return Verdict(group, name, kind, value, must, aim, state)


def fit_exponents(cases: Sequence[Case]) -> list[Fit]:
    """Fit a straight line to log(seconds) against log(size), for each series."""
    series: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        if case.series is not None:
            series.setdefault((case.series["name"], case.series["variable"]), []).append(case)
    fits = []
    for (name, variable), members in series.items():
        points = sorted(
            (float(m.series["value"]), m.median / m.series["per"]) for m in members if m.series is not None
        )
        if len(points) < 2:
            continue
        size, cost = np.log(np.array(points)).T
        exponent, start = np.polyfit(size, cost, 1)
        worst = math.exp(float(np.abs(cost - (exponent * size + start)).max()))
        mosts = [m.series["most"] for m in members if m.series is not None and m.series["most"] is not None]
        fits.append(Fit(name, variable, points, float(exponent), worst, min(mosts, default=None)))
    return fits


def machine_limits(cases: Sequence[Case]) -> dict[int, dict[str, float]]:
    """Return the highest measured operations and bytes per second, by number of threads."""
    limits: dict[int, dict[str, float]] = {}
    for case in cases:
        if case.machine is not None:
            here = limits.setdefault(case.threads, {})
            here[case.machine] = max(here.get(case.machine, 0.0), case.work / case.median)
    return limits


def roofline(cases: Sequence[Case]) -> list[Roof]:
    """Compare each case whose operations and bytes are counted with the machine's limits."""
    limits, roofs = machine_limits(cases), []
    for case in cases:
        limit = limits.get(case.threads, {})
        if case.flops is None or case.moved is None or len(limit) < 2:
            continue
        computing, moving = case.flops / limit["flops"], case.moved / limit["bytes"]
        least = max(computing, moving)
        bound = "operations" if computing >= moving else "memory"
        roofs.append(Roof(case, case.flops / case.moved, least, bound, least / case.median))
    return roofs
