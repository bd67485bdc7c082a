"""Executing runs: one after the other in this process, or in parallel processes."""

from __future__ import annotations

import logging
import os
import signal
import time
import traceback
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import connection, get_context
from typing import TYPE_CHECKING, Any

import dask

from xmsgl.benchmark.machine import code_digest, describe_machine, versions
from xmsgl.benchmark.methods import Place, contender
from xmsgl.benchmark.protocols import make_split, training_of
from xmsgl.benchmark.scores import pair_up, score_pairs
from xmsgl.benchmark.sources import COARSE, FINE
from xmsgl.errors import InvalidArgumentError
from xmsgl.prediction.prefetch import resolve_device
from xmsgl.util.cluster import connected
from xmsgl.util.options import set_options
from xmsgl.util.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

    from xmsgl.benchmark.protocols import Split
    from xmsgl.benchmark.runs import Run
    from xmsgl.benchmark.store import Store

__all__ = ["do_runs"]

logger = logging.getLogger(__name__)

# Read by the libraries when they are loaded; parallel processes use one thread each.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def do_runs(
    runs: Sequence[Run], store: Store, *, jobs: int = 1, device: str = "auto", scheduler: str | None = None
) -> list[str]:
    """Execute all runs that are not finished, whether or not some fail; return the ids of those that do."""
    if jobs < 1:
        msg = f"jobs must be at least 1, got {jobs}"
        raise InvalidArgumentError(msg)
    if scheduler is not None and jobs > 1:
        msg = f"jobs={jobs} are processes of this machine; leave it out with a scheduler, which has workers"
        raise InvalidArgumentError(msg)
    missing = set(store.missing(run.id for run in runs))
    todo = [run for run in runs if run.id in missing]
    failed: list[str] = []
    with progress_bar(len(runs), "benchmark", unit="run", initial=len(runs) - len(todo)) as bar:
        if scheduler is not None:
            ended = _on_cluster(todo, store, scheduler, device)
        elif jobs > 1:
            ended = _in_parallel(todo, store, jobs, device)
        else:
            ended = _in_turn(todo, store, device, bar)
        for run in ended:
            bar.update()
            if store.is_finished(run.id):
                logger.info("run %s finished", run.id)
            else:
                failed.append(run.id)
                reasons = {failure["id"]: failure["error"] for failure in store.failures()}
                logger.warning("run %s failed: %s", run.id, reasons.get(run.id, "unknown"))
    return failed


def execute(run: Run, store: Store, device: str, on_epoch: Callable[[int], None] = lambda _: None) -> None:
    """Execute a run, or the rest of it, and write its files."""
    wall, cpu = time.perf_counter(), time.process_time()
    with set_options(progress=False):
        split = make_split(run)
        trained = None if split.sensors is None else _same_training(run, store)
        place = Place(store.work(run.id), device, on_epoch, trained)
        outcome = contender(run.method).run(split, run.seed, run.settings, place)
        pairs = pair_up(outcome.prediction, split)
    about, model = {}, outcome.model
    if model is not None:
        about = {
            "parameters": sum(tensor.numel() for tensor in model.weights.values()),
            "sha256": model.sha256,
            "history": model.history,
            "epoch_seconds": outcome.epoch_seconds,
        }
    took = {"wall_s": time.perf_counter() - wall + outcome.earlier, "cpu_s": time.process_time() - cpu}
    record = {
        "id": run.id,
        "run": run.to_dict(),
        "n": len(pairs),
        "labels": _labels(split, run),
        **took,
        "resumed": outcome.earlier > 0,
        **about,
        "device": "cpu" if model is None else str(resolve_device(device)),
        "hardware": describe_machine(device),
        "versions": versions(),
        "code": code_digest(),
        "finished": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    payload = None if model is None else model.payload
    store.finish(run.id, record, pairs=pairs, scores=score_pairs(pairs), model=payload)


def _same_training(run: Run, store: Store) -> Path | None:
    """Return the model of a finished run that has learned from the same with the same settings."""
    wanted, code = training_of(run.to_dict()), code_digest()
    for record in store.records():
        if "sha256" in record and record["code"] == code and training_of(record["run"]) == wanted:
            return store.runs / str(record["id"]) / "model.safetensors"
    return None


def _labels(split: Split, run: Run) -> dict[str, int]:
    """Count the labels that the method learned from, validation included."""
    used = contender(run.method).sources(run.settings)
    names = {"fine": FINE, "coarse": COARSE}
    return {
        scale: int(split.training[name].count())
        for scale, name in names.items()
        if scale in used and name in split.training
    }


def _in_turn(runs: Sequence[Run], store: Store, device: str, bar: Any) -> Iterator[Run]:
    for run in runs:
        bar.set_postfix_str(run.id)
        _attempt(run, store, device, lambda epoch, name=run.id: bar.set_postfix_str(f"{name}, epoch {epoch}"))
        yield run


def _attempt(run: Run, store: Store, device: str, on_epoch: Any = lambda _: None) -> None:
    """Execute a run; an error is written into the folder of the benchmark."""
    logger.info("run %s begins", run.id)
    try:
        execute(run, store, device, on_epoch)
    except Exception as error:  # noqa: BLE001 - the failure of one run must not stop the others
        store.fail(run.id, run.to_dict(), f"{type(error).__name__}: {error}", traceback.format_exc())


def _child(run: Run, store: Store, device: str) -> None:
    """Execute one run in its own process, which ignores Ctrl-C because the parent handles it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with dask.config.set(scheduler="synchronous"):
        _attempt(run, store, device)


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
                    process = spawn.Process(target=_child, args=(run, store, device))
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


def _task(run: Run, store: Store, device: str) -> None:
    """Execute one run on a worker, without tasks of its own on the cluster."""
    with dask.config.set(scheduler="synchronous"):
        _attempt(run, store, device)


def _on_cluster(runs: Sequence[Run], store: Store, scheduler: str, device: str) -> Iterator[Run]:
    """Execute each run as one task of a worker; one that the cluster gives up is a failed run."""
    with connected(scheduler) as client:
        from distributed import as_completed

        shared = replace(store, folder=store.folder.resolve())
        tasks = {client.submit(_task, run, shared, device, pure=False): run for run in runs}
        for future in as_completed(tasks):  # type: ignore[no-untyped-call]
            run = tasks[future]
            if future.status != "finished":
                store.fail(run.id, run.to_dict(), f"its worker did not end it: {future.exception()}")
            elif not store.is_finished(run.id) and run.id not in {each["id"] for each in store.failures()}:
                msg = f"its worker does not write into the same {shared.folder}; share the folder"
                store.fail(run.id, run.to_dict(), msg)
            yield run


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
