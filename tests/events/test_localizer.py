"""The network that locates events: learning, its file, and what it may depend on."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from xmsgl.errors import CheckpointError, InvalidArgumentError
from xmsgl.events import Localizer, locate, score, simulate, train
from xmsgl.events.edges import connect
from xmsgl.events.river import HeatedRiver
from xmsgl.simulate.loops import HEAT_CAPACITY


@pytest.fixture(scope="module")
def localizer(basin, events):
    return train(events, basin, epochs=3, seed=1)


def test_it_learns_what_the_rules_do_not_know(basin) -> None:
    events = simulate(basin, n=360, sensors=0.3, seed=8)
    seen, unseen = events.isel(event=slice(0, 300)), events.isel(event=slice(300, None))
    trained = train(seen, basin, epochs=12)
    history = trained.history["validation"]
    assert min(history) < 0.75 * history[0]
    mine, rule = (score(locate(unseen, basin, by), unseen, basin) for by in (trained, "largest"))
    assert float(mine.magnitude_rmse) < float(rule.magnitude_rmse)


def test_the_file_holds_all(basin, events, localizer, tmp_path) -> None:
    again = Localizer.load(localizer.save(tmp_path / "locate.safetensors"))
    assert again.history == localizer.history
    assert locate(events, basin, again).equals(locate(events, basin, localizer))
    for name, value in localizer.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], value)


def test_other_files_are_refused(tmp_path, basin) -> None:
    with pytest.raises(CheckpointError, match="no file"):
        Localizer.load(tmp_path / "none.safetensors")
    model = basin.msgl.train("remap", epochs=1, window=60, warmup=5, hidden=4, progress=False)
    with pytest.raises(CheckpointError, match="not a network that locates events"):
        Localizer.load(model.save(tmp_path / "model.safetensors"))


def test_training_is_repeatable(basin, events, localizer) -> None:
    again = train(events, basin, epochs=3, seed=1)
    assert again.history == localizer.history


def test_each_estimate_depends_on_its_own_record_alone(basin, events, localizer) -> None:
    alone = locate(events.isel(event=[4]), basin, localizer)
    assert alone.source.item() == locate(events, basin, localizer).source.values[4]


def test_other_sensors_are_refused(basin, localizer) -> None:
    others = simulate(basin, n=4, sensors=0.5, seed=1)
    with pytest.raises(InvalidArgumentError, match="other sensors"):
        locate(others, basin, localizer)
    with pytest.raises(InvalidArgumentError, match="16"):
        train(others, basin)


def test_edges_are_those_of_the_river(basin, events) -> None:
    river = HeatedRiver.of(basin)
    places = basin.indexes["fine"].get_indexer(events.sensor)
    edges = connect(river, places)
    flow = nx.DiGraph((i, int(j)) for i, j in enumerate(river.downstream) if j >= 0)
    flow.add_nodes_from(range(river.downstream.size))
    for sensor, reach, below, above in zip(*edges, strict=True):
        place = int(places[sensor])
        assert below == (place == reach or nx.has_path(flow, reach, place))
        assert above == (place != reach and nx.has_path(flow, place, reach))
    # every reach is connected with the next sensor downstream
    nearest = {int(reach) for reach, below in zip(edges.reach, edges.below, strict=True) if below}
    assert nearest == set(range(river.downstream.size))


def test_a_watt_warms_as_much_as_the_edges_say(basin, events) -> None:
    """A constant release in the long run: the change at the sensor, from the response and from the edge."""
    from xmsgl.events.edges import edge_features

    river = HeatedRiver.of(basin)
    places = basin.indexes["fine"].get_indexer(events.sensor)
    edges = connect(river, places)
    window = slice(500, 560)
    features = edge_features(river, places, edges, window)
    shares = []
    for number in np.flatnonzero(edges.below)[::7]:
        path = river.path(int(edges.reach[number]))
        at = path.tolist().index(int(places[edges.sensor[number]]))
        change = river.response(500, 60, path, np.ones((1, 60)))[0, 30:, at].mean()
        shares.append(10 ** (features[number, 2] - 7.0) / change)
    assert np.median(shares) == pytest.approx(1.0, rel=0.15)
    assert pytest.approx(4.186e6) == HEAT_CAPACITY
