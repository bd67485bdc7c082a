"""The linear response against the difference of two runs of the process model."""

from __future__ import annotations

import numpy as np
import pytest

from xmsgl.simulate import StreamParameters, equilibrium_temperature, stream_temperature
from xmsgl.simulate.response import downstream_path, heat_response, transport

DAYS, N = 50, 9
DOWN = np.array([2, 2, 4, 4, 7, 6, 7, 8, -1])


@pytest.fixture(scope="module")
def river() -> dict:
    rng = np.random.default_rng(2)
    area = np.array([3.0, 1, 5, 2, 8, 1, 2, 12, 13])
    return {
        "length": rng.uniform(500, 9000, N),
        "width": rng.uniform(3, 20, N),
        "slope": np.array([0.02, 0, 0.001, 0.003, 0, 0.0005, 0.002, 0, 0.0001]),
        "discharge": area * rng.lognormal(-2, 0.3, (DAYS, 1)) * rng.uniform(0.9, 1.1, (DAYS, N)),
        "air": 18 + rng.normal(0, 3, (DAYS, N)),
        "solar": rng.uniform(100, 300, (DAYS, N)),
        "shade": rng.uniform(0, 0.8, N),
    }


@pytest.mark.parametrize("bed", [0.0, 15.0])
@pytest.mark.parametrize("source", [0, 5, 7, 8])
def test_the_response_is_the_difference_of_two_runs(river: dict, source: int, bed: float) -> None:
    p = StreamParameters(bed_exchange=bed, min_velocity=0.02)
    heat = np.zeros((DAYS, N))
    heat[20:26, source] = np.array([2, 5, 3, -1, 0, 4]) * 1e6

    def run(released: np.ndarray | float) -> np.ndarray:
        return stream_temperature(
            DOWN,
            length=river["length"],
            width=river["width"],
            slope=river["slope"],
            shade=river["shade"],
            air_temperature=river["air"],
            solar_radiation=river["solar"],
            discharge=river["discharge"],
            heat=released,
            parameters=p,
        )

    before = run(0.0)
    assert before.min() > 5  # so that nothing is cut off at 0 degC
    changed = run(heat) - before
    state = equilibrium_temperature(river["air"], river["solar"], shade=river["shade"], parameters=p)
    carried = transport(
        DOWN,
        length=river["length"],
        width=river["width"],
        slope=river["slope"],
        discharge=river["discharge"],
        coefficient=state.coefficient,
        parameters=p,
    )
    path = downstream_path(DOWN, source)
    both = heat_response(carried, path, np.stack([heat[:, source], 2 * heat[:, source]]), parameters=p)
    np.testing.assert_allclose(both[0], changed[:, path], rtol=0, atol=1e-9)
    np.testing.assert_allclose(both[1], 2 * both[0], rtol=0, atol=1e-9)
    others = np.setdiff1d(np.arange(N), path)
    assert not changed[:, others].any()
    assert np.abs(changed[:, -1]).max() > 1e-3


def test_a_path_ends_at_the_outlet() -> None:
    assert downstream_path(DOWN, 5).tolist() == [5, 6, 7, 8]
    assert downstream_path(DOWN, 8).tolist() == [8]
