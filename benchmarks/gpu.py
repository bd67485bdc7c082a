"""Time every backend of the recurrent cell on a GPU: ``python -m benchmarks.gpu OUT.md``, or ``make gpu``.

Forward and backward over a year, in single precision, and the best of the processor in the same run. Each
backend must give the states of `reference` before it is timed.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmarks.bench_cell import FEATURES, HIDDEN, river_operator
from benchmarks.hardware import describe_machine
from benchmarks.report import seconds, table
from xmsgl.models.cell.cell import CELL_BACKENDS, RecurrentGraphCell
from xmsgl.models.parts.operator import GraphOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main", "page", "rows"]

ROUNDS = 7
SIZES = ((456, 365), (10_000, 365))  # nodes, days
ONLY = {"numba": "cpu", "triton": "cuda"}  # where a backend runs, if not everywhere
NO_GPU = (
    "no CUDA device found by torch; run make gpu on a machine with an Nvidia GPU and a CUDA build of torch"
)


def prepare(backend: str, device: str, nodes: int, days: int) -> Callable[[], torch.Tensor]:
    """Return a function that runs a window forward and backward, and waits until it is done."""
    torch.manual_seed(0)
    cell = RecurrentGraphCell(FEATURES, HIDDEN, backend=backend)
    x = torch.randn(days, nodes, 1, FEATURES).to(device).requires_grad_()
    pull = torch.randn(days, nodes, 1, HIDDEN).to(device)
    cell, operator = cell.to(device), GraphOperator(river_operator(nodes), device=device)

    def step() -> torch.Tensor:
        x.grad = None
        cell.zero_grad()
        states = cell(x, operator)[0]
        states.backward(pull)
        if device == "cuda":
            torch.cuda.synchronize()
        return states.detach().cpu()

    return step


def runs_on(backend: str, device: str) -> bool:
    """Say whether a backend runs on a device."""
    installed = backend != "triton" or importlib.util.find_spec("triton") is not None
    return installed and ONLY.get(backend, device) == device


def rows(nodes: int, days: int, devices: Sequence[str], rounds: int = ROUNDS) -> list[list[str]]:
    """Time all backends on all devices; each must give the states of `reference` on the processor."""
    expected = prepare("reference", "cpu", nodes, min(days, 30))()
    found = []
    for device in devices:
        for backend in sorted(CELL_BACKENDS):
            if not runs_on(backend, device):
                continue
            few = prepare(backend, device, nodes, min(days, 30))()
            torch.testing.assert_close(few, expected, rtol=1e-3, atol=1e-3)
            step = prepare(backend, device, nodes, days)
            step()  # compiles
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            times = [_timed(step) for _ in range(rounds)]
            memory = f"{torch.cuda.max_memory_allocated() / 1e9:.2f} GB" if device == "cuda" else ""
            median = statistics.median(times)
            found.append([f"{backend}, {device}", seconds(median), seconds(median / days), memory])
    return found


def _timed(step: Callable[[], torch.Tensor]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def page(measured: dict[tuple[int, int], list[list[str]]], gpu: str) -> str:
    """Write the page."""
    machine = describe_machine()
    about = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "GPU": gpu,
        "processor": f"{machine['processor']}, {machine['cores']} cores, {torch.get_num_threads()} threads",
        "versions": ", ".join(f"{name} {version}" for name, version in machine["versions"].items()),
    }
    lines = [
        "---\norphan: true\n---\n",
        "# Speed on a GPU\n",
        "Written by `make gpu`: forward and backward of the recurrent cell, single precision, 7 inputs, 20 "
        "channels, one window;\nthe median of 7 calls after a warm-up, and the most memory of the GPU.\n",
        *table(["run", ""], [list(row) for row in about.items()]),
    ]
    for (nodes, days), found in measured.items():
        lines += [f"\n## {nodes:,} reaches, {days} days\n"]
        lines += table(["backend", "median", "per day", "memory"], found)
    return "\n".join(lines) + "\n"


def main(out: str | None) -> None:
    """Check that there is a GPU; with a path, time the backends and write the page."""
    if not torch.cuda.is_available():
        sys.exit(NO_GPU)
    if out is None:
        return
    measure = partial(rows, devices=("cuda", "cpu"))
    measured = {size: measure(*size) for size in SIZES[:1]}
    measured |= {size: rows(*size, devices=("cuda",)) for size in SIZES[1:]}
    text = page(measured, torch.cuda.get_device_name())
    Path(out).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
