"""What is to be run: every run is a small value whose content names it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from xmsgl.benchmark.methods import contender
from xmsgl.benchmark.protocols import protocol_of
from xmsgl.benchmark.sources import source_of
from xmsgl.errors import InvalidArgumentError
from xmsgl.evaluate.degrade import is_random, parse_degradation
from xmsgl.words import parse_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Run", "make_plan"]

DEFAULT_METHODS = ("climatology", "regression", "fine-only", "remap", "msgl", "async-msgl")


@dataclass(frozen=True)
class Run:
    """One method, trained and scored once.

    Attributes
    ----------
    dataset
        Name of a source, see :mod:`xmsgl.benchmark.sources`.
    protocol
        ``"temporal"`` or ``"spatial"``.
    method
        Name of a contender, see :mod:`xmsgl.benchmark.methods`.
    fraction
        Part of the fine labels that may be learned from; None for a method that uses none of them.
    seed
        Of the method: initial weights, order of windows. 0 for a method that draws nothing.
    draw
        Seed of the split: which labels are kept, which segments are held out, which basin is simulated.
        0 where nothing is drawn.
    settings
        Arguments of the method.
    data
        Arguments of the dataset.
    degrade
        What is made worse before the split, see :mod:`xmsgl.evaluate.degrade`.
    """

    dataset: str
    protocol: str
    method: str
    fraction: float | None
    seed: int
    draw: int
    settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    degrade: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the run as plain values, ready for JSON."""
        return asdict(self)

    @property
    def id(self) -> str:
        """Name of the run and of its files, from words to read, seed and draw, and a digest of its content.

        Examples
        --------
        >>> Run("simulated", "temporal", "msgl", 0.01, seed=0, draw=0).id
        'simulated-temporal-msgl-0.01-s0d0-8a4291b1e1'
        """
        content = json.dumps(self.to_dict(), sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()[:10]
        amount = "any" if self.fraction is None else f"{self.fraction:g}"
        words = (self.dataset, self.protocol, self.method, amount, f"s{self.seed}d{self.draw}")
        return "-".join(re.sub(r"[^\w.-]", "_", word) for word in (*words, digest))


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
        Degradations, each a mapping as :func:`xmsgl.evaluate.degrade.degrade` takes it; one set of runs
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
