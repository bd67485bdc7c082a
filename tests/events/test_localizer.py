"""The network that locates events: learning, its file, and what it may depend on."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from xmsgl.errors import CheckpointError, InvalidArgumentError
from xmsgl.events import Localizer, locate, score, sensor_weights, simulate, train
from xmsgl.events.courses import find_course
from xmsgl.events.edges import LOG_UNIT, EdgeTable, connect
from xmsgl.events.localizer import _disturbed, bound
from xmsgl.events.network import _implied
from xmsgl.events.records import stations
from xmsgl.events.river import HeatedRiver
from xmsgl.events.text.series import series_features
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
    river = HeatedRiver.of(basin)
    table = EdgeTable.of(river, basin.indexes["fine"].get_indexer(events.sensor))
    features, edges = table.features(slice(500, 560)), table.edges
    of_mean, of_days = [], []
    for number in np.flatnonzero(edges.below)[::7]:
        path = river.path(int(edges.reach[number]))
        at = path.tolist().index(int(table.at[number]))
        change = river.response(500, 60, path, np.ones((1, 60)))[0, 30:, at]
        of_mean.append(10 ** (features[number, 2] - LOG_UNIT) / change.mean())
        of_days.append(np.corrcoef(table.gain[530:560, number], change)[0, 1])
    assert np.median(of_mean) == pytest.approx(1.0, rel=0.15)
    assert np.median(of_days) > 0.9
    assert (table.gain[:, ~edges.below] == 0).all()
    assert pytest.approx(4.186e6) == HEAT_CAPACITY


def test_a_silent_sensor_changes_nothing(basin, events, localizer) -> None:
    """Records in which a sensor is lost: the same estimate whatever reaches are connected with it."""
    river = HeatedRiver.of(basin)
    run, first = bound(localizer, river), basin.indexes["time"].get_indexer(events.first_day.values[:1])
    residual = torch.from_numpy(events.residual.values[:1])
    residual[:, :, 0] = 0.0
    table = EdgeTable.of(river, basin.indexes["fine"].get_indexer(events.sensor))
    messages = []
    hook = localizer.network.message[-1].register_forward_hook(lambda _, __, out: messages.append(out))
    run(residual, first)
    hook.remove()
    lost = torch.from_numpy(table.edges.sensor == 0)
    implied = _implied(
        residual / localizer.noise,
        torch.ones(1, 1, 1),
        find_course(residual / localizer.noise, torch.ones(1, 1, 1)),
        torch.from_numpy(table.gain[None, : events.sizes["day"]]),
        torch.from_numpy(table.edges.sensor),
    )
    assert (implied.seen[0, :, 0] == ~lost).all()
    assert (implied.trust[0, lost] == 0).all()
    assert messages[0][0, lost].abs().sum() > 0  # what the mask takes away


def test_messages_are_those_of_sensor_and_edge_side_by_side(localizer) -> None:
    """Against the same layers applied to all that is known of an edge."""
    network, draw = localizer.network, torch.Generator().manual_seed(0)
    sensor = torch.tensor([0, 2, 1, 2, 0])
    known = network.message[0].in_features
    series = torch.randn(2, 3, known - 12, generator=draw)
    between = torch.randn(2, 5, 12, generator=draw)
    together = network.message(torch.cat([series[:, sensor], between], dim=2))
    torch.testing.assert_close(network._messages(series, between, sensor), together)


@pytest.mark.parametrize("what", range(4))
def test_training_disturbs_half_of_the_records(what) -> None:
    """Each kind of disturbance on an eighth of the records, and nothing else."""
    rng = np.random.default_rng(5)
    residual = rng.normal(size=(400, 60, 6)) + 5.0
    changed = _disturbed(residual.copy(), 1.0, np.random.default_rng(what))
    alike = np.isclose(changed, residual).all(axis=(1, 2)).mean()
    assert 0.4 < alike < 0.6
    silent = (changed == 0).all(axis=1).any(axis=1).mean()
    filtered = (np.abs(changed.mean(axis=(1, 2))) < 1e-9).mean()
    louder = (changed.std(axis=1).mean(axis=1) > 1.5).mean()
    assert all(0.04 < share < 0.2 for share in (silent, filtered, louder))


def test_the_order_of_reaches_and_sensors_does_not_matter(basin, events):
    river = HeatedRiver.of(basin)
    at = stations(river, events["sensor"].values)
    mixed = np.random.default_rng(0).permutation(at.size)
    pairs = []
    for places in (at, at[mixed]):
        edges = connect(river, places)
        pairs.append(set(zip(places[edges.sensor], edges.reach, edges.below, edges.above, strict=True)))
    assert pairs[0] == pairs[1]
    network = train(events, basin, epochs=2)
    other = basin.isel(fine=np.random.default_rng(1).permutation(basin.sizes["fine"]))
    one, two = locate(events, basin, network), locate(events, other, network)
    np.testing.assert_array_equal(two.source, one.source)
    np.testing.assert_allclose(two.magnitude, one.magnitude, atol=1e-3)


def test_events_of_other_sensors_are_refused_everywhere(basin, events):
    network = train(events, basin, epochs=1)
    for wrong in (events.isel(sensor=slice(None, None, -1)), events.isel(day=slice(0, 40))):
        for use in (sensor_weights, lambda e, ds, n: series_features(n, e, ds), locate):
            with pytest.raises(InvalidArgumentError, match="the network was trained for"):
                use(wrong, basin, network)
