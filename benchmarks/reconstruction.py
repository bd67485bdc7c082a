"""Reconstruction of a basin: held-out segments, gaps, forecasts and fewer sensors, against simple rules.

    python -m benchmarks.reconstruction RESULTS.jsonl --models FOLDER             # hours on 2 cores
    python -m benchmarks.reconstruction RESULTS.jsonl --models FOLDER --cases gaps-30 forecast-1
    python -m benchmarks.reconstruction YAKIMA.jsonl --models FOLDER --basin yakima
    python -m benchmarks.reconstruction RESULTS.jsonl --table                     # only print what is there

``spatial-0`` to ``spatial-3`` hide the segments of the benchmark's draws on all days, and every other gauge
reports. The other cases hide the test years of the benchmark in training; in these years ``gaps-N`` hides N
days at a time at gauged segments, ``forecast-N`` predicts the Nth day after an issue every seventh day, and
``weather-N`` does so with a weather forecast in place of the weather observed;
``sensors-N`` keeps N percent of the gauges reporting and scores the others, which reported in the years of
training. ``ungauged-N`` scores the same gauges by the training that left each of them out. What is hidden is
hidden at both scales. The errors at sensors and their interpolation are those of ``ds.msgl.reconstruct``,
computed at the scored reaches and days only; ``xmsgl benchmark`` calls it, for any dataset and method.
"kriging, no model" interpolates the differences of observations from the mean of all gauges on the day of the
year, with a covariance of their own.

References
----------
.. [1] Gneiting & Raftery (2007), Strictly proper scoring rules, doi:10.1198/016214506000001437, equation 21.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import norm

from xmsgl.benchmark.given import damped_persistence, same_day
from xmsgl.benchmark.protocols import PROTOCOLS
from xmsgl.benchmark.sensors import draw_gaps, issue_days, keep_some
from xmsgl.benchmark.sources import SOURCES, open_source
from xmsgl.inputs.validation import label_values
from xmsgl.inputs.windows import cut_windows
from xmsgl.models.file.model import Model, load_model
from xmsgl.prediction.downscale import held_out_shares, weighted_means
from xmsgl.reconstruct.fit import fit_covariance
from xmsgl.reconstruct.given import LIMIT, Asked, Errors, Places, error_given
from xmsgl.reconstruct.river import River
from xmsgl.reconstruct.run import accompanied
from xmsgl.reconstruct.sensors import sensor_errors
from xmsgl.schema.names import LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from xmsgl.models.file.covariance import ErrorCovariance, ErrorKind
    from xmsgl.reconstruct.companions import Accompanied

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]

CASES = [
    *(f"spatial-{draw}" for draw in range(4)),
    *("gaps-30", "gaps-180"),
    *(f"{kind}-{lead}" for kind in ("forecast", "weather") for lead in range(1, 8)),
    *(f"{kind}-{percent}" for kind in ("sensors", "ungauged") for percent in (5, 10, 20, 50)),
]
#: The model of all cases, that of the packaged delaware-sensors.
RECIPE = "sensors"
SETTINGS: dict[str, Any] = {}
DISTANCES = (0.0, 5e3, 20e3, 60e3, np.inf)  # m along the river to the nearest sensor that reports
#: RMSE of a forecast of the daily mean air temperature by lead, degC, about that of today's global forecasts.
AIR_ERROR = (1.2, 1.4, 1.7, 2.0, 2.3, 2.7, 3.0)
_OF_ISSUES = 4  # one in so many has a forecast of the weather
_BEFORE = 480  # days read before a forecast of the weather


@dataclass(frozen=True, eq=False)
class Basin:
    """Observations, predictions and the river of one training."""

    river: River
    fine: Floats  # all observations, (day, reach), NaN where there is none
    coarse: Floats  # (day, segment)
    predicted: Floats  # mean of the folds, or `own` where no gauge counts as known, (day, reach)
    own: Floats  # of the folds that left a gauge out
    test: NDArray[np.bool_]  # reaches or days that training did not see
    model: Model
    covariances: Mapping[ErrorKind, ErrorCovariance]
    time: pd.DatetimeIndex
    accompanied: Accompanied  # gauges whose errors are regressed on those of others
    interval: tuple[float, float] = (0.05, 0.95)
    forecast: Floats | None = None  # given a forecast of the weather, (day, reach)

    @property
    def on_days(self) -> bool:
        """Whether days, not reaches, are those of the test."""
        return self.test.size == len(self.fine)

    def errors(self, seen: NDArray[np.bool_], kind: ErrorKind = "gauged") -> Errors:
        """Return the errors at sensors where segments report, boolean (day, segment)."""
        fine = np.where(seen[:, self.river.segment], self.fine, np.nan).astype(np.float32)
        coarse = np.where(seen, self.coarse, np.nan).astype(np.float32)
        predicted = self.own if kind == "ungauged" else self.predicted
        return sensor_errors(fine, coarse, predicted, self.river)


def prepare(case: str, folder: Path, name: str = "delaware") -> Basin:
    """Train the model of a case in a basin, or load it, and predict."""
    spatial = case.startswith("spatial")
    draw, split = (int(case[-1]), f"draw{case[-1]}") if spatial else (0, "years")
    source, ds = SOURCES[name], open_source(name, {}, fraction=1.0, draw=draw).load()
    hidden, test, _ = PROTOCOLS["spatial" if spatial else "temporal"].hide(ds, source, draw)
    path = folder / f"{name}-{split}.safetensors"
    if not path.exists():
        hidden.msgl.train(recipe=RECIPE, progress=False, **SETTINGS).save(path)
    model = load_model(path)
    stored = path.with_suffix(".npz")
    if not stored.exists():
        mean, own = predict(ds, model)
        np.savez(stored, mean=mean, own=own)
    arrays, forecast = np.load(stored), None
    if case.startswith("weather"):
        issues = np.flatnonzero(issue_days(test.values))[::_OF_ISSUES]
        issues = issues[issues < ds.sizes["time"] - len(AIR_ERROR)]
        stored = path.with_name(f"{path.stem}-weather.npy")
        if not stored.exists():
            np.save(stored, with_weather_forecast(ds, model, issues))
        forecast = np.load(stored)
    labels = [label_values(ds, scale) for scale in ("fine", "coarse")]
    predicted = arrays["own" if case.startswith("ungauged") else "mean"]
    river = River.of(ds)
    return Basin(
        river,
        *labels,
        predicted,
        arrays["own"],
        test.values,
        model,
        model.spec.errors,
        ds.indexes["time"],
        accompanied(ds, river, model.spec.errors),
        forecast=forecast,
    )


def with_weather_forecast(ds: xr.Dataset, model: Model, issues: Ints) -> Floats:
    """Predict the week after each day of issue from a forecast of the drivers, NaN elsewhere, (day, reach).

    The forecast of a day is a mean of the weather of that day and of the same date in another year, whose
    share grows with the lead so that the air temperature has the error `AIR_ERROR`.
    """
    rng, days, week = np.random.default_rng(0), ds.sizes["time"], len(AIR_ERROR)
    observed = [f"{name}_coarse" for name in (LABEL, "simulated_temperature")]
    drivers = [n for n in ds.data_vars if set(ds[n].dims) == {"time", "coarse"} and n not in observed]
    weather = ds[drivers].transpose("time", "coarse")
    air = weather["air_temperature_coarse"].values
    error = np.array(AIR_ERROR) / np.sqrt(np.mean((air[365:] - air[:-365]) ** 2))
    shares = xr.DataArray(error, dims="time")
    found = np.full((days, ds.sizes["fine"]), np.nan, np.float32)
    for first in (int(issue) + 1 for issue in issues):
        others = [start for k in range(-30, 31) if k and 0 <= (start := first + 365 * k) <= days - week]
        other = weather.isel(time=slice(start := int(rng.choice(others)), start + week))
        before = ds.isel(time=slice(max(0, first - _BEFORE), first + week))
        mixed = (1 - shares) * weather.isel(time=slice(first, first + week)).drop_vars("time")
        mixed = (mixed + shares * other.drop_vars("time")).assign_coords(time=before.time[-week:])
        known = weather.isel(time=slice(max(0, first - _BEFORE), first))
        forecast = before.assign(xr.concat([known, mixed], "time"))
        found[first : first + week] = predict(forecast, model)[0][-week:]
    return found


def without_model(basin: Basin) -> Basin | None:
    """Return a basin whose prediction is the mean of all gauges on the day of the year, or None."""
    known = np.broadcast_to(~(basin.test[:, None] if basin.on_days else basin.test), basin.fine.shape)
    segments = np.ones(basin.coarse.shape, np.bool_)
    if basin.on_days:
        segments[basin.test] = False
    else:
        segments[:, np.unique(basin.river.segment[basin.test])] = False
    fine, coarse = np.where(known, basin.fine, np.nan), np.where(segments, basin.coarse, np.nan)
    day = np.minimum(basin.time.day_of_year.to_numpy(), 365) - 1
    mean = pd.DataFrame(coarse).mean(axis=1).groupby(day).mean()
    around = mean.reindex(np.arange(-15, 380) % 365).rolling(31, center=True, min_periods=1).mean()
    yearly = np.repeat(around.to_numpy()[15:380][day][:, None], basin.fine.shape[1], 1).astype(np.float32)
    covariance = fit_covariance(
        sensor_errors(fine.astype(np.float32), coarse.astype(np.float32), yearly, basin.river), basin.river
    )
    if covariance is None:
        return None
    return replace(basin, predicted=yearly, own=yearly, covariances={"ungauged": covariance})


def predict(ds: xr.Dataset, model: Model) -> tuple[Floats, Floats]:
    """Predict with all folds, and with those that left a gauge out."""
    shares = [np.array(model.shares)[:, None], held_out_shares(model, ds)]
    mean, own = weighted_means(ds, model, shares, None, "cpu", carry=False)
    return mean, own


def reconstructed(
    basin: Basin, reports: NDArray[np.bool_], reach: Ints, day: Ints, until: Ints
) -> tuple[Floats, Floats, Floats]:
    """Return error, standard deviation and bounds of the error, as ``ds.msgl.reconstruct``."""
    mean, deviation = np.zeros(day.size, np.float32), np.zeros(day.size, np.float32)
    bounds = np.zeros((2, day.size), np.float32)
    learned = (basin.own != basin.predicted).any(axis=0)
    for kind, covariance in basin.covariances.items():
        errors = basin.errors(reports, kind)
        for window in cut_windows(len(reports), basin.model.spec.window, 0):
            inside = (day >= window.start) & (day < window.stop)
            some = np.flatnonzero(inside & (learned[reach] == (kind == "gauged")))
            first = max(0, window.start - LIMIT)
            values = errors.values[first : window.stop + LIMIT]
            there = np.isfinite(values).any(axis=0)
            if not some.size:
                continue
            known = Errors(np.ascontiguousarray(values[:, there]), errors.reach[there])
            none = np.full(some.size, -1)
            last = np.minimum(until[some] - first, len(values) - 1)
            asked = Asked(reach[some], day[some] - first, last, none, none)
            places = Places.of(basin.river, np.unique(asked.reach), known.reach)
            found = error_given(known, asked, places, covariance)
            if kind == "gauged":
                found = basin.accompanied.add(known, asked, covariance, *found)
            mean[some], deviation[some] = found
            standard = covariance.spread.at(basin.interval).T
            z = [np.interp(deviation[some], covariance.spread.temperature, row) for row in standard]
            bounds[:, some] = mean[some] + deviation[some] * np.array(z)
    return mean, deviation, bounds


def hidden_of(case: str, basin: Basin) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where segments report, (day, segment), and which fine observations are scored, (day, reach)."""
    kind, number = case.split("-")
    segment = basin.river.segment
    seen = np.isfinite(basin.coarse)
    np.logical_or.at(seen, (slice(None), segment), np.isfinite(basin.fine))
    if kind == "spatial":
        out = np.isin(np.arange(seen.shape[1]), segment[basin.test])
        return np.broadcast_to(~out, seen.shape), np.isfinite(basin.fine) & basin.test
    if kind == "gaps":
        gap = draw_gaps(seen, basin.test, int(number), seed=0)
        return ~gap, np.isfinite(basin.fine) & gap[:, segment]
    if kind in ("sensors", "ungauged"):
        reports = keep_some(seen, basin.test, int(number), seed=0)
        return reports, np.isfinite(basin.fine) & basin.test[:, None] & ~reports[:, segment]
    target = np.zeros_like(basin.test)
    target[int(number) :] = issue_days(basin.test)[: -int(number)] & basin.test[int(number) :]
    predicted = basin.predicted if basin.forecast is None else basin.forecast
    return np.ones_like(seen), np.isfinite(basin.fine) & np.isfinite(predicted) & target[:, None]


