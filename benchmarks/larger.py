"""Memory and time of a training whose drivers stay on disk, beside one in memory.

    python -m benchmarks.larger --folder /tmp/larger

A synthetic basin of 60 segments and 420 reaches with 20 years of weather gets eight random drivers of its
segments and reaches, and is written to Zarr in chunks of a year. Each limit trains ``fine-only`` and ``msgl``
for five epochs in a process of its own. Printed are the memory above that before the training, the time, and
whether the weights are those of the training in memory.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

import xmsgl
from benchmarks.harness import memory_of
from xmsgl.evaluate.table import markdown

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main", "make_store", "train_step"]

LIMITS = ("1 GiB", "64 MiB", "16 MiB")  # the first one holds everything
METHODS = ("fine-only", "msgl")


def make_store(path: Path, *, n_coarse: int = 60, years: int = 20, drivers: int = 8) -> None:
    """Write the basin; an eighth of the reaches keeps its observations."""
    ds = xmsgl.datasets.simulated(n_coarse=n_coarse, years=years)
    ds = ds.drop_vars([name for name in ds.variables if ds[name].dtype.kind not in "iufM"])
    rng = np.random.default_rng(0)
    for name in (f"driver{k}_{scale}" for k in range(drivers) for scale in ("coarse", "fine")):
        dims = "time", name.rpartition("_")[2]
        values = rng.normal(size=[ds.sizes[dim] for dim in dims]).astype(np.float32)
        ds[name] = dims, values, {"units": "1"}
    observed = xr.DataArray(np.arange(ds.sizes["fine"]) % 8 == 0, dims="fine")
    ds["water_temperature_fine"] = ds["water_temperature_fine"].where(observed)
    ds.chunk(time=365).to_zarr(path, consolidated=False)


def train_step(path: str, method: str, limit: str, epochs: int, note: str | None) -> Callable[[], None]:
    """Return a step that trains on a store and notes its seconds and the digest of the model."""
    if not Path(path).exists():
        make_store(Path(path), n_coarse=3, years=1, drivers=1)
    ds = xr.open_zarr(path, consolidated=False)

    def step() -> None:
        start = time.perf_counter()
        with xmsgl.set_options(training_memory=limit):
            model = ds.msgl.train(method, epochs=epochs, warmup=30, device="cpu", progress=False)
        if note is not None:
            facts = {"seconds": time.perf_counter() - start, "sha256": model.sha256}
            Path(note).write_text(json.dumps(facts))

    return step


def main(argv: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for the store, 150 MB")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--n-coarse", type=int, default=60)
    parser.add_argument("--years", type=int, default=20)
    asked = parser.parse_args(argv)
    store, small, note = (asked.folder / name for name in ("basin.zarr", "small.zarr", "note.json"))
    if not store.exists():
        make_store(store, n_coarse=asked.n_coarse, years=asked.years)
    rows: list[list[str]] = []
    for method in METHODS:
        first = None
        for limit in LIMITS:
            sizes = {"path": str(store), "method": method, "limit": limit, "epochs": asked.epochs}
            warm = {**sizes, "path": str(small), "epochs": 1, "note": None}
            used = memory_of(train_step, {**sizes, "note": str(note)}, warm, 1)
            facts = json.loads(note.read_text())
            first = first or facts["sha256"]
            memory = f"{(used['peak'] - used['before']) / 2**20:.0f}"
            same = "yes" if facts["sha256"] == first else "no"
            rows.append([f"`{method}`", limit, memory, f"{facts['seconds']:.0f}", same])
    print(markdown(["method", "`training_memory`", "memory, MiB", "time, s", "same weights"], rows, (0, 1)))


if __name__ == "__main__":
    from benchmarks import larger  # by the name that other processes import the step from

    larger.main()
