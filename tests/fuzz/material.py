"""Valid files of every kind that is changed, made once: a basin, models, a checkpoint, tables, a catalog."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml
from click.testing import CliRunner

from tests.conftest import make_river
from tests.small import QUICK
from xmsgl.cli.config import to_toml
from xmsgl.cli.main import main
from xmsgl.errors import XMSGLError
from xmsgl.models.file import storage
from xmsgl.training.train import train

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

DRIVERS = "xmsgl.catalog.drivers"
#: Names that a configuration or a catalog of a stranger may try to read or to write.
FILES = [
    "basin.nc",
    "basin.zarr",
    "model.safetensors",
    "notes.txt",
    ".",
    "..",
    "/dev/zero",
    "/dev/full",
    "\0",
]
SMALL = {**QUICK, "hidden": 3, "features": ["air_temperature", "slope"]}
TRAIN = {
    "dataset": "basin.nc",
    "output": "new.safetensors",
    "method": "msgl",
    "epochs": 1,
    "seed": 0,
    "ensemble": 1,
    "validation": "0.2",
    "device": "cpu",
    "checkpoint": "new.checkpoint",
    "set": {"hidden": 3, "window": 60, "warmup": 5, "heads": 3, "features": ["air_temperature", "season"]},
}
BENCHMARK = {
    "dataset": "simulated",
    "protocol": "temporal",
    "fractions": [0.1, 1.0],
    "seeds": ["0-2"],
    "methods": ["msgl:hidden=4", "climatology"],
    "degrade": ["none", "noise=1"],
    "out": "results",
    "blend": ["msgl + climatology"],
    "ensembles": True,
    "jobs": 1,
    "draw": ["0", "1"],
    "set": {"epochs": 2, "hidden": 3},
    "data": {"n_coarse": 3, "years": 1},
}
CATALOG: dict[str, Any] = {
    "metadata": {"version": 1},
    "sources": {
        "basin": {
            "driver": f"{DRIVERS}.DatasetSource",
            "args": {"dataset": "basin.nc", "chunks": {"time": 30}},
        },
        "store": {"driver": f"{DRIVERS}.DatasetSource", "args": {"dataset": "basin.zarr"}},
        "model": {"driver": f"{DRIVERS}.ModelSource", "args": {"model": "model.safetensors"}},
        "temperature": {
            "driver": f"{DRIVERS}.TemperatureSource",
            "args": {
                "dataset": "basin.nc",
                "model": "model.safetensors",
                "chunks": {"time": 20},
                "downscale": {"device": "cpu", "warmup": 3},
            },
        },
    },
}


@cache
def river() -> xr.Dataset:
    return make_river(60)


@cache
def models() -> dict[str, Any]:
    """Weights and header of a network, of trees and of a stack in folds."""
    long = make_river(400)
    shared = {"window": 60, "device": "cpu", "progress": False}
    parts = [{"method": "remap", **{k: SMALL[k] for k in ("hidden", "features")}, "epochs": 1}]
    parts.append({"method": "trees", "iterations": 4})
    made = {
        "network": train(long, "msgl", identity=2, heads=3, **{**QUICK, "hidden": 3}),
        "trees": train(long, "trees", iterations=4, **shared),
        "folds": train(long, "stack", parts=parts, validation="folds:2", **shared),
    }
    return {name: storage.from_bytes(model.payload, name) for name, model in made.items()}


def fill(folder: Path) -> None:
    """Write valid files into a folder."""
    river().to_netcdf(folder / "basin.nc")
    river().to_zarr(folder / "basin.zarr", consolidated=False)
    train(river(), "remap", checkpoint=folder / "checkpoint", **SMALL).save(folder / "model.safetensors")
    (folder / "train.toml").write_text(to_toml(TRAIN))
    (folder / "benchmark.toml").write_text(to_toml(BENCHMARK))
    for name, frame in tables().items():
        frame.to_csv(folder / f"{name}.csv", index=False)
        frame.apply(typed).to_parquet(folder / f"{name}.parquet")
    (folder / "notes.txt").write_text("of the user\n")
    (folder / "catalog.yaml").write_text(yaml.safe_dump(CATALOG, sort_keys=False))


def tables() -> dict[str, pd.DataFrame]:
    """A table of reaches and one of daily values."""
    reaches = {
        "id": ["30", "10", "20"],
        "downstream": ["0", "20", "30"],
        "length [m]": ["500", "900.5", "400"],
        "stream_order": ["2", "1", "2"],
        "huc8": ["02040101", "02040101", "02040102"],
        "name": ["Mill Creek", "", "M\u00fchle"],
    }
    daily = {
        "id": ["10", "30", "20", "10"],
        "date": ["2001-03-02", "2001-03-01", "2001-03-04", "2001-03-04"],
        "water_temperature [degC]": ["4.5", "5", "", "6"],
    }
    return {"reaches": pd.DataFrame(reaches), "daily": pd.DataFrame(daily)}


def typed(column: pd.Series) -> pd.Series:
    """Make numbers of a column of text, if all are numbers without leading zeros."""
    numbers = pd.to_numeric(column.replace("", None), errors="coerce")
    fits = numbers.isna().sum() == (column == "").sum() and not column.str.startswith("0").all()
    return numbers if fits and numbers.notna().any() else column


def command(*words: str) -> None:
    """Run the command line; a code other than 0 is a refusal, and an exception is none."""
    result = CliRunner().invoke(main, ["--quiet", *words], catch_exceptions=False)
    if result.exit_code:
        raise XMSGLError(result.output)
