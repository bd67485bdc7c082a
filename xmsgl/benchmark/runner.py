"""Executing runs: one after the other in this process, or in parallel processes."""

from __future__ import annotations

import logging
import os
import signal
import traceback
from contextlib import contextmanager
from multiprocessing import connection, get_context
from typing import TYPE_CHECKING, Any

import dask

from xmsgl.benchmark.store import Store
from xmsgl.benchmark.work import execute
from xmsgl.errors import InvalidArgumentError
from xmsgl.util.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

    from xmsgl.benchmark.runs import Run

__all__ = ["do_runs"]

logger = logging.getLogger(__name__)

# Read by the libraries when they are loaded; parallel processes use one thread each.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def do_runs(runs: Sequence[Run], store: Store, *, jobs: int = 1, device: str = "auto") -> list[str]:
    """Execute all runs that are not finished, whether or not some fail; return the ids of those that do."""
    if jobs < 1:
        msg = f"jobs must be at least 1, got {jobs}"
        raise InvalidArgumentError(msg)
    missing = set(store.missing(run.id for run in runs))
    todo = [run for run in runs if run.id in missing]
    failed: list[str] = []
    with progress_bar(len(runs), "benchmark", unit="run", initial=len(runs) - len(todo)) as bar:
        ended = _in_turn(todo, store, device, bar) if jobs == 1 else _in_parallel(todo, store, jobs, device)
        for run in ended:
            bar.update()
            if store.is_finished(run.id):
                logger.info("run %s finished", run.id)
            else:
                failed.append(run.id)
                reasons = {failure["id"]: failure["error"] for failure in store.failures()}
                logger.warning("run %s failed: %s", run.id, reasons.get(run.id, "unknown"))
    return failed


def _in_turn(runs: Sequence[Run], store: Store, device: str, bar: Any) -> Iterator[Run]:
    for run in runs:
        bar.set_postfix_str(run.id)
        _attempt(
            run,
            store.folder,
            device,
            lambda epoch, name=run.id: bar.set_postfix_str(f"{name}, epoch {epoch}"),
        )
        yield run


def _attempt(run: Run, folder: Path, device: str, tell: Any = lambda _: None) -> None:
    """Execute a run; an error is written into the folder of the benchmark."""
    logger.info("run %s begins", run.id)
    try:
        execute(run, folder, device=device, tell=tell)
    except Exception as error:  # noqa: BLE001 - the failure of one run must not stop the others
        name = type(error).__name__
        Store(folder).fail(run.id, run.to_dict(), f"{name}: {error}", traceback.format_exc())


def _child(run: Run, folder: Path, device: str) -> None:
    """Execute one run in its own process, which ignores Ctrl-C because the parent handles it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with dask.config.set(scheduler="synchronous"):
        _attempt(run, folder, device)


def _in_parallel(runs: Sequence[Run], store: Store, jobs: int, device: str) -> Iterator[Run]:
    """Execute each run in its own process, `jobs` at a time; a killed process fails only its own run."""
    spawn = get_context("spawn")
    waiting = list(runs)
    busy: dict[SpawnProcess, Run] = {}
    try:
        while waiting or busy:
            with _one_thread():
                while waiting and len(busy) < jobs:
                    run = waiting.pop(0)
                    process = spawn.Process(target=_child, args=(run, store.folder, device))
                    process.start()
                    busy[process] = run
            ended = connection.wait([process.sentinel for process in busy])
            for process in [each for each in busy if each.sentinel in ended]:
                process.join()
                run = busy.pop(process)
                if process.exitcode != 0:
                    store.fail(run.id, run.to_dict(), f"its process ended with code {process.exitcode}")
                yield run
    finally:
        for process in busy:
            process.terminate()
        for process in busy:
            process.join()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes started here load their libraries with one thread."""
    former = {name: os.environ[name] for name in _THREADS if name in os.environ}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name in _THREADS:
            del os.environ[name]
        os.environ.update(former)
