"""How every case is timed: threads, sizes, memory, and what is stored.

A suite is a file ``bench_*.py`` with functions ``bench_*``, one timed case each ::

    SMALL = Group("cell, small", "Forward and backward over a year of a small basin.")

    def build_cell(backend, nodes, days):      # at module level: another process measures the memory
        ...
        return step                            # a function without arguments: this is timed

    @pytest.mark.parametrize("backend", ["dense", "numba"])
    def bench_small(case, backend):
        sizes = {"backend": backend, "nodes": sized(456, 30), "days": sized(365, 5)}
        case(SMALL, backend, build_cell, sizes, reference=backend == "dense",
             bars=[Bar("ratio", must=4, aim=8)] if backend == "numba" else [])

``case`` is a fixture, a :class:`Runner`. Its results go into the JSON of pytest-benchmark, from which
:mod:`benchmarks.report` computes the ratios.
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
        What is compared and why, in a few plain sentences for the report.
    """

    name: str
    about: str


@dataclass(frozen=True)
class Bar:
    """The performance required of a case.

    Parameters
    ----------
    kind
        ``"ratio"`` (times faster than the group's reference, per unit of work) and ``"rate"`` (units of
        work a second): at least. ``"seconds"`` (per call), ``"memory"`` (bytes of a call beyond those before
        it) and ``"process"`` (bytes at the peak, libraries and inputs included): at most.
    must, aim
        The value required, and the value aimed for.
    """

    kind: Kind
    must: float
    aim: float | None = None


@dataclass(frozen=True)
class Series:
    """The position of a case in a series of different sizes, to fit how the cost grows.

    Parameters
    ----------
    name
        What is fitted, for example ``"cell, numba"``. Cases with the same name and variable belong together.
    variable
        The size that varies: ``"N"``, ``"T"``, ``"H"``.
    value
        Its value in this case.
    per
        Divisor of the seconds per call before the fit, for example the number of days if N varies.
    most
        The largest exponent allowed, if there is a bar.
    """

    name: str
    variable: str
    value: float
    per: float = 1.0
    most: float | None = None


def is_tiny() -> bool:
    """Return whether XMSGL_BENCH is tiny: cases only have to run. Otherwise it is full."""
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
    """Let torch, NumPy's BLAS and Numba use this number of threads.

    Raises
    ------
    RuntimeError
        If torch or a BLAS still uses another number, which would make the timing meaningless.
    """
    import numba
    import torch
    from threadpoolctl import threadpool_info, threadpool_limits

    before = torch.get_num_threads()
    # Before the others: when Numba starts its pool, it sets the threads of OpenMP, and so those of torch.
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        with threadpool_limits(threads):
            torch.set_num_threads(threads)
            used = {"torch": torch.get_num_threads()}
            used |= {pool["internal_api"]: pool["num_threads"] for pool in threadpool_info()}
            if set(used.values()) != {threads}:
                msg = f"{threads} threads were requested, but the libraries use {used}"
                raise RuntimeError(msg)
            yield
    finally:
        torch.set_num_threads(before)


def memory_of(
    build: Callable[..., Step], sizes: Mapping[str, Any], warm: Mapping[str, Any] | None, threads: int
) -> dict[str, int]:
    """Run a step once in its own process and measure its memory.

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
    """Run a step once more in this process, only to check that it runs; the memory is not exact."""
    before = begin_memory()
    step()
    return {"before": before, "peak": peak_memory()}


class Runner:
    """The fixture ``case``: times one case and stores what is needed to judge it.

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
        """Time one case; once per test.

        Parameters
        ----------
        group, name
            Its group, and its name in the group.
        build
            Function in a module of this folder; ``build(**sizes)`` prepares everything and returns the
            step to time, a function without arguments.
        sizes
            Arguments of `build`, as JSON values.
        threads
            Threads to use; at most as many as there are cores, and 1 at tiny size.
        reference
            Whether the others of the group are compared with this one. Each group has one.
        rounds, warmup
            Calls timed one by one, and calls before them. At tiny size 2 and 1.
        work, unit
            Number and name of the units of work of a call: ratios are per unit.
        bars
            Performance required.
        memory
            Whether to measure the peak memory of one call, in its own process.
        warm
            Arguments of `build` for a first, small run in that process, which loads and compiles all
            code, so that this does not count as memory of the step. Default: no such run.
        flops, moved
            Least operations and bytes of a call, by formula, for the roofline.
        series
            Position among cases of other sizes.
        machine
            Set if `work` per second of this case is the machine's own limit, of operations or of bytes.
        kept
            Keep freed memory for the next call, as between steps of a training.

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