def run(case: str, folder: Path, name: str = "delaware") -> list[dict[str, Any]]:
    """Score all methods in one case."""
    basin = prepare(case, folder, name)
    reports, scored = hidden_of(case, basin)
    kind, number = case.split("-")
    day, reach = np.nonzero(scored)
    errors = basin.errors(reports, "ungauged" if kind == "spatial" else "gauged")
    late = np.full(day.size, len(scored) - 1)
    ahead = kind in ("forecast", "weather")
    until = day - int(number) if ahead else late
    predicted = (basin.predicted if basin.forecast is None else basin.forecast)[day, reach]
    truth = basin.fine[day, reach] - predicted
    found = {"the model alone": np.zeros(day.size, np.float32)}
    begun = time.perf_counter()
    found["reconstruct"], deviation, bounds = reconstructed(basin, reports, reach, day, until)
    seconds = round(time.perf_counter() - begun, 1)
    if not ahead:
        found["reconstruct, filter"] = reconstructed(basin, reports, reach, day, day)[0]
    if (plain := without_model(basin)) is not None:
        shift = plain.predicted[day, reach] - predicted
        found["kriging, no model"] = shift + reconstructed(plain, reports, reach, day, until)[0]
    near = same_day(errors, basin.river, reach, np.minimum(day, until))
    last = errors, basin.river, reach, day, np.minimum(day, until), ~basin.test
    if ahead or kind == "gaps":
        found["damped persistence"] = damped_persistence(*last)
    if kind == "gaps":
        found["persistence, nearest day"] = damped_persistence(*last, both=True)
    found |= {"inverse distance": near["inverse-distance"], "nearest gauge": near["nearest"]}
    rows = [{"case": case, "method": name, **_scores(truth - each, reach)} for name, each in found.items()]
    inside = (truth >= bounds[0]) & (truth <= bounds[1])
    crps, alone = normal_crps(truth - found["reconstruct"], deviation), np.abs(truth)
    rows[1]["groups"] = {
        key: {
            "covered": round(100 * float(inside[some].mean()), 1),
            "crps": round(float(crps[some].mean()), 3),
            "alone": round(float(alone[some].mean()), 3),
            "n": int(some.sum()),
        }
        for key, some in by_distance(near["distance"]).items()
        if some.any()
    }
    rows[1]["seconds"] = seconds
    return rows


