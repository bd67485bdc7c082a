"""Disturbed records against sines, shifts by hand, and counts."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.events.disturb import perturb

DAYS = 60


@pytest.fixture
def records() -> xr.Dataset:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, DAYS, 10)).astype(np.float32)
    return xr.Dataset(
        {
            "residual": (("event", "day", "sensor"), values, {"units": "degC"}),
            "onset": ("event", np.arange(40)),
        }
    )


def test_a_band_keeps_its_periods_and_no_others(records) -> None:
    day = np.arange(DAYS)
    waves = {period: np.sin(2 * np.pi * day / period) for period in (4, 6, 20, 30)}
    one = records.copy(deep=True)
    one["residual"][:] = (3 + sum(waves.values()))[None, :, None]
    fast, slow = perturb(one, band=(3, 10)), perturb(one, band=(10, 30))
    np.testing.assert_allclose(fast.residual[0, :, 0], waves[4] + waves[6], atol=1e-5)
    np.testing.assert_allclose(slow.residual[0, :, 0], waves[20] + waves[30], atol=1e-5)


def test_a_shift_makes_everything_later(records) -> None:
    late = perturb(records, shift=3)
    np.testing.assert_array_equal(late.residual[:, 3:], records.residual[:, :-3])
    assert not late.residual[:, :3].any()
    np.testing.assert_array_equal(late.onset, records.onset + 3)


def test_lost_sensors_report_nothing(records) -> None:
    few = perturb(records, lost=0.3)
    silent = ~few.residual.any("day").values
    assert silent.mean() == pytest.approx(0.3, abs=0.06)
    np.testing.assert_array_equal(
        few.residual.values.transpose(0, 2, 1)[~silent], records.residual.values.transpose(0, 2, 1)[~silent]
    )


def test_noise_and_one_biased_sensor(records) -> None:
    noisy = (perturb(records, noise=0.5).residual - records.residual).values
    assert noisy.std() == pytest.approx(0.5, rel=0.05)
    biased = (perturb(records, bias=1.0).residual - records.residual).values
    assert np.isclose(biased, 1.0, atol=1e-6).all(axis=1).sum(axis=1).tolist() == [1] * 40
    assert np.isclose(biased, 0.0, atol=1e-6).all(axis=1).sum(axis=1).tolist() == [9] * 40


@pytest.mark.parametrize(
    "wrong",
    [
        {"shift": -1},
        {"shift": 60},
        {"lost": 1.5},
        {"noise": -1.0},
        {"bias": np.inf},
        {"noise": np.nan},
        {"band": (9.0, 3.0)},
    ],
)
def test_wrong_arguments_are_named(records, wrong) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(wrong))):
        perturb(records, **wrong)


def test_bands_that_leave_nothing_are_refused(records) -> None:
    with pytest.raises(InvalidArgumentError, match=r"leaves no variation of event 0, .* 10 to 30 days"):
        perturb(perturb(records, band=(10, 30)), band=(3, 9))
    with pytest.raises(InvalidArgumentError, match="leaves no variation"):
        perturb(records, band=(61, 90))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda events: events.assign(residual=events.residual.where(events.day != 3)), "missing values"),
        (lambda events: events.isel(event=slice(0, 0)), "at least one event"),
        (
            lambda events: events.assign(residual=events.residual.assign_attrs(units="degF")),
            "'degF', not in degC",
        ),
        (lambda events: events.assign_coords(day=np.arange(DAYS)[::-1]), "not in order"),
    ],
)
def test_records_that_can_not_be_disturbed(records, change, words) -> None:
    with pytest.raises(InvalidDatasetError, match=words):
        perturb(change(records.assign_coords(day=np.arange(DAYS))), shift=1)
