"""A continent on this machine: daily temperature of 2.7 million reaches, from Zarr to Zarr.

    python -m benchmarks.continental FOLDER                                  # 2.7 million reaches, 31 days
    python -m benchmarks.continental FOLDER --reaches 100000 --days 3650 --workers 2
    python -m benchmarks.continental                                         # write the page again

The network is a random forest with one basin of 1.2 million reaches and 1,341 others. Its weather, at the
coarse scale, is drawn block by block while it is written. Then the command ``xmsgl downscale --resume`` reads
the one store and writes the other, in this process, or on a local cluster of dask.distributed with one thread
a worker. A run is stored as a row in ``docs/scaling.json``, and ``docs/scaling.md`` is made of the rows.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
import zarr

from benchmarks.basins import DRIVERS, STATICS, make_basin
from benchmarks.bench_downscale import make_model
from benchmarks.hardware import describe_machine
from benchmarks.rivers import make_river
from benchmarks.rows import fill, read_rows, rounded, write_rows
from xmsgl.cli.main import main as xmsgl
from xmsgl.evaluate.table import markdown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks.rivers import River

__all__ = ["main", "written"]

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = "docs/scaling.json", "docs/scaling.md"
SEED = 1
LARGEST = 1_249_733  # reaches of the largest basin of 2.7 million, about as many as the Mississippi's
CHUNK = 365  # days
WINDOW, WARMUP = 365, 60  # days, of the model
DAYS_OF_40_YEARS, REACHES = 14_610, 2_700_000
WORKERS = (1, 16, 256)


def make_dataset(path: Path, reaches: int, days: int) -> None:
    """Write a continent to a Zarr store, its weather block by block."""
    river = make_river(reaches, seed=SEED)
    ds = network(river)
    time_ = pd.date_range("2001-10-01", periods=days, unit="ns")
    weather = {f"{name}_coarse": _weather(name, time_, river.n_segments) for name in DRIVERS}
    ds = ds.assign(weather).assign_coords(time=time_)
    ds.to_zarr(path, mode="w", consolidated=True, zarr_format=2)


def network(river: River) -> xr.Dataset:
    """Return the topology, lengths and attributes of a river at both scales."""
    rng = np.random.default_rng(SEED)
    below = np.where(river.downstream < 0, -1, river.segment[river.downstream])
    outlet = below != river.segment  # the lowest reach of each segment
    down = np.empty(river.n_segments, np.int64)
    down[river.segment[outlet]] = below[outlet]
    variables: dict[str, Any] = {
        "downstream_coarse": ("coarse", down + 1),
        "downstream_fine": ("fine", river.downstream + 1),
        "coarse_segment": ("fine", river.segment + 1),
        "length_coarse": ("coarse", np.bincount(river.segment, river.length), {"units": "m"}),
        "length_fine": ("fine", river.length, {"units": "m"}),
    }
    sizes = {"coarse": river.n_segments, "fine": river.downstream.size}
    for name, (units, low, high) in STATICS.items():
        for scale, n in sizes.items():
            variables[f"{name}_{scale}"] = (scale, rng.uniform(low, high, n), {"units": units})
    ids = {scale: np.arange(1, n + 1) for scale, n in sizes.items()}
    return xr.Dataset(variables, ids, {"title": f"a continent made for benchmarks, seed {SEED}"})


def _weather(name: str, days: pd.DatetimeIndex, segments: int) -> xr.Variable:
    """Draw a driver of all segments, (time, coarse), one block of days at a time."""
    import dask.array as da

    units, mean, amplitude, daily, spread = DRIVERS[name]
    number = list(DRIVERS).index(name)
    season = np.sin(2 * np.pi * (days.day_of_year.to_numpy() - 110) / 365.25)

    def draw(of_block: NDArray[np.float64], block_id: tuple[int, ...]) -> NDArray[np.float32]:
        rng = np.random.default_rng([SEED, number, block_id[0]])
        values = rng.standard_normal((len(of_block), segments), np.float32) * np.float32(spread)
        values += (mean + amplitude * of_block + rng.normal(0, daily, of_block.shape)).astype(np.float32)
        return values if name.startswith("air_temperature") else np.maximum(values, 0)

    column = da.from_array(season[:, None], chunks=(CHUNK, 1))
    values = da.map_blocks(draw, column, chunks=(column.chunks[0], (segments,)), dtype=np.float32)
    return xr.Variable(("time", "coarse"), values, {"units": units})


def run(folder: Path, reaches: int, days: int, workers: int) -> dict[str, Any]:
    """Make what is missing, downscale from store to store, and return what was measured."""
    from threadpoolctl import threadpool_limits

    size = f"{reaches}-{days}"
    source, model, output = folder / f"in-{size}.zarr", folder / "model", folder / f"out-{size}.zarr"
    shutil.rmtree(output, ignore_errors=True)
    if not source.exists():
        make_dataset(source, reaches, days)
    make_model(make_basin(12, 60, 400), window=WINDOW, warmup=WARMUP, backend="auto").save(model)
    command = ["downscale", source, "-m", model, "-o", output, "--resume"]
    with cluster(workers) as peaks, threadpool_limits(1):
        began = time.perf_counter()
        xmsgl([str(each) for each in command], standalone_mode=False)
        wall = time.perf_counter() - began
        memory = peaks()
    values = zarr.open_array(str(output), path="water_temperature", mode="r")
    if values.shape != (days, reaches) or not np.isfinite(np.asarray(values[-1])).all():
        msg = f"{output} is not whole"
        raise RuntimeError(msg)
    return {
        "reaches": reaches,
        "days": days,
        "workers": workers,
        "wall_s": wall,
        "rate": reaches * days / wall,
        "peak_GiB": memory / 2**30,
        "read_GB": size_of(source) / 1e9,
        "written_GB": size_of(output) / 1e9,
        "processor": describe_machine()["processor"],
    }


@contextmanager
def cluster(workers: int) -> Iterator[Any]:
    """Start workers of one thread; yield what returns the largest peak memory of a process, bytes."""
    if not workers:
        yield _peak
        return
    from distributed import Client, LocalCluster

    options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options, memory_limit="10GiB") as local, Client(local) as client:
        yield lambda: max(client.run(_peak).values())


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


# ------------------------------------------------------------------------------------- page


def measured(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write a line for each run."""
    lines = [
        [
            f"{row['reaches']:,}",
            f"{row['days']:,}",
            str(row["workers"]) if row["workers"] else "this process",
            f"{row['wall_s']:.0f}",
            f"{row['rate'] / 1e6:.2f}",
            f"{row['peak_GiB']:.1f}",
            f"{row['read_GB']:.2f}",
            f"{row['written_GB']:.2f}",
        ]
        for row in rows
    ]
    header = ["reaches", "days", "workers", "wall [s]", "million reach-days/s", "peak [GiB]", "read [GB]"]
    return markdown([*header, "written [GB]"], lines, (2,))


