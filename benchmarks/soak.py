"""Whether a long process keeps its memory and its files: ``python -m benchmarks.soak``, on Linux.

Each round trains, saves, resumes from a checkpoint, loads, downscales (eager and lazy) and reconstructs on a
small simulated basin. The environment variable ``XMSGL_SOAK_MINUTES`` sets the duration. After the warm-up,
resident memory must not grow by more than 5 %, and no file may stay open.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmarks.hardware import status_bytes
from xmsgl.datasets import simulated
from xmsgl.datasets.open import open_file
from xmsgl.models.file.model import load_model
from xmsgl.util.options import set_options

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Sample", "fault", "main", "run_round"]

WARM_UP = 5  # rounds in which libraries are loaded and caches are filled
GROWTH = 1.05
HANDLES = Path("/proc/self/fd")
QUICK: dict[str, Any] = {"hidden": 4, "window": 90, "warmup": 10, "epochs": 2, "device": "cpu"}


class Sample(NamedTuple):
    """Resident memory in bytes and open files after a round."""

    memory: int
    handles: int


def run_round(folder: Path) -> None:
    """Train, save, resume, load, downscale and reconstruct, and compare what must be equal."""
    basin, checkpoint = folder / "basin.nc", folder / "checkpoint"
    with open_file(basin) as lazy:
        ds = lazy.compute()
        model = ds.msgl.train("msgl", checkpoint=checkpoint, **QUICK)
        resumed = ds.msgl.train("msgl", resume=checkpoint, **QUICK)
        loaded = load_model(model.save(folder / "model.safetensors"))
        if not model.sha256 == resumed.sha256 == loaded.sha256:
            msg = "the model, the resumed and the loaded one differ"
            raise RuntimeError(msg)
        eager = ds.msgl.downscale(loaded, device="cpu")
        part = lazy.chunk({"time": 120}).msgl.downscale(loaded, device="cpu")
        part.to_netcdf(folder / "temperature.nc")
        with open_file(folder / "temperature.nc") as written:
            np.testing.assert_allclose(written[part.name].compute(), eager, atol=1e-4)
        sensors = ds.msgl.train("remap", validation="folds:2", **QUICK)
        if not np.isfinite(ds.msgl.reconstruct(sensors, device="cpu")).all():
            msg = "the reconstructed temperature is not finite"
            raise RuntimeError(msg)


def fault(samples: Sequence[Sample]) -> str:
    """Say what grew after the warm-up, or return an empty text."""
    first, last = samples[min(WARM_UP, len(samples)) - 1], samples[-1]
    if last.memory > GROWTH * first.memory:
        return f"memory grew from {first.memory / 1e6:.0f} to {last.memory / 1e6:.0f} MB"
    if last.handles > first.handles:
        return f"open files grew from {first.handles} to {last.handles}"
    return ""


def main() -> None:
    """Repeat rounds for the given minutes, print memory and open files after each, and fail if one grew."""
    seconds = 60 * float(os.environ.get("XMSGL_SOAK_MINUTES", "30"))
    samples: list[Sample] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, set_options(progress=False):
        simulated(n_coarse=6, reaches_per_segment=3, years=1, label_fraction=0.1).to_netcdf(
            Path(name) / "basin.nc"
        )
        while len(samples) <= WARM_UP or time.monotonic() - began < seconds:
            run_round(Path(name))
            gc.collect()
            samples.append(Sample(status_bytes("VmRSS"), len(list(HANDLES.iterdir()))))
            memory, handles = samples[-1]
            minutes = (time.monotonic() - began) / 60
            print(
                f"{minutes:6.1f} min, round {len(samples)}: {memory / 1e6:.1f} MB, {handles} files",
                flush=True,
            )
    if found := fault(samples):
        sys.exit(found)


if __name__ == "__main__":
    main()
