"""Correction by sensors: how the cost grows with reaches and with sensors."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.harness import Group, Series, sized
from benchmarks.rivers import make_river
from xmsgl.inputs.windows import Window
from xmsgl.models.file.covariance import ErrorCovariance, ErrorPart
from xmsgl.models.file.intervals import IntervalTable
from xmsgl.network.topology import accumulate
from xmsgl.reconstruct.companions import Accompanied
from xmsgl.reconstruct.correction import Correction
from xmsgl.reconstruct.given import Errors
from xmsgl.reconstruct.river import River

if TYPE_CHECKING:
    from benchmarks.harness import Runner, Step

COST = Group(
    "Correction by sensors",
    "What a reconstruction adds to the prediction of the model: the error at every reach and day given "
    "the errors at sensors, which report on nine days in ten. Random rivers, one basin or several; per "
    "reach-day, one thread. The reference has 3,000 reaches and 200 sensors.",
)
_COVARIANCE = ErrorCovariance(
    ErrorPart(2.0, 60.0, 0.6, 0.1),
    ErrorPart(0.7, 2.5, 0.7, 0.2),
    noise=0.05,
    river=30e3,
    land=150e3,
    spread=IntervalTable("fine", (0.05, 0.5, 0.95), (1.0,), (100,), ((-1.6, 0.0, 1.6),)),
)


@lru_cache(maxsize=1)
def river_of(reaches: int) -> River:
    """Draw a river with places; the last one is cached."""
    drawn = make_river(reaches)
    rng = np.random.default_rng(0)
    place = np.array([1.0, 0.0, 0.0]) + rng.normal(0, 0.02, (reaches, 3))
    place /= np.linalg.norm(place, axis=1)[:, None]
    area = accumulate(drawn.downstream, drawn.length)
    return River(drawn.downstream, drawn.length, area, drawn.segment, place)


def build(reaches: int, sensors: int, days: int) -> Step:
    """Correct some days at all reaches."""
    river, rng = river_of(reaches), np.random.default_rng(1)
    places = np.sort(rng.choice(reaches, sensors, replace=False))
    values = rng.normal(0, 1.5, (days, sensors)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    errors = Errors(values, places)
    task = Correction(
        river,
        np.zeros(reaches, np.bool_),
        {"ungauged": _COVARIANCE, "gauged": _COVARIANCE},
        "smooth",
        None,
        None,
        Accompanied.of(river, _COVARIANCE, range(reaches)),
    )
    predicted = np.full((days, reaches), 15.0, np.float32)
    window = Window(0, days, 0)

    def step() -> Any:
        return task.correct(predicted, [{"ungauged": errors, "gauged": errors}], 0, window)

    return step


def _case(case: Runner, name: str, sizes: dict[str, int], series: Series, *, reference: bool = False) -> None:
    case(
        COST,
        name,
        build,
        sizes,
        reference=reference,
        rounds=2,
        work=sizes["reaches"] * sizes["days"],
        unit="reach-day",
        series=series,
        memory=True,
        warm={"reaches": 200, "sensors": 20, "days": 3},
    )


@pytest.mark.parametrize("reaches", [3_000, 10_000, 30_000, 100_000])
def bench_reaches(case: Runner, reaches: int) -> None:
    sizes = {"reaches": sized(reaches, reaches // 100), "sensors": sized(200, 5), "days": sized(30, 4)}
    series = Series("correction by 200 sensors", "N", reaches, most=1.1)
    _case(case, f"{reaches:,} reaches", sizes, series, reference=reaches == 3_000)


@pytest.mark.parametrize("sensors", [50, 500, 2_000])
def bench_sensors(case: Runner, sensors: int) -> None:
    sizes = {"reaches": sized(10_000, 100), "sensors": sized(sensors, sensors // 50), "days": sized(30, 4)}
    _case(case, f"{sensors:,} sensors", sizes, Series("correction of 10,000 reaches", "sensors", sensors))
