"""Downscaling with graph mixing: reach-days per second, how the cost grows, and the cost of lazy input."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import xmsgl
from benchmarks.basins import make_basin
from benchmarks.harness import Bar, Group, Runner, Series, Step, is_tiny, sized
from xmsgl.inputs.choose import choose_features
from xmsgl.inputs.features import Scaling
from xmsgl.inputs.scales import ScaleInputs
from xmsgl.models.file.model import Model
from xmsgl.models.file.spec import ModelSpec
from xmsgl.models.methods.registry import create_model
from xmsgl.schema.rivers import segment_positions
from xmsgl.util.scales import SCALES

THREADS = sized(2, 1)
HIDDEN = 20
NODES = 2_000  # of the plain LSTM at once: inputs and states of a year stay below 300 MB
WARM = {"n_coarse": 12, "n_fine": 60, "days": 10}
CHUNK = 73  # days
SEGMENTS = {100_000: 10_000, 16_033: 1_600, 3_182: 456, 456: 65, 60: 12}

THROUGHPUT = Group(
    "Downscaling, throughput",
    "A year of daily temperature on random basins, inputs in memory, from the call of `ds.msgl.downscale` to "
    "the result, building the graphs included; method `msgl`, 20 channels, 15 features (7 drivers, 3 means "
    "over days, 5 attributes), drivers at the coarse scale only, 60 days of warm-up before the year. Each "
    "day of each reach counts once, without the warm-up. The reference is the same call with a plain "
    "loop over days as the cell. The LSTM uses no graph: `torch.nn.LSTM` with as many channels on every "
    "reach separately, and a linear head, without scaling, checks, the coarse network and the warm-up.",
)
GROWTH = Group(
    "Downscaling, cost against reaches",
    "The call above without warm-up on basins of different size; 120 days of the largest, a year of the "
    "others. The reference is the basin of the size of the Delaware's main stem; times faster is per day.",
)
LAZY = Group(
    "Downscaling, windows from files",
    "A year of 16,033 reaches in windows of 91 days with 60 of warm-up. The reference has the drivers in "
    "memory and warms every window up. Carried: each window goes on where the one before it ended "
    f"(`carry=True`). Lazy: dask's tasks read the drivers from files in chunks of {CHUNK} days.",
)


def days_of(reaches: int) -> int:
    """Return the days of weather of a basin for the measurement of growth."""
    return sized(120 if reaches > 50_000 else 365, 12)


def make_model(ds: xr.Dataset, *, window: int, warmup: int, backend: str) -> Model:
    """Return an ``msgl`` model with default settings and random weights; the cost does not depend on them."""
    features = choose_features(ds)
    mean, deviation = ScaleInputs(ds, features, "coarse").fit(np.ones(ds.sizes["time"], bool))
    architecture = {"hidden": HIDDEN, "backend": backend}
    module = create_model("msgl", n_features=len(features), seed=0, **architecture)
    scaling = dict.fromkeys(SCALES, Scaling(mean, deviation, label_mean=11.0, label_deviation=8.0))
    spec = ModelSpec("msgl", architecture, features, scaling, {}, (), window, warmup)
    spec = replace(spec, first_day=str(ds.indexes["time"][0].date()))  # windows as in training on this record
    return Model(spec, module.state_dict())


def build(
    n_coarse: int,
    n_fine: int,
    days: int,
    window: int = 365,
    warmup: int = 0,
    backend: str = "auto",
    stored: str | None = None,
    **options: Any,
) -> Step:
    """Downscale a basin, in memory or `stored` in files (``"netcdf"``, ``"zarr"``)."""
    ds = make_basin(n_coarse, n_fine, days)
    model = make_model(ds, window=window, warmup=warmup, backend=backend)
    if stored is None:
        return partial(_downscale, ds, model, options)
    folder = TemporaryDirectory()
    path = f"{folder.name}/basin"
    if stored == "zarr":
        ds.chunk(time=CHUNK).to_zarr(path, consolidated=False)
    else:
        ds.to_netcdf(path)

    def step() -> xr.DataArray:
        engine = {"engine": "zarr", "consolidated": False} if stored == "zarr" else {"engine": "netcdf4"}
        with xr.open_dataset(path, chunks={"time": CHUNK}, **engine) as lazy:
            return _downscale(lazy, model, options)

    step.folder = folder  # kept as long as the step
    return step


def _downscale(ds: xr.Dataset, model: Model, options: dict[str, Any]) -> xr.DataArray:
    with xmsgl.set_options(progress=False):
        return ds.msgl.downscale(model, device="cpu", **options).compute()


def build_lstm(n_coarse: int, n_fine: int, days: int) -> Step:
    """Run a plain LSTM over every reach separately; all features are those of its segment."""
    ds = make_basin(n_coarse, n_fine, days)
    features = choose_features(ds)
    coarse = torch.from_numpy(ScaleInputs(ds, features, "coarse").gather(np.arange(days)[None])[:, :, 0])
    segment = torch.from_numpy(segment_positions(ds))
    torch.manual_seed(0)
    lstm, head = torch.nn.LSTM(len(features), HIDDEN), torch.nn.Linear(HIDDEN, 1)

    @torch.inference_mode()
    def step() -> torch.Tensor:
        parts = [head(lstm(coarse.index_select(1, some))[0]) for some in segment.split(NODES)]
        return torch.cat(parts, dim=1)

    return step


def basin(reaches: int, days: int = sized(365, 12)) -> dict[str, int]:
    """Return the sizes of a basin; at tiny size all are small."""
    n = sized(reaches, 60)
    return {"n_coarse": SEGMENTS[n], "n_fine": n, "days": days}


@pytest.mark.parametrize("reaches", [3_182, 456, 16_033, 100_000])
def bench_growth(case: Runner, reaches: int) -> None:
    case(
        GROWTH,
        f"{reaches:,} reaches",
        build,
        basin(reaches, days_of(reaches)),
        threads=THREADS,
        reference=reaches == 3_182,
        rounds=1 if reaches > 50_000 else 3,
        work=days_of(reaches),
        unit="day",
        series=Series("downscale, msgl", "N", reaches, most=1.1),
    )


@pytest.mark.parametrize(
    ("name", "reaches"), [("plain loop", 3_182), ("LSTM, no graph", 16_033), ("xmsgl", 100_000)]
)
def bench_throughput(case: Runner, name: str, reaches: int) -> None:
    sizes: dict[str, Any] = basin(reaches)
    graph = name != "LSTM, no graph"
    if graph:
        sizes |= {"warmup": sized(60, 5), "backend": "reference" if name == "plain loop" else "auto"}
    case(
        THROUGHPUT,
        f"{name}, {reaches:,} reaches",
        build if graph else build_lstm,
        sizes,
        threads=THREADS,
        reference=name == "plain loop",
        rounds=2,
        warmup=0 if name == "xmsgl" else 1,
        work=sizes["n_fine"] * sizes["days"],
        unit="segment-day",
        bars=[Bar("rate", must=3e6, aim=8e6)] if name == "xmsgl" else [],
        memory=name == "xmsgl",
        warm=WARM,
    )


@pytest.mark.parametrize(
    ("name", "stored", "carry"),
    [
        ("in memory", None, False),
        ("in memory, carried", None, True),
        ("lazy, netCDF", "netcdf", False),
        ("lazy, Zarr", "zarr", False),
        ("lazy, Zarr, carried", "zarr", True),
    ],
)
def bench_lazy(case: Runner, name: str, stored: str | None, carry: bool) -> None:
    if stored == "zarr":
        pytest.importorskip("zarr")
    windows = {"window": sized(91, 4), "warmup": sized(60, 2)}
    sizes = {**basin(16_033), **windows, "stored": stored, "carry": carry}
    case(
        LAZY,
        name,
        build,
        sizes,
        threads=THREADS,
        reference=name == "in memory",
        rounds=2,
        work=sizes["n_fine"] * sizes["days"],
        unit="segment-day",
        memory=not is_tiny(),
        warm=WARM,
    )