def normal_crps(error: Floats, deviation: Floats) -> Floats:
    """Return the continuous ranked probability score of normal errors, degC [1]_."""
    z = error / deviation
    score: Floats = deviation * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    return score


def by_distance(metres: Floats) -> dict[str, NDArray[np.bool_]]:
    """Return all observations, and those by the distance of the nearest sensor that reports."""
    groups = {
        f"{low / 1e3:g}-{high / 1e3:g} km": (metres >= low) & (metres < high)
        for low, high in pairwise(DISTANCES)
    }
    return {"all": np.ones(metres.size, np.bool_)} | groups


def _scores(error: Floats, reach: Ints) -> dict[str, Any]:
    """Return pooled RMSE, that of the median reach with 30 days, and n."""
    squared = pd.Series(error.astype(np.float64) ** 2).groupby(reach)
    by_reach = np.sqrt(squared.mean()[squared.size() >= 30])
    rmse = float(np.sqrt(np.mean(error.astype(np.float64) ** 2)))
    return {"rmse": round(rmse, 4), "median": round(float(by_reach.median()), 4), "n": int(error.size)}


def table(rows: list[dict[str, Any]]) -> str:
    """Write RMSE and median reach by case and method, in Markdown."""
    frame = pd.DataFrame(rows).drop_duplicates(["case", "method"], keep="last")
    frame["text"] = frame["rmse"].map("{:.3f}".format) + " / " + frame["median"].map("{:.3f}".format)
    wide = frame.pivot_table(
        index=["case", "n"], columns="method", values="text", aggfunc="first", sort=False
    )
    order = [name for name in CASES if name in wide.index.get_level_values("case")]
    return wide.loc[order].fillna("").reset_index().to_markdown(index=False)


