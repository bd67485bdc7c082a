"""One way to time everything: what a case is, how threads are pinned, how large things are.

A suite is a file ``bench_*.py`` with functions ``bench_*``, one timed case each ::

    SMALL = Group("cell, small", "Forward and backward over a year of a small basin.")

    def build_cell(backend, nodes, days):      # in the module itself: memory is measured elsewhere
        ...
        return step                            # a function without arguments: this is timed

    @pytest.mark.parametrize("backend", ["dense", "numba"])
    def bench_small(case, backend):
        sizes = {"backend": backend, "nodes": sized(456, 30), "days": sized(365, 5)}
        case(SMALL, backend, build_cell, sizes, reference=backend == "dense",
             bars=[Bar("ratio", must=4, aim=8)] if backend == "numba" else [])

``case`` is a fixture, a :class:`Runner`. What it finds goes into the JSON of pytest-benchmark; the
ratios are computed from that by :mod:`benchmarks.report`.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from benchmarks.hardware import begin_memory, cores, peak_memory
from xmsgl.training.memory import freed_memory_kept

__all__ = ["Bar", "Group", "Runner", "Series", "Step", "cores", "is_tiny", "memory_of", "pinned", "sized"]

ROOT = Path(__file__).parents[1]

Value = TypeVar("Value")
Step = Callable[[], Any]
Kind = Literal["ratio", "rate", "seconds", "memory", "process"]


@dataclass(frozen=True)
class Group:
    """Cases that are compared with one another.

    Parameters
    ----------
    name
        Its title in the report.
    about
        What is compared and what it means, a few plain sentences for the report.
    """

    name: str
    about: str


@dataclass(frozen=True)
class Bar:
    """What a case has to reach.

    Parameters
    ----------
    kind
        ``"ratio"`` (times faster than the group's reference, per unit of work) and ``"rate"`` (units of
        work a second): at least. ``"seconds"`` (a call), ``"memory"`` (bytes a call takes above what there
        was before it) and ``"process"`` (bytes at the peak, libraries and inputs among them): at most.
    must, aim
        The bar, and the one hoped for.
    """

    kind: Kind
    must: float
    aim: float | None = None


@dataclass(frozen=True)
class Series:
    """A case's place among others of different size, to fit how cost grows.

    Parameters
    ----------
    name
        What is fitted, for example ``"cell, numba"``. Cases with the same name and variable belong together.
    variable
        What grows: ``"N"``, ``"T"``, ``"H"``.
    value
        Its value here.
    per
        Fitted is seconds a call divided by this, for example by the number of days if N grows.
    most
        The greatest exponent allowed, if there is a bar.
    """

    name: str
    variable: str
    value: float
    per: float = 1.0
    most: float | None = None


def is_tiny() -> bool:
    """Tell whether things are only to be seen to run: environment variable XMSGL_BENCH, tiny or full."""
    size = os.environ.get("XMSGL_BENCH", "full")
    if size not in ("tiny", "full"):
        msg = f"XMSGL_BENCH must be tiny or full, not {size!r}"
        raise ValueError(msg)
    return size == "tiny"


def sized(full: Value, tiny: Value) -> Value:
    """Choose a size by the environment variable XMSGL_BENCH."""
    return tiny if is_tiny() else full


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Let torch, NumPy's BLAS and Numba use so many threads for a while.

    Raises
    ------
    RuntimeError
        If torch or a BLAS uses another number nevertheless: what is timed then would be something else.
    """
    import numba
    import torch
    from threadpoolctl import threadpool_info, threadpool_limits

    before = torch.get_num_threads()
    # First of all: when Numba starts its pool, it sets the threads of OpenMP, and so those of torch.
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        with threadpool_limits(threads):
            torch.set_num_threads(threads)
            used = {"torch": torch.get_num_threads()}
            used |= {pool["internal_api"]: pool["num_threads"] for pool in threadpool_info()}
            if set(used.values()) != {threads}:
                msg = f"{threads} threads were asked for, but in use are {used}"
                raise RuntimeError(msg)
            yield
    finally:
        torch.set_num_threads(before)


