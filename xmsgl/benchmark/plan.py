"""What is to be run: every run is a small value whose content names it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

from xmsgl.benchmark.degrade import is_random, parse_degradation
from xmsgl.benchmark.methods import contender
from xmsgl.benchmark.protocols import protocol_of
from xmsgl.benchmark.runs import Run
from xmsgl.benchmark.sources import source_of
from xmsgl.errors import InvalidArgumentError
from xmsgl.util.spec import parse_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["make_plan"]

DEFAULT_METHODS = ("climatology", "regression", "fine-only", "remap", "msgl", "async-msgl")


def make_plan(
    dataset: str,
    *,
    protocol: str = "temporal",
    fractions: Iterable[float] | None = None,
    methods: Iterable[str] | None = None,
    seeds: int | Iterable[int] = 3,
    draw: int | None = None,
    settings: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    degrade: Iterable[Mapping[str, float]] | None = None,
) -> list[Run]:
    """List the runs of a benchmark, each once.

    A run that a choice can not change is planned once: a method that learns from coarse labels alone
    has no fraction, one that draws nothing no seed.

    Parameters
    ----------
    dataset
        Name of a source.
    protocol
        ``"temporal"`` or ``"spatial"``.
    fractions
        Parts of the fine labels that may be learned from. Default: those of the protocol.
    methods
        Contenders, with settings where wanted: ``"msgl:kernel=reference,hops=5"``.
    seeds
        How many, or which.
    draw
        Seed of the split in all runs, so that only the methods' own seeds differ; None: each run's own.
    settings
        Settings of all networks; a method's own win.
    data
        Arguments of the dataset.
    degrade
        Degradations, each a mapping as :func:`xmsgl.benchmark.degrade.degrade` takes it; one set of runs
        each. Default: one, without any.

    Returns
    -------
    list of Run
        All methods and fractions with the first seed before those with the next.

    Raises
    ------
    UnknownNameError
        No such dataset, protocol, method or degradation.
    InvalidArgumentError
        Settings that do not fit a method, a fraction outside 0..1, no seed or a negative one.

    Examples
    --------
    >>> plan = make_plan("delaware", fractions=[0.01, 1], methods=["climatology", "remap"], seeds=2)
    >>> [(run.method, run.fraction, run.seed, run.draw) for run in plan]
    [('climatology', 0.01, 0, 0), ('remap', None, 0, 0), ('climatology', 1.0, 0, 0),
     ('climatology', 0.01, 0, 1), ('remap', None, 1, 0)]
    """
    source, rules = source_of(dataset), protocol_of(protocol)
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    amounts = [float(fraction) for fraction in fractions or rules.fractions]
    _check(amounts, [*chosen, *([] if draw is None else [draw])])
    arguments = {**source.defaults, **(data or {})}
    levels = [_level(level) for level in degrade or [{}]]
    parsed = [parse_spec(text) for text in methods or DEFAULT_METHODS]
    source.check(arguments)
    runs: dict[str, Run] = {}
    for seed, level, fraction, (method, own) in product(chosen, levels, amounts, parsed):
        everything = {**(settings or {}), **own} if contender(method).trained else own
        wanted = Run(
            dataset,
            protocol,
            method,
            fraction,
            seed=seed,
            draw=seed if draw is None else draw,
            settings=everything,
            data=arguments,
            degrade=level,
        )
        run = _canonical(wanted)
        runs.setdefault(run.id, run)
    return list(runs.values())


def _canonical(run: Run) -> Run:
    """Leave out what can not change a run, so that equal runs are one."""
    who, protocol = contender(run.method), protocol_of(run.protocol)
    protocol.check(run.method, run.settings)
    used = who.sources(run.settings)
    fraction = run.fraction if "fine" in used else None
    level = {name: amount for name, amount in run.degrade.items() if parse_degradation(name)[1] in used}
    drawn = (
        source_of(run.dataset).random
        or protocol.random
        or (fraction is not None and fraction < 1)
        or any(is_random(name) for name in level)
    )
    return replace(
        run,
        fraction=fraction,
        seed=run.seed if who.random else 0,
        draw=run.draw if drawn else 0,
        degrade=level,
    )


def _level(amounts: Mapping[str, Any]) -> dict[str, float]:
    """Write 1 and 1.0 alike, for equal runs have equal ids."""
    for name, amount in amounts.items():
        if isinstance(amount, bool) or not isinstance(amount, int | float):
            msg = f"degrade: {name} is {amount!r}; it must be a number"
            raise InvalidArgumentError(msg)
    return {name: float(amount) for name, amount in amounts.items()}


def _check(fractions: Sequence[float], seeds: Sequence[int]) -> None:
    for fraction in fractions:
        if not 0 < fraction <= 1:
            msg = f"fraction is {fraction}; it is a part of the fine labels, above 0 and up to 1"
            raise InvalidArgumentError(msg)
    if not seeds or min(seeds) < 0:
        msg = f"seeds are {seeds}; give at least one, none below 0"
        raise InvalidArgumentError(msg)
