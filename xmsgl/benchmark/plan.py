"""The runs of a benchmark."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

from xmsgl.benchmark.degrade import is_random, parse_degradation
from xmsgl.benchmark.methods import contender
from xmsgl.benchmark.protocols import PROTOCOLS
from xmsgl.benchmark.runs import Run
from xmsgl.benchmark.sources import SOURCES
from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.training.settings import STACK
from xmsgl.util.arguments import checked
from xmsgl.util.spec import MOST_SEEDS, parse_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["make_plan"]

DEFAULT_METHODS = ("climatology", "regression", "fine-only", "remap", "msgl", "async-msgl", STACK)


@checked
def make_plan(
    dataset: str,
    *,
    protocol: str = "temporal",
    fractions: Iterable[float] | None = None,
    methods: Iterable[str] | None = None,
    seeds: int | Iterable[int] = 3,
    draw: int | Iterable[int] | None = None,
    settings: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    degrade: Iterable[Mapping[str, float]] | None = None,
) -> list[Run]:
    """List the runs of a benchmark, each once.

    A method that learns from coarse labels alone has no fraction, one without random numbers no seed.

    Parameters
    ----------
    dataset, protocol, fractions, methods, seeds, draw, settings, data, degrade
        As for :func:`run`. A method's own settings override `settings`.

    Returns
    -------
    list of Run
        All methods and fractions with the first seed before those with the next.

    Raises
    ------
    UnknownNameError
        No such dataset, protocol, method or degradation.
    InvalidArgumentError
        Settings that a method does not have, a fraction outside 0..1, no seed or a negative one.

    Examples
    --------
    >>> plan = make_plan("delaware", fractions=[0.01, 1], methods=["climatology", "remap"], seeds=2)
    >>> [(run.method, run.fraction, run.seed, run.draw) for run in plan]
    [('climatology', 0.01, 0, 0), ('remap', None, 0, 0), ('climatology', 1.0, 0, 0),
     ('climatology', 0.01, 0, 1), ('remap', None, 1, 0)]
    """
    source, rules = SOURCES[dataset], PROTOCOLS[protocol]
    chosen = list(range(seeds)[: MOST_SEEDS + 1]) if isinstance(seeds, int) else list(seeds)
    amounts = [float(each) for each in list(() if fractions is None else fractions) or rules.fractions]
    draws = [None] if draw is None else [draw] if isinstance(draw, int) else list(draw)
    _check(amounts, [*chosen, *(each for each in draws if each is not None)])
    arguments = {**source.defaults, **(data or {})}
    # As floats, because 1 and 1.0 must give equal ids.
    levels = [{name: float(amount) for name, amount in level.items()} for level in degrade or [{}]]
    # Common settings, such as fewer epochs for a quick look, are not those of a stack.
    default = [name for name in DEFAULT_METHODS if name != STACK or not settings]
    parsed = [parse_spec(text) for text in methods or default]
    source.check(arguments)
    runs: dict[str, Run] = {}
    for seed, own_draw, level, fraction, (method, own) in product(chosen, draws, levels, amounts, parsed):
        everything = {**(settings or {}), **own} if contender(method).trained else own
        drawn = seed if own_draw is None else own_draw
        run = _canonical(Run(dataset, protocol, method, fraction, seed, drawn, everything, arguments, level))
        runs.setdefault(run.id, run)
    return list(runs.values())


def _canonical(run: Run) -> Run:
    """Remove what does not affect a run, so that equal runs have equal ids."""
    who, protocol = contender(run.method), PROTOCOLS[run.protocol]
    protocol.check(run.method, run.settings)
    used = who.sources(run.settings)
    fraction = run.fraction if "fine" in used else None
    level = {name: amount for name, amount in run.degrade.items() if parse_degradation(name)[1] in used}
    drawn = (
        SOURCES[run.dataset].random
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


def _check(fractions: Sequence[float], seeds: Sequence[int]) -> None:
    for fraction in fractions:
        if not 0 < fraction <= 1:
            msg = f"fraction is {fraction}; it must be above 0 and at most 1"
            raise InvalidArgumentError(msg)
    if not 0 < len(seeds) <= MOST_SEEDS or min(seeds) < 0:
        msg = f"seeds are {shorten(seeds) or 'none'}; give 1 to {MOST_SEEDS:,} seeds, and none below 0"
        raise InvalidArgumentError(msg)