def memory_of(
    build: Callable[..., Step], sizes: Mapping[str, Any], warm: Mapping[str, Any] | None, threads: int
) -> dict[str, int]:
    """Run a step once in a process of its own and see how much memory it took.

    Returns
    -------
    dict
        Bytes resident ``before`` the step and at its ``peak``.
    """
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    asked = {
        "module": build.__module__,
        "build": build.__name__,
        "sizes": dict(sizes),
        "warm": None if warm is None else dict(warm),
        "threads": threads,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", json.dumps(asked)],
        cwd=ROOT,
        env={**os.environ, **dict.fromkeys(counts, str(threads))},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        msg = f"the process that measures the memory of {build.__name__} failed:\n{done.stderr[-3000:]}"
        raise RuntimeError(msg)
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def memory_here(step: Step) -> dict[str, int]:
    """Run a step once more in this process, with what is free already in it: only to be seen to run."""
    before = begin_memory()
    step()
    return {"before": before, "peak": peak_memory()}


class Runner:
    """The fixture ``case``: times one case and keeps what is needed to judge it.

    Parameters
    ----------
    benchmark
        The fixture of pytest-benchmark.
    """

    def __init__(self, benchmark: Any) -> None:
        self._benchmark = benchmark

    def __call__(
        self,
        group: Group,
        name: str,
        build: Callable[..., Step],
        sizes: Mapping[str, Any] | None = None,
        *,
        threads: int = 1,
        reference: bool = False,
        rounds: int = 5,
        warmup: int = 1,
        work: float = 1.0,
        unit: str = "call",
        bars: Sequence[Bar] = (),
        memory: bool = False,
        warm: Mapping[str, Any] | None = None,
        flops: float | None = None,
        moved: float | None = None,
        series: Series | None = None,
        machine: Literal["flops", "bytes"] | None = None,
        kept: bool = False,
    ) -> Any:
        """Time one case; once a test.

        Parameters
        ----------
        group, name
            Where it belongs and what it is called there.
        build
            Function in a module of this folder; ``build(**sizes)`` prepares everything and returns the
            step to time, a function without arguments.
        sizes
            Arguments of `build`, plain values that JSON knows.
        threads
            Threads to use; at most as many as there are cores, and 1 at tiny size.
        reference
            Whether the others of the group are compared with this one. Each group has one.
        rounds, warmup
            Calls timed one by one, and calls before them. At tiny size 2 and 1.
        work, unit
            How many units of work a call does, and what they are: ratios are per unit.
        bars
            What it has to reach.
        memory
            Whether to measure the peak memory of one call, in a process of its own.
        warm
            Arguments of `build` that differ there for a first, small run, which loads and compiles all
            code, so that this does not count as memory of the step. Default: none is made.
        flops, moved
            Operations and bytes a call can not do without, by formula, for the roofline.
        series
            Place among cases of other sizes.
        machine
            Whether `work` a second of this case is the machine's own limit, of operations or of bytes.
        kept
            Time it with the memory that is freed kept for the next call, as between steps of a training.

        Returns
        -------
        Any
            What the last call of the step returned.
        """
        threads = 1 if is_tiny() else min(threads, cores())
        sizes = dict(sizes or {})
        rounds, warmup = (2, 1) if is_tiny() else (rounds, warmup)
        bench = self._benchmark
        bench.group = group.name
        with pinned(threads), freed_memory_kept() if kept else nullcontext():
            step = build(**sizes)
            result = bench.pedantic(step, setup=_tidy, rounds=rounds, warmup_rounds=warmup)
            measured = memory_here(step) if memory and is_tiny() else None
            del step
        _tidy()
        if memory and not is_tiny():
            measured = memory_of(build, sizes, None if warm is None else {**sizes, **warm}, threads)
        bench.extra_info.update(
            case=name,
            about=group.about,
            threads=threads,
            sizes=sizes,
            reference=reference,
            work=work,
            unit=unit,
            bars=[asdict(bar) for bar in bars],
            memory=measured,
            flops=flops,
            bytes=moved,
            series=None if series is None else asdict(series),
            machine=machine,
            tiny=is_tiny(),
        )
        return result


def _tidy() -> None:
    gc.collect()
