"""Train the model that the package ships: ``python -m benchmarks.packaged FOLDER``.

ASYNC-MSGL, with most of its epochs on the coarse task, which is cheap. An interrupted training resumes from
its checkpoint in the folder. Labels on the benchmark's test days are masked at both scales; the best epoch is
chosen, and intervals are calibrated, on its validation years. Scores on the test days are printed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from xmsgl.benchmark import make_plan
from xmsgl.benchmark.protocols import make_split
from xmsgl.evaluate import score

__all__ = ["main"]

NAME = "delaware-async-msgl"
FEATURES = (
    "air_temperature", "air_temperature_max", "air_temperature_min", "potential_evapotranspiration",
    "precipitation", "relative_humidity", "solar_radiation",
    *(f"air_temperature:{days}" for days in (3, 7, 30, 90, 180)),
    "precipitation:7", "precipitation:30", "solar_radiation:7", "solar_radiation:30", "relative_humidity:30",
    "drainage_area", "elevation", "slope", "stream_order", "width", "season",
)  # fmt: skip
SETTINGS: dict[str, Any] = {
    "hidden": 48,
    "identity": 8,
    "features": FEATURES,
    "epochs": 33,
    "pretrain": (30, 1),
    "learning_rate": (0.01, 0.003, 0.002),
    "warmup": 120,
    "recurrent_dropout": 0.2,
    "average": 0.98,
    "weighting": "uniform",
    "seed": 0,
}


def main(arguments: list[str]) -> None:
    """Train, score and write ``delaware-async-msgl.safetensors`` into a folder."""
    (folder,) = (Path(argument) for argument in arguments)
    folder.mkdir(parents=True, exist_ok=True)
    (run,) = make_plan("delaware", methods=["async-msgl"], fractions=[1], seeds=1, data={"forcing": "era5"})
    split = make_split(run)
    checkpoint = folder / f"{NAME}.ckpt"
    model = split.training.msgl.train(
        "async-msgl",
        **SETTINGS,
        validation=split.validation,
        checkpoint=checkpoint,
        resume=checkpoint if checkpoint.exists() else None,
    )
    path = model.save(folder / f"{NAME}.safetensors")
    prediction = split.inputs.msgl.downscale(path, quantiles=[0.05, 0.5, 0.95])
    found = score(prediction.sel(fine=split.observed["fine"], time=split.observed["time"]), split.observed)
    for name, value in found.data_vars.items():
        sys.stdout.write(f"{name}: {value.values.tolist()}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
