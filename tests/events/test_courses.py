"""The course of heat that a record is most like, and the heat that it implies, against plain searches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xmsgl.events.courses import _kept, find_course, noise_of
from xmsgl.events.disturb import between
from xmsgl.events.kinds import KINDS, profile
from xmsgl.events.network import _implied


def records(*courses: np.ndarray, noise: float = 1.0) -> np.ndarray:
    """One event (1, day, sensor): some courses, and sensors with noise alone."""
    rng = np.random.default_rng(3)
    found = noise * rng.normal(size=(1, 60, 16))
    for k, course in enumerate(courses):
        found[0, :, k] += course
    return found


def course_of(kind: str, duration: int, first: int, size: float) -> np.ndarray:
    return size * profile(kind, duration, 60, first)


@pytest.mark.parametrize("band", [None, (3, 10), (10, 30), (2, 7)])
def test_the_periods_that_a_filter_keeps_are_found(band) -> None:
    given = records(course_of("weekly_discharge", 20, 12, 40.0))
    frequency = np.fft.rfftfreq(60)
    wanted = np.ones(31) if band is None else (frequency >= 1 / band[1]) & (frequency <= 1 / band[0])
    given = given if band is None else between(given, *band)
    found = _kept(torch.from_numpy(given), noise_of(torch.from_numpy(given)))[0, :, 0]
    np.testing.assert_allclose(found, wanted, atol=0.35)  # that of a single day of the week may be low
    assert np.abs(found.numpy() - wanted).mean() < 0.03


@pytest.mark.parametrize("band", [None, (3, 20)])
def test_courses_are_found_as_by_a_plain_search(band) -> None:
    """Every kind, duration and first day, one after the other, by least squares."""
    truth = [("industrial_discharge", 17, 9), ("warm_dam_release", 11, 20), ("tributary_heat_wave", 8, 30)]
    given = records(*(course_of(*each, 30.0) for each in truth), course_of("cold_flush", 2, 25, -40.0))
    given = given if band is None else between(given, *band)
    scale = noise_of(torch.from_numpy(given))
    found = find_course(torch.from_numpy(given), scale)
    kept = found.kept[0, :, 0].numpy()
    for sensor in range(4):
        best = (-1.0, ("", 0, 0))
        for kind, about in KINDS.items():
            for duration in range(about.shortest, about.longest + 1):
                for first in range(60 - duration + 1):
                    shape = np.fft.irfft(np.fft.rfft(course_of(kind, duration, first, 1.0)) * kept, n=60)
                    like = abs(given[0, :, sensor] @ shape) / np.sqrt(shape @ shape)
                    best = max(best, (like, (kind, duration, first)))
        np.testing.assert_array_equal(found.heat[0, :, sensor], course_of(*best[1], 1.0))
        day, duration, clear = found.features[0, sensor, :3].numpy()
        assert day * 60 == pytest.approx(best[1][2])
        assert 2 ** (5 * duration) == pytest.approx(best[1][1])
        assert np.expm1(clear) == pytest.approx(best[0] / float(scale), rel=1e-6)
        if band is None and sensor < 3:
            assert best[1][2] == truth[sensor][2]
            assert best[1][1] == truth[sensor][1]


@pytest.mark.parametrize("band", [None, (3, 20)])
def test_the_heat_that_sensors_imply_is_that_of_a_plain_fit(band) -> None:
    rng = np.random.default_rng(3)
    gain = rng.uniform(0.5, 1.5, (1, 60, 1))
    given = records(gain[0, :, 0] * course_of("industrial_discharge", 12, 8, 400.0))
    given = given if band is None else between(given, *band)
    scale = noise_of(torch.from_numpy(given))
    course = find_course(torch.from_numpy(given), scale)
    implied = _implied(torch.from_numpy(given), scale, course, torch.from_numpy(gain), torch.tensor([0]))
    shape = course.heat[0, :, 0].numpy() * gain[0, :, 0]
    shape = shape if band is None else between(shape[:, None], *band)[:, 0]
    heat = np.linalg.lstsq(shape[:, None], given[0, :, 0], rcond=None)[0][0]
    assert float(implied.features[0, 0, 0]) == pytest.approx(np.log10(heat), abs=0.01 if band else 1e-4)
    assert heat == pytest.approx(400, rel=0.15)  # the gain of a day and the days of the course are mixed up
    assert float(implied.trust[0, 0]) > 0.9
