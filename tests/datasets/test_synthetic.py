"""The simulated basin: valid, complete, reproducible, with the spreads of a real river."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import xarray as xr

from xmsgl.datasets import simulated
from xmsgl.errors import InvalidArgumentError
from xmsgl.schema.rivers import segment_positions
from xmsgl.schema.roles import drivers, statics
from xmsgl.schema.tree import as_dataset
from xmsgl.schema.validate import validate

SMALL = {"n_coarse": 5, "reaches_per_segment": 4, "years": 2}


@pytest.fixture(scope="module")
def small() -> xr.Dataset:
    return simulated(**SMALL)


@pytest.fixture(scope="module", params=[0, 1, 2])
def full(request: pytest.FixtureRequest) -> xr.Dataset:
    return simulated(seed=request.param)


def spreads(ds: xr.Dataset) -> tuple[float, float]:
    """Deviation of the segments' means, and the median over the segments of that of their reaches.

    Of what remains after one regression for all on the air temperature (the day's and means over 3, 7, 30
    and 90 days) and two annual harmonics.
    """
    on = segment_positions(ds)
    truth = ds.true_temperature_fine.to_numpy().astype(float)
    air = ds.air_temperature_coarse.to_pandas()
    angle = 2 * np.pi * ds.time.dt.dayofyear.to_numpy() / 365.25
    smooth = [air.rolling(k, min_periods=1).mean().to_numpy()[:, on].ravel() for k in (1, 3, 7, 30, 90)]
    waves = [np.repeat(f(k * angle), on.size) for k in (1, 2) for f in (np.sin, np.cos)]
    table = np.stack([np.ones(truth.size), *smooth, *waves], axis=1)
    fitted = table @ np.linalg.lstsq(table[::5], truth.ravel()[::5], rcond=None)[0]
    means = (truth.ravel() - fitted).reshape(truth.shape).mean(axis=0)
    groups = [means[on == segment] for segment in range(ds.sizes["coarse"])]
    between = float(np.std([group.mean() for group in groups], ddof=1))
    return between, float(np.median([group.std(ddof=1) for group in groups if group.size > 1]))


def test_spreads_are_near_those_of_the_delaware(full: xr.Dataset) -> None:
    """Between segments the generator is fitted to this, by a simpler measure; within it is not."""
    between, within = spreads(full)
    assert between == pytest.approx(2.2, abs=0.5)
    assert within == pytest.approx(0.5, abs=0.2)


def test_static_attributes_explain_part_of_the_segments(full: xr.Dataset) -> None:
    means = full.true_temperature_coarse.mean("time").to_numpy()
    columns = [np.log(full[f"{name}_coarse"]) for name in ("slope", "width", "drainage_area", "elevation")]
    table = np.stack([np.ones(means.size), *columns], axis=1)
    rest = means - table @ np.linalg.lstsq(table, means, rcond=None)[0]
    assert 0.3 < 1 - rest.var() / means.var() < 0.95


def test_process_model_is_realistically_wrong(full: xr.Dataset) -> None:
    error = full.simulated_temperature_coarse - full.true_temperature_coarse
    assert 2.5 < float(np.sqrt((error**2).mean())) < 4.5


def test_labels_number_noise_and_sites(full: xr.Dataset) -> None:
    for scale, fraction in (("fine", 0.01), ("coarse", 0.15)):
        label, truth = full[f"water_temperature_{scale}"], full[f"true_temperature_{scale}"]
        assert int(label.notnull().sum()) == round(fraction * truth.size)
        error = (label - truth).where(truth > 1.5).to_numpy()
        error = error[np.isfinite(error)]
        assert error.std() == pytest.approx(0.25, abs=0.02)
        assert abs(error.mean()) < 0.02
    assert int(full.water_temperature_fine.notnull().any("time").sum()) == 19
    assert int(full.water_temperature_coarse.notnull().any("time").sum()) == 36


def test_follows_the_convention(small: xr.Dataset) -> None:
    validate(small)
    assert as_dataset(small) is not None
    assert set(drivers(small)) == {
        "air_temperature",
        "air_temperature_min",
        "air_temperature_max",
        "precipitation",
        "relative_humidity",
        "solar_radiation",
        "potential_evapotranspiration",
    }
    assert {"slope", "elevation", "width", "drainage_area", "stream_order"} <= set(statics(small))
    for name, variable in small.data_vars.items():
        assert variable.attrs["units"], name
        assert variable.attrs["long_name"], name
        assert "time" not in variable.dims or variable.dtype == "float32", name
    daily_fine = {name for name in small if small[name].dims == ("time", "fine")}
    assert daily_fine == {"true_temperature_fine", "water_temperature_fine"}
    assert small.sizes == {"time": 730, "coarse": 5, "fine": 20}


@pytest.mark.parametrize("scale", ["coarse", "fine"])
def test_is_a_tree(small: xr.Dataset, scale: str) -> None:
    ids = small[scale].to_numpy()
    below = small[f"downstream_{scale}"].to_numpy()
    tree = nx.DiGraph([(i, j) for i, j in zip(ids, below, strict=True) if j != 0])
    assert nx.is_tree(tree.to_undirected())
    assert nx.is_directed_acyclic_graph(tree)
    assert set(tree) == set(ids)
    assert (below == 0).sum() == 1


def test_coarse_truth_is_the_mean_of_its_reaches(small: xr.Dataset) -> None:
    mean = small.true_temperature_fine.groupby(small.coarse_segment).mean()
    np.testing.assert_allclose(mean.to_numpy(), small.true_temperature_coarse.to_numpy(), atol=1e-5)
    assert mean.coarse_segment.to_numpy().tolist() == small.coarse.to_numpy().tolist()


def test_truth_is_complete_and_physical(full: xr.Dataset) -> None:
    truth = full.true_temperature_fine
    assert bool(truth.notnull().all())
    assert 0.0 <= float(truth.min()) < 1.0
    assert 24.0 < float(truth.max()) < 36.0
    summer = truth.sel(time=truth.time.dt.month.isin([7, 8])).mean()
    winter = truth.sel(time=truth.time.dt.month.isin([1, 2])).mean()
    assert 12 < float(summer - winter) < 24


def test_truth_moves_from_day_to_day_like_a_stream(full: xr.Dataset) -> None:
    """Daily means of real streams seldom move by more than 3 to 4 K a day."""
    step = np.abs(full.true_temperature_fine.diff("time").to_numpy())
    assert np.quantile(step, 0.999) < 4.0
    assert step.max() < 8.0
    assert np.median(step) > 0.15  # nor does it stand still


def test_geometry_reads_back_and_meets(small: xr.Dataset) -> None:
    shapely = pytest.importorskip("shapely")
    for scale in ("coarse", "fine"):
        variable = small[f"geometry_{scale}"]
        assert variable.attrs["crs"] == "EPSG:4326"
        assert variable.attrs["encoding_format"] == "hex WKB"
        lines = dict(zip(small[scale].to_numpy(), shapely.from_wkb(variable.to_numpy()), strict=True))
        for reach, line in lines.items():
            below = int(small[f"downstream_{scale}"].sel({scale: reach}))
            if below:
                np.testing.assert_allclose(line.coords[-1], lines[below].coords[0], atol=1e-9)
            middle = shapely.Point(
                small[f"lon_{scale}"].sel({scale: reach}), small[f"lat_{scale}"].sel({scale: reach})
            )
            assert line.distance(middle) < 1e-6


def test_equal_seeds_give_equal_bits(small: xr.Dataset) -> None:
    xr.testing.assert_identical(small, simulated(**SMALL))


def test_other_seeds_give_other_basins(small: xr.Dataset) -> None:
    other = simulated(**SMALL, seed=1)
    assert not np.array_equal(other.length_fine, small.length_fine)
    assert not np.array_equal(other.air_temperature_coarse, small.air_temperature_coarse)


def test_more_labels_leave_the_truth_alone(small: xr.Dataset) -> None:
    other = simulated(**SMALL, label_fraction=0.3, coarse_label_fraction=0.4)
    xr.testing.assert_equal(other.true_temperature_fine, small.true_temperature_fine)
    xr.testing.assert_equal(other.air_temperature_coarse, small.air_temperature_coarse)


@pytest.mark.parametrize("fraction", [0.0, 1.0], ids=["none", "all"])
def test_extreme_fractions(fraction: float) -> None:
    ds = simulated(2, 3, 1, label_fraction=fraction, coarse_label_fraction=fraction)
    for scale in ("coarse", "fine"):
        assert float(ds[f"water_temperature_{scale}"].notnull().mean()) == fraction


def test_one_segment_one_reach() -> None:
    ds = simulated(1, 1, 1, label_fraction=0.5)
    validate(ds)
    np.testing.assert_array_equal(ds.true_temperature_fine.to_numpy(), ds.true_temperature_coarse.to_numpy())


def test_provenance(small: xr.Dataset) -> None:
    assert small.attrs["seed"] == 0
    assert "simulated(n_coarse=5, reaches_per_segment=4, years=2, label_fraction=0.01" in small.source


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_coarse": 0}, "n_coarse must be a whole number of at least 1, not 0"),
        ({"reaches_per_segment": 2.5}, "reaches_per_segment must be a whole number"),
        ({"years": True}, "years must be a whole number"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"label_fraction": 1.5}, "label_fraction must lie in 0..1, not 1.5"),
        ({"label_fraction": float("nan")}, "label_fraction must be a number, not nan"),
        ({"coarse_label_fraction": "most"}, "coarse_label_fraction must be a number, not 'most'"),
        ({"n_coarse": 0, "years": 0}, "n_coarse .*; years "),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_faults(change: dict, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        simulated(**{**SMALL, **change})