def planned(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write what forty years of 2.7 million reaches would take, at the speed of the longest run."""
    row = max(rows, key=lambda each: each["days"])
    a_worker = row["rate"] / max(1, row["workers"])
    total = REACHES * DAYS_OF_40_YEARS
    longest = LARGEST * WINDOW / a_worker  # a window of the largest basin, s
    a_day = row["written_GB"] / (row["reaches"] * row["days"])
    lines = []
    for workers in WORKERS:
        divided = total / (a_worker * workers)
        lines.append(
            [
                str(workers),
                f"{total / 1e9:.1f}e9 / ({a_worker / 1e6:.2f}e6 x {workers})",
                f"{divided / 60:,.1f}",
                f"{longest / 60:.1f}",
                f"{max(divided, longest) / 60:,.1f}",
                f"{a_day * total:,.0f}",
            ]
        )
    header = ["workers", "reach-days / (rate x workers)", "divided [min]", "largest task [min]"]
    return markdown([*header, "at least [min]", "written [GB]"], lines, (1,))


def written(rows: Sequence[Mapping[str, Any]], text: str) -> str:
    """Return the page with the tables of the stored rows between its marks."""
    return fill(text, {"measured": measured(rows), "planned": planned(rows)}, PAGE)


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> None:
    """Run, if a folder is given, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--reaches", type=int, default=REACHES)
    parser.add_argument("--days", type=int, default=31)
    parser.add_argument("--workers", type=int, default=0, help="0: without a cluster")
    given = parser.parse_args(arguments)
    path = root / RESULTS
    rows = read_rows(path)
    if given.folder is not None:
        os.environ["OMP_NUM_THREADS"] = "1"
        case = {"reaches": given.reaches, "days": given.days, "workers": given.workers}
        rows = [row for row in rows if any(row[name] != value for name, value in case.items())]
        rows += rounded([run(given.folder, **case)])
        write_rows(path, rows)
    page = root / PAGE
    page.write_text(written(rows, page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
