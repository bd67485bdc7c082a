"""The table of what stays lazy, row by row: blocks that are computed leave a note."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xmsgl
from tests.small import TWO_FEATURES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "lazy.md"
DAYS, CHUNK = 120, 30
DRIVERS = {"air_temperature_coarse", "precipitation_coarse", "solar_radiation_coarse"}
LABELS = {"water_temperature_coarse", "water_temperature_fine"}
SETTINGS = {**TWO_FEATURES, "window": 40}


def watch(array: xr.DataArray, name: str, seen: list[tuple[str, int]]) -> xr.DataArray:
    """Chunk an array by days, so that each block notes that it was computed."""

    def note(block: np.ndarray, block_info: dict) -> np.ndarray:
        seen.append((name, block_info[0]["array-location"][array.dims.index("time")][0]))
        return block

    chunked = array.chunk(time=CHUNK)
    meta = np.empty((0,) * array.ndim, array.dtype)
    return chunked.copy(data=da.map_blocks(note, chunked.data, dtype=array.dtype, meta=meta))


@pytest.fixture(scope="module")
def model(river_once):
    return river_once.isel(time=slice(0, DAYS)).msgl.train("remap", validation=0.4, **SETTINGS)


@pytest.fixture(scope="module")
def folds(river_once, small_fits):
    return river_once.isel(time=slice(0, DAYS)).msgl.train("remap", validation="folds:2", **SETTINGS)


@pytest.fixture
def case(river, model, folds, refuse_to_compute, tmp_path):
    """A dataset and a prediction whose daily blocks are watched; observations in the second block alone."""
    ds = river.isel(time=slice(0, DAYS))
    ds = ds.assign(
        lat_fine=("fine", 41 + np.arange(12) / 100, {"units": "degrees_north"}),
        lon_fine=("fine", -75 + np.arange(12) / 100, {"units": "degrees_east"}),
    )
    seen: list[tuple[str, int]] = []
    watched = ds.assign({name: watch(ds[name], name, seen) for name in DRIVERS | LABELS})
    temperature = ds.msgl.downscale(model)
    days = ds.time.isel(time=slice(CHUNK, 2 * CHUNK))
    observed = ds.water_temperature_fine.where(ds.time.isin(days))
    return SimpleNamespace(
        plain=ds,
        ds=watched,
        model=model,
        folds=folds,
        seen=seen,
        refuse=refuse_to_compute,
        prediction=watch(temperature, "prediction", seen),
        quantiles=watch(ds.msgl.downscale(model, quantiles=[0.2, 0.5, 0.8]), "quantiles", seen),
        observed=observed,
        folder=tmp_path,
    )


def names(case) -> set[str]:
    return {name for name, _ in case.seen}


def is_lazy(ds: xr.Dataset, wanted: set[str]) -> bool:
    return all(ds[name].chunks is not None for name in wanted)


def simulated(case):
    ds = xmsgl.datasets.simulated(n_coarse=4, years=1)
    assert all(variable.chunks is None for variable in ds.variables.values())


def combine(case):
    coarse = case.ds.drop_dims("fine")
    fine = case.ds.drop_dims("coarse").drop_vars("coarse_segment")
    crosswalk = case.plain.coarse_segment
    with case.refuse():
        done = xmsgl.combine(coarse, fine, crosswalk)
    assert is_lazy(done, DRIVERS | LABELS)


def join_basins(case):
    with case.refuse():
        done = xmsgl.join_basins([case.ds, case.ds], renumber=True)
    assert is_lazy(done, DRIVERS | LABELS)


def to_datatree(case):
    with case.refuse():
        tree = case.ds.msgl.to_datatree()
        again = tree.msgl.to_datatree()
    assert again["coarse/air_temperature"].chunks is not None


def validate(case):
    case.ds.msgl.validate()
    blocks = [(name, start) for name in DRIVERS | LABELS for start in range(0, DAYS, CHUNK)]
    assert sorted(case.seen) == sorted(blocks)


def validate_names(case):
    with case.refuse():
        case.ds.msgl.validate(values=False)


def graph(case):
    with case.refuse():
        case.ds.msgl.graph()


def mask_labels(case):
    with case.refuse():
        masked = xmsgl.evaluate.mask_labels(case.ds, days=["2001-10-05"], segments=[103])
        years = {"train": (2002, 2002), "validation": (2003, 2003), "test": (2004, 2004)}
        parts = xmsgl.evaluate.temporal_split(case.ds, **years)
    assert is_lazy(masked, DRIVERS | LABELS)
    assert is_lazy(parts["train"], DRIVERS | LABELS)


def keep_fraction(case):
    kept = xmsgl.evaluate.keep_fraction(case.ds.water_temperature_fine, 0.5)
    assert names(case) == {"water_temperature_fine"}
    assert kept.chunks is not None


def train(case):
    fitted = case.ds.msgl.train("remap", validation=0.4, **SETTINGS)
    assert names(case) == DRIVERS | LABELS
    assert is_lazy(case.ds, DRIVERS | LABELS)
    assert fitted.sha256 == case.model.sha256


def downscale(case):
    with case.refuse():
        done = case.ds.msgl.downscale(case.model)
    assert done.chunks == ((40, 40, 40), (12,))
    assert case.seen == []
    done.isel(time=slice(80, 90)).compute()  # the last window and its warm-up: two blocks of one driver
    assert set(case.seen) == {("air_temperature_coarse", 60), ("air_temperature_coarse", 90)}
    np.testing.assert_array_equal(done, case.plain.msgl.downscale(case.model))


def downscale_quantiles(case):
    with case.refuse():
        done = case.ds.msgl.downscale(case.model, quantiles=[0.2, 0.5, 0.8])
    assert done.chunks == ((3,), (40, 40, 40), (12,))
    assert case.seen == []


def embed(case):
    with case.refuse():
        done = case.ds.msgl.embed(case.model)
    assert done.chunks == ((40, 40, 40), (12,), (4,))
    assert case.seen == []
    done.isel(time=slice(80, 90)).compute()
    assert set(case.seen) == {("air_temperature_coarse", 60), ("air_temperature_coarse", 90)}


def analogues(case):
    embedding = case.plain.msgl.embed(case.model).drop_vars(
        "spin_up"
    )  # which marks all days of so short a record
    states = watch(embedding, "states", case.seen)
    found = xmsgl.evaluate.analogues(states, 7, n=3)
    assert sorted(case.seen) == [("states", start) for start in range(0, DAYS, CHUNK)]
    assert found.chunks is None


def without_places(ds):
    return ds.drop_vars(["lat_fine", "lon_fine"])  # the model was trained without them


def reconstruct(case):
    before = without_places(case.plain).msgl.state(case.folds, day=case.plain.time.values[69])
    ds = without_places(case.ds)
    with case.refuse():
        whole = ds.msgl.reconstruct(case.folds, mode="filter")
        done = ds.msgl.reconstruct(case.folds, mode="filter", start=before)
    assert case.seen == []
    assert whole.chunks == ((40, 40, 40), (12,))
    assert done.chunks == ((10, 40), (12,))
    done.isel(time=slice(10, None)).compute()  # the last window, its warm-up, and those whose errors it needs
    assert set(case.seen) == {
        (name, start) for name in ("air_temperature_coarse", *LABELS) for start in (30, 60, 90)
    } - {(name, 30) for name in LABELS}
    np.testing.assert_allclose(done, whole.isel(time=slice(70, None)), atol=1e-5)


def state(case):
    found = without_places(case.ds).msgl.state(case.folds, day=case.plain.time.values[49])
    assert {start for _, start in case.seen} == {0, 30}
    assert names(case) == {"air_temperature_coarse", *LABELS}
    assert is_lazy(case.ds, LABELS)
    assert all(variable.chunks is None for variable in found.variables.values())


def evaluate(case):
    case.plain.msgl.evaluate(case.prediction, observed=case.observed)
    assert case.seen == [("prediction", CHUNK)]
    for score in (xmsgl.evaluate.coverage, xmsgl.evaluate.pinball, xmsgl.evaluate.crps):
        case.seen.clear()
        score(case.quantiles, case.observed)
        assert case.seen == [("quantiles", CHUNK)]
    case.seen.clear()
    each = {"a": case.prediction, "b": case.prediction + 1}
    case.plain.msgl.compare(each, observed=case.observed)
    assert case.seen == [("prediction", CHUNK)] * 2
    case.plain.msgl.evaluate(case.prediction, observed=case.observed, by=["month", "reach"], confidence=0.9)
    assert case.seen == [("prediction", CHUNK)] * 3
    case.seen.clear()
    result = case.ds.msgl.evaluate(case.plain.msgl.downscale(case.model))
    assert names(case) == {"water_temperature_fine"}
    assert all(variable.chunks is None for variable in result.variables.values())


def indices(case):
    assert xmsgl.evaluate.indices(case.prediction, case.observed).degree_days.chunks
    assert case.seen == []


def references(case):
    assert xmsgl.evaluate.climatology(case.ds).chunks is None
    assert names(case) <= LABELS
    assert xmsgl.evaluate.air_temperature_regression(case.ds).chunks is None
    assert names(case) <= {*LABELS, "air_temperature_coarse"}


def export(case):
    with case.refuse():
        for convention in ("cf", "ugrid", "xvec"):
            done = case.ds.msgl.export(case.prediction, convention=convention)
            (days,) = (size for dim, size in done.water_temperature.chunksizes.items() if dim == "time")
            assert days == (CHUNK,) * 4
        assert is_lazy(case.ds.msgl.export(), {"water_temperature"})


def to_geodataframe(case):
    xmsgl.export.to_geodataframe(case.prediction.isel(time=[0, 1, 2]), case.ds)
    assert case.seen == [("prediction", 0)]


def series(case):
    chunked = case.prediction.chunk(fine=1)
    xmsgl.plot.series(chunked, case.plain, 7, period=slice("2001-11-01", "2001-11-20"))
    assert {start for _, start in case.seen} == {CHUNK}


def overview(case):
    month = slice("2001-11-01", "2001-11-20")
    xmsgl.plot.overview(case.prediction, case.plain, reach=7, time="2001-11-05", period=month)
    assert {start for _, start in case.seen} == {CHUNK}


def plot_network(case):
    case.ds.msgl.plot.network(case.prediction, time="2001-11-05")
    assert case.seen == [("prediction", CHUNK)]


def plot_embedding(case):
    year = pd.date_range("2003-01-01", periods=365)
    angle = np.arange(365)[:, None, None] / 58 + np.arange(12)[:, None] / 9
    states = xr.DataArray(
        np.cos(angle * [1, 2]), {"time": year, "fine": case.plain.fine}, ("time", "fine", "latent")
    )
    case.plain.msgl.plot.embedding(watch(states, "states", case.seen))
    assert {start for _, start in case.seen} == set(range(0, 365, CHUNK))


def plot_skill(case):
    case.plain.msgl.plot.skill(case.prediction, observed=case.observed)
    assert case.seen == [("prediction", CHUNK)]


def plot_graph(case):
    with case.refuse():
        case.ds.msgl.plot.graph("fine")


def explore(case):
    case.ds.msgl.explore(case.folder / "page.html", prediction=case.prediction)
    blocks = [(name, start) for name in ("prediction", *LABELS) for start in range(0, DAYS, CHUNK)]
    assert sorted(case.seen) == sorted(blocks)


PROOFS = {
    "xmsgl.datasets.simulated()": simulated,
    "xmsgl.combine()": combine,
    "xmsgl.join_basins()": join_basins,
    "ds.msgl.to_datatree()": to_datatree,
    "ds.msgl.validate()": validate,
    "ds.msgl.validate(values=False)": validate_names,
    "ds.msgl.graph()": graph,
    "xmsgl.evaluate.mask_labels()": mask_labels,
    "xmsgl.evaluate.keep_fraction()": keep_fraction,
    "ds.msgl.train()": train,
    "ds.msgl.downscale()": downscale,
    "ds.msgl.downscale(quantiles=[...])": downscale_quantiles,
    "ds.msgl.embed()": embed,
    "ds.msgl.reconstruct()": reconstruct,
    "ds.msgl.state()": state,
    "ds.msgl.evaluate()": evaluate,
    "xmsgl.evaluate.indices()": indices,
    "xmsgl.evaluate.analogues()": analogues,
    "xmsgl.evaluate.climatology()": references,
    "ds.msgl.export()": export,
    "xmsgl.export.to_geodataframe()": to_geodataframe,
    "xmsgl.plot.series()": series,
    "xmsgl.plot.overview()": overview,
    "ds.msgl.plot.network()": plot_network,
    "ds.msgl.plot.embedding()": plot_embedding,
    "ds.msgl.plot.skill()": plot_skill,
    "ds.msgl.plot.graph()": plot_graph,
    "ds.msgl.explore()": explore,
}


@pytest.mark.parametrize("call", list(PROOFS))
def test_the_row_is_true(call, case):
    PROOFS[call](case)


def test_every_row_has_a_proof():
    table = PAGE.read_text(encoding="utf-8").split("## Chunks")[0]
    rows = re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    assert set(rows) == {*PROOFS, "xmsgl.datasets.delaware()"}
    assert (
        "def test_lazy(self, delaware_cache, refuse_to_compute)"
        in (ROOT / "tests/datasets/delaware_basin/test_dataset.py").read_text()
    )


def test_the_watch_sees(case):
    case.ds.precipitation_coarse.isel(time=[0, 119]).compute()
    assert sorted(case.seen) == [("precipitation_coarse", 0), ("precipitation_coarse", 90)]
    with case.refuse(), pytest.raises(AssertionError, match="something was computed"):
        case.ds.precipitation_coarse.compute()