def coverage(rows: list[dict[str, Any]]) -> str:
    """Write coverage of the 90 % interval, CRPS, and mean absolute error of the model alone, in Markdown."""
    some = {row["case"]: row for row in rows if "groups" in row}
    texts = {
        case: {
            key: f"{each['covered']} / {each['crps']:.2f} / {each['alone']:.2f} ({each['n']:,})"
            for key, each in some[case]["groups"].items()
        }
        | {"seconds": some[case]["seconds"]}
        for case in CASES
        if case in some
    }
    return pd.DataFrame(texts).T.rename_axis("case").fillna("").reset_index().to_markdown(index=False)


def main() -> None:
    """Run what is not in the results yet, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--models", type=Path, default=Path("reconstruction-models"))
    parser.add_argument("--basin", default="delaware", choices=["delaware", "willamette", "yakima"])
    parser.add_argument("--cases", nargs="+", default=CASES, choices=CASES)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    text = given.results.read_text() if given.results.exists() else ""
    rows = [json.loads(line) for line in text.splitlines()]
    given.models.mkdir(exist_ok=True)
    for case in [] if given.table else given.cases:
        if any(row["case"] == case for row in rows):
            continue
        new = run(case, given.models, given.basin)
        rows += new
        with given.results.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in new)
        print(table(new), flush=True)
    print(f"{table(rows)}\n\n{coverage(rows)}")


if __name__ == "__main__":
    main()
