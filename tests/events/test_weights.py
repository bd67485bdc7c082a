"""Weights of sensors against finite differences, and what sensors feel against the simulated signal."""

from __future__ import annotations

import numpy as np
import torch

from xmsgl.events import felt, sensor_weights, simulate, train
from xmsgl.events.courses import find_course
from xmsgl.events.localizer import bound
from xmsgl.events.river import HeatedRiver


def test_weights_are_those_of_finite_differences(basin, events, monkeypatch) -> None:
    # The level of the noise and the course of the heat are taken as known: both would jump.
    monkeypatch.setattr(
        "xmsgl.events.network.noise_of", lambda residual: residual.new_ones(len(residual), 1, 1)
    )
    localizer = train(events, basin, epochs=2)
    network = localizer.network.double()
    river = HeatedRiver.of(basin)
    event = events.isel(event=[3])
    first = basin.indexes["time"].get_indexer(event.first_day.values)
    run = bound(localizer, river)

    record = torch.from_numpy(event.residual.values.astype(np.float64)) / localizer.noise
    known = find_course(record, torch.ones(1, 1, 1, dtype=torch.float64))
    monkeypatch.setattr("xmsgl.events.network.find_course", lambda *_: known)

    class Doubled(torch.nn.Module):
        count = network.count

        def forward(self, residual, edges, gain, *others):
            return network(residual.double(), edges.double(), gain.double(), *others)

    localizer.network = Doubled()
    values = event.residual.values.astype(np.float64)

    def probability(changed: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return torch.log_softmax(run(torch.from_numpy(changed), first).source, 1)[0].numpy()

    best = probability(values).argmax()
    gradient = np.zeros(values.shape[1:])
    for day, sensor in np.ndindex(*gradient.shape):
        for sign in (1, -1):
            moved = values.copy()
            moved[0, day, sensor] += sign * 1e-5
            gradient[day, sensor] += sign * probability(moved)[best] / 2e-5
    expected = np.sqrt((gradient**2).sum(0))
    got = sensor_weights(event, basin, localizer)[0]
    np.testing.assert_allclose(got, expected / expected.sum(), atol=2e-3)  # a maximum has kinks


def test_what_sensors_feel_is_the_signal_without_noise(basin) -> None:
    clear = simulate(basin, n=20, sensors=0.3, noise=1e-4, seed=9)
    shares = felt(clear, basin)
    size = np.sqrt((clear.residual.astype(float) ** 2).sum("day"))
    heated = (clear.kind != "sensor_in_air").values
    np.testing.assert_allclose(shares[heated], (size / size.sum("sensor"))[heated], atol=0.01)
    assert shares[~heated].isnull().all()
    np.testing.assert_allclose(shares[heated].sum("sensor"), 1)
