"""Gauges that read too high or too low, and bulletins that say so; run by benchmarks.text.

In a synthetic basin 24 gauges report. In the last of four years one of them is biased, each in turn, and the
basin is reconstructed with its record as it is, with the record corrected by a bulletin, and with other
corrections. The reconstruction is linear in the observations where it does not freeze, so that in April to
September one more reconstruction for each gauge, with a bias of 1 degC, gives that with any bias.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

import xmsgl
from xmsgl.evaluate import check_sensors
from xmsgl.evaluate.table import markdown
from xmsgl.events.text import BiasReader, gauge_bulletins
from xmsgl.events.text.gauges import wordings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["TASK", "Gauges", "corrected", "draw", "gauge_rows", "gauge_table", "left_out", "prepare_gauges"]

Floats = NDArray[np.float64]

TASK = "gauge"
LEARNED = tuple(name for name, each in wordings().items() if not each.held_out)
OTHER = ("letter", "briefing")
TURNED = ("turned",)
METHODS = {
    "minilm": "minilm",
    "hashing": "hashing",
    "minilm, shuffled": "minilm",
    "minilm, learned shuffled": "minilm",
}
WITHOUT = ("check_sensors, suspects", "check_sensors, all", "the bias itself")
_GAUGES, _NOISE, _BULLETINS = 24, 0.25, 600
_FROM, _TESTED = "2004-10-01", slice("2005-04-01", "2005-09-30")
_BEFORE = "2003-07-01"  # days read before the test year
_SMALLEST, _LARGEST = 0.3, 2.0  # bias, degC


class Gauges(NamedTuple):
    """What is the same for all seeds; errors are those of April to September."""

    ids: list[int]
    record: Floats  # error of the unbiased record, (day, gauge)
    errors: (
        Floats  # of the reconstruction with no bias at the gauge and those next to it, (day, gauge, place)
    )
    response: Floats  # to a bias of 1 degC at the gauge
    ds: xr.Dataset  # the test year and the days before it, without observations at segments
    model: xmsgl.Model

    @property
    def observed(self) -> xr.DataArray:
        """Observations of the test year, without a bias."""
        return self.ds["water_temperature_fine"]


def prepare_gauges(folder: Path) -> Gauges:
    """Simulate, train on three years, and reconstruct the fourth with and without a bias at each gauge."""
    ds, ids = _basin()
    path = folder / "gauges.safetensors"
    if not path.exists():
        ds.sel(time=slice(None, "2004-09-30")).msgl.train(recipe="sensors", progress=False).save(path)
    model = xmsgl.load_model(path)
    late = ds.sel(time=slice(_BEFORE, None)).drop_vars("water_temperature_coarse")
    late["water_temperature_fine"] = late["water_temperature_fine"].where(
        late["time"] >= np.datetime64(_FROM)
    )
    stored = folder / "gauges.npz"
    if not stored.exists():
        np.savez(stored, **_reconstructed(late, ids, model))
    with np.load(stored) as kept:
        return Gauges(ids, kept["record"], kept["errors"], kept["response"], late, model)


def _basin() -> tuple[xr.Dataset, list[int]]:
    """Give a synthetic basin gauges that report every day; a segment has the observations of its gauges."""
    ds = xmsgl.datasets.simulated(n_coarse=40, years=4, seed=5)
    rng = np.random.default_rng(0)
    place = np.sort(rng.choice(ds.sizes["fine"], _GAUGES, replace=False))
    truth = ds["true_temperature_fine"].transpose("time", "fine").to_numpy()
    fine = np.full(truth.shape, np.nan, np.float32)
    fine[:, place] = truth[:, place] + rng.normal(0, _NOISE, (len(truth), place.size))
    segment = pd.Index(ds["coarse"].values).get_indexer(ds["coarse_segment"].values[place])
    coarse = np.full((len(truth), ds.sizes["coarse"]), np.nan, np.float32)
    for k in np.unique(segment):
        coarse[:, k] = fine[:, place[segment == k]].mean(axis=1)
    values = {"fine": fine, "coarse": coarse}
    labels = {
        (name := f"water_temperature_{scale}"): (("time", scale), each, ds[name].attrs)
        for scale, each in values.items()
    }
    return ds.assign(labels), ds["fine"].values[place].tolist()


def _reconstructed(late: xr.Dataset, ids: Sequence[int], model: xmsgl.Model) -> dict[str, Floats]:
    """Reconstruct without a bias, and with one of 1 degC at each gauge."""
    observed, truth = late["water_temperature_fine"], late["true_temperature_fine"].sel(time=_TESTED)
    base = late.msgl.reconstruct(model, observed=observed).sel(time=_TESTED).load()
    errors, response = [], []
    for gauge in ids:
        near = places(late, gauge)
        biased = late.msgl.reconstruct(model, observed=observed + (observed["fine"] == gauge))
        response.append((biased.sel(time=_TESTED, fine=near) - base.sel(fine=near)).to_numpy())
        errors.append((base - truth).sel(fine=near).transpose("time", "fine").to_numpy())
    record = (observed.sel(time=_TESTED) - truth).sel(fine=ids).transpose("time", "fine").to_numpy()
    return {"record": record, "errors": _padded(errors), "response": _padded(response)}


def places(ds: xr.Dataset, gauge: int) -> list[int]:
    """Return a reach, the one downstream of it, and those that flow into it."""
    below = int(ds["downstream_fine"].sel(fine=gauge))
    above = ds["fine"].values[ds["downstream_fine"].values == gauge].tolist()
    return [gauge, *([below] if below else []), *above]


def _padded(parts: list[Floats]) -> Floats:
    """Stack (day, place) of all gauges as (day, gauge, place), NaN where a gauge has fewer places."""
    most = max(each.shape[1] for each in parts)
    wide = [np.pad(each, ((0, 0), (0, most - each.shape[1])), constant_values=np.nan) for each in parts]
    return np.stack(wide, axis=1).astype(np.float64)


def draw(n: int, rng: np.random.Generator) -> Floats:
    """Draw biases of both directions, degC."""
    return np.asarray(rng.uniform(_SMALLEST, _LARGEST, n) * rng.choice([-1.0, 1.0], n))


def corrected(gauges: Gauges, bias: Floats, estimate: Floats) -> dict[str, float]:
    """Return RMSE of the records and of the reconstruction with the rest of a bias at one gauge at a time."""
    rest = bias - estimate
    error = gauges.errors + gauges.response * rest[:, None]
    parts = {"record": gauges.record + rest, "at": error[:, :, 0], "near": error[:, :, 1:]}
    return {name: float(np.sqrt(np.nanmean(each**2))) for name, each in parts.items()}


def gauge_rows(gauges: Gauges, seed: int) -> Iterator[dict[str, Any]]:
    """Score all methods on the bulletins of one seed, family by family."""
    rng = np.random.default_rng(1000 + seed)
    learned, bias = draw(_BULLETINS, rng), draw(len(gauges.ids), rng)
    texts = gauge_bulletins(dict(enumerate(learned.tolist())), seed=seed)
    others = np.roll(bias, 1)  # each gauge gets the bulletin about another bias, with its own id
    known = {"task": TASK, "share": 1.0, "seed": seed, "n": bias.size}

    def row(method: str, family: str, estimate: Floats) -> dict[str, Any]:
        before, after = (corrected(gauges, bias, each) for each in (np.zeros(bias.size), estimate))
        scores = {
            f"{name}_{k}": value[k] for name, value in (("before", before), ("after", after)) for k in after
        }
        right = float((np.sign(estimate) == np.sign(bias)).mean())
        return {**known, "method": method, "family": family, "direction": right, **scores}

    for method, encoder in METHODS.items():
        told = rng.permutation(learned) if "learned shuffled" in method else learned
        reader = BiasReader(texts, told.tolist(), encoder=encoder)
        about = others if method == "minilm, shuffled" else bias
        for k, family in enumerate(wordings()):
            given = dict(zip(gauges.ids, about.tolist(), strict=True))
            said = gauge_bulletins(given, seed=100 * seed + k, family=family)
            yield row(method, family, read(reader, gauges.ids, said))
    for method, estimate in zip(WITHOUT, (*_checked(gauges, bias), bias), strict=True):
        yield row(method, "", estimate)


def read(reader: BiasReader, ids: list[int], texts: xr.DataArray) -> Floats:
    """Return what a reader takes off the record of each gauge."""
    records = xr.DataArray(np.zeros((1, len(ids))), {"fine": ids}, ("time", "fine"))
    return np.asarray(-reader.correct(records, texts).to_numpy()[0], np.float64)


def _checked(gauges: Gauges, bias: Floats) -> tuple[Floats, Floats]:
    """Estimate biases by the median difference from the other gauges: of suspects, and of all."""
    found = []
    for gauge, each in zip(gauges.ids, bias, strict=True):
        biased = gauges.observed + each * (gauges.observed["fine"] == gauge)
        table = check_sensors(gauges.ds.assign(water_temperature_fine=biased), gauges.model).sel(sensor=gauge)
        found.append((bool(table["suspect"]), float(table["difference"])))
    suspect, difference = (np.array(each) for each in zip(*found, strict=True))
    return np.where(suspect, difference, 0.0), difference


def left_out(encoder: str, seed: int = 0) -> float:
    """Return how far the RMSE of records falls in the mean over learned families, each left out once."""
    rng, falls = np.random.default_rng(seed), []
    parts = {name: draw(200, rng) for name in LEARNED}
    texts = {
        name: gauge_bulletins(dict(enumerate(each.tolist())), seed=k, family=name).to_numpy().tolist()
        for k, (name, each) in enumerate(parts.items())
    }
    for name in LEARNED:
        others = [each for each in LEARNED if each != name]
        known = [text for each in others for text in texts[each]]
        reader = BiasReader(known, np.concatenate([parts[each] for each in others]).tolist(), encoder=encoder)
        rest = parts[name] - reader.estimate(texts[name]).to_numpy()
        falls.append(1 - np.sqrt((rest**2).mean() / (parts[name] ** 2).mean()))
    return float(np.mean(falls))


def gauge_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write by how much RMSE changes, for wordings known, other and turned round."""
    frame = pd.DataFrame([each for each in rows if each["task"] == TASK])
    groups = {"known": LEARNED, "other": OTHER, "turned round": TURNED}
    lines = []
    for method, some in frame.groupby("method", sort=False):
        for name, families in ({"": ("",)} if method in WITHOUT else groups).items():
            part = some[some["family"].isin(families)]
            change = {k: _change(part, k) for k in ("record", "at", "near")}
            by_seed = [_change(each, "at") for _, each in part.groupby("seed")]
            right = "" if (part["after_at"] == part["before_at"]).all() else f"{part['direction'].mean():.0%}"
            cells = [right, f"{_rms(part['after_at']):.2f}"]
            cells += [_signed(each) for each in change.values()]
            lines.append([str(method), name, *cells, f"{_signed(min(by_seed))} to {_signed(max(by_seed))}"])
    order = [*METHODS, *WITHOUT]
    lines.sort(key=lambda line: order.index(line[0]))
    none = f"{_rms(frame['before_at']):.2f}"
    lines.append(["no text", "", "", none, "0%", "0%", "0%", ""])
    header = ["method", "wording", "direction", "RMSE at the gauge, degC", "record", "at the gauge"]
    return markdown([*header, "next to it", "at the gauge, by seed"], lines, (0, 1, 7))


def _change(rows: pd.DataFrame, name: str) -> float:
    return _rms(rows[f"after_{name}"]) / _rms(rows[f"before_{name}"]) - 1


def _signed(change: float) -> str:
    return f"{change:+.0%}" if round(change, 2) else "0%"


def _rms(values: pd.Series) -> float:
    return float(np.sqrt((values**2).mean()))
