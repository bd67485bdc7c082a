"""Windows that move in every epoch: labels stay with their days, and none is of a validation day."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xmsgl.batches import TrainingData
from xmsgl.errors import CheckpointError, InvalidArgumentError
from xmsgl.fit import train
from xmsgl.windows import Sources, choose_features, cut_windows, move_windows

SCALES = ("coarse", "fine")
NAMES = ["air_temperature", "slope"]
YEAR = slice("2002-06-01", "2002-08-31")
SMALL = {
    "features": NAMES,
    "hidden": 4,
    "window": 60,
    "warmup": 5,
    "device": "cpu",
    "progress": False,
    "shift": 20,
}


def prepare(ds, **changes):
    arguments = {"window": 90, "warmup": 15, "validation": YEAR, "batch": 1, "seed": 0, **changes}
    return TrainingData(ds, choose_features(ds, NAMES), scales=SCALES, **arguments)


def begins(data, batches):
    """Positions of the first days of the windows of one batch each, in the order of time."""
    places = {str(day.date()): number for number, day in enumerate(data.time)}
    return sorted(places[name] for batch in batches for name in batch.name.split(", "))


def dense(x):
    if not isinstance(x, Sources):
        return x
    return x.rows[:, x.place] + (x.fixed if x.fixed.ndim == 3 else x.fixed[:, None])


# ------------------------------------------------------------------ moving


@pytest.mark.parametrize(
    ("n_days", "length", "shift"), [(800, 90, 30), (100, 365, 400), (95, 30, 29), (31, 30, 7)]
)
def test_a_window_moves_as_a_whole_within_its_range_and_the_record(n_days, length, shift):
    windows = cut_windows(n_days, length, 15)
    met = [set() for _ in windows]
    for seed in range(1000):
        moved = move_windows(windows, shift, n_days, np.random.default_rng(seed))
        for window, now, seen in zip(windows, moved, met, strict=True):
            assert 0 <= now.start < now.stop <= n_days
            assert now.warmup == 15
            # Cut at an end of the record, it tells by its other end how far it went.
            went = now.stop - window.stop if now.start == 0 else now.start - window.start
            assert abs(went) <= min(shift, window.stop - window.start - 1)
            assert (now.start, now.stop) == (max(window.start + went, 0), min(window.stop + went, n_days))
            seen.add(went)
    for window, seen in zip(windows, met, strict=True):
        most = min(shift, window.stop - window.start - 1)
        if most <= 30 and window.start:  # the first, cut at both its ends, may not tell
            assert seen == set(range(-most, most + 1))
        assert len(seen) > most or len(windows) == 1


# ----------------------------------------------------------------- batches


def test_epochs_differ_and_stay_in_range_and_come_again(river):
    data, again, fixed = prepare(river, shift=25), prepare(river, shift=25), prepare(river)
    usual = begins(fixed, fixed.training_batches(1))
    by_epoch = [begins(data, data.training_batches(epoch)) for epoch in (1, 2, 3)]
    assert [begins(again, again.training_batches(epoch)) for epoch in (1, 2, 3)] == by_epoch
    assert by_epoch[0] != by_epoch[1] != by_epoch[2]
    for found in by_epoch:
        assert len(found) == len(usual)
        assert max(abs(now - then) for now, then in zip(found, usual, strict=True)) in range(5, 26)
    other = prepare(river, shift=25, seed=1)
    assert begins(other, other.training_batches(1)) != by_epoch[0]


def test_validation_windows_stay(river):
    moved, fixed = prepare(river, shift=25), prepare(river)
    np.testing.assert_array_equal(moved.validation_days, fixed.validation_days)
    assert moved.scaling == fixed.scaling
    for one, two in zip(moved.validation_batches(), fixed.validation_batches(), strict=True):
        assert one.name == two.name
        for scale in SCALES:
            np.testing.assert_array_equal(one.labels[scale], two.labels[scale])


@pytest.mark.parametrize("batch", [1, 4])
def test_labels_belong_to_their_days_and_none_is_held_out(river, batch):
    """Every label served is looked up by hand; a label of a validation day would be 44 degC."""
    for scale in SCALES:
        name = f"water_temperature_{scale}"
        held = np.isin(river.time.values, river.time.sel(time=YEAR).values)[:, None]
        river[name] = river[name].where(~(held & river[name].notnull()), np.float32(44.0))
    data = prepare(river, shift=25, batch=batch)
    places = {str(day.date()): number for number, day in enumerate(data.time)}
    air = river["air_temperature_coarse"].values
    count = 0
    for epoch in (1, 2):
        for item in data.training_batches(epoch):
            starts = [places[name] for name in item.name.split(", ")]
            x = dense(item.inputs["coarse"]) if "coarse" in item.inputs else None
            for scale, labels in item.labels.items():
                scaling, truth = data.scaling[scale], river[f"water_temperature_{scale}"].values
                degrees = labels * scaling.label_deviation + scaling.label_mean
                assert np.nanmax(degrees) < 40
                for day, node, window in zip(*np.nonzero(np.isfinite(labels)), strict=True):
                    place = starts[window] + day - 15
                    expected = truth[place, item.nodes[scale][node]]
                    assert degrees[day, node, window] == pytest.approx(expected, abs=1e-4)
                    assert day >= 15  # warm-up is not scored
                    count += 1
            if x is not None:  # the weather is that of the same days
                coarse = data.scaling["coarse"]
                for window, start in enumerate(starts):
                    days = np.clip(np.arange(start - 15, start + 90), 0, 799)
                    np.testing.assert_allclose(
                        x[:, :, window, 0] * coarse.deviation[0] + coarse.mean[0], air[days], atol=1e-3
                    )
    assert count > data.counts()["training_coarse"]  # two epochs see each label about twice


def test_over_epochs_every_training_label_is_met(river):
    data = prepare(river, shift=25)
    n_labels, seen = data.counts()["training_coarse"], set()
    for epoch in range(8):
        for item in data.training_batches(epoch):
            seen |= set(np.round(item.labels["coarse"][np.isfinite(item.labels["coarse"])], 5).tolist())
    values = data.labels["coarse"][data.training_days]
    scaling = data.scaling["coarse"]
    different = np.unique(np.round((values - scaling.label_mean) / scaling.label_deviation, 5))
    assert len(seen) == np.isfinite(different).sum()
    assert len(seen) > 0.9 * n_labels


def test_other_labels_move_too_and_without_shift_nothing_does(river):
    river["simulated_temperature_coarse"] = river["air_temperature_coarse"].clip(0)
    data, fixed = prepare(river, shift=25), prepare(river)
    for kind, further in (("process_batches", ()), ("unlabelled_batches", (("coarse",),))):
        usual = begins(fixed, getattr(fixed, kind)(1, *further))
        assert usual == list(range(0, 800, 90))
        found = begins(data, getattr(data, kind)(1, *further))
        assert len(found) == len(usual)
        assert 5 <= max(abs(now - then) for now, then in zip(found, usual, strict=True)) <= 25
    for item in data.unlabelled_batches(1, ("coarse",)):  # carried labels keep off validation days
        (start,) = begins(data, [item])
        days = np.clip(np.arange(start - 15, start + 90), 0, 799)
        assert not (item.scored[:, 0] & data.validation_days[days]).any()


# ---------------------------------------------------------------- training


def test_a_resumed_run_moves_alike(river, tmp_path):
    tiny, stand = river.isel(time=slice(0, 200)), tmp_path / "stand.safetensors"
    whole = train(tiny, epochs=4, pretrain=1, **SMALL)

    class Stop(Exception):  # noqa: N818
        pass

    from xmsgl import fit_members

    written, write = [], fit_members.write_checkpoint

    def stopping(*args):
        write(*args)
        written.append(args)
        if len(written) == 3:  # before the first epoch, after it, and after the second
            raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_members, "write_checkpoint", stopping)
        with pytest.raises(Stop):
            train(tiny, epochs=4, pretrain=1, checkpoint=stand, **SMALL)
    resumed = train(tiny, epochs=4, pretrain=1, resume=stand, **SMALL)
    assert set(resumed.history) == set(whole.history)
    for name, values in whole.history.items():
        np.testing.assert_array_equal(resumed.history[name], values)
    assert all(torch.equal(resumed.weights[name], whole.weights[name]) for name in whole.weights)
    still = train(tiny, epochs=4, pretrain=1, **{**SMALL, "shift": 0})
    assert not all(torch.equal(still.weights[name], whole.weights[name]) for name in whole.weights)
    with pytest.raises(CheckpointError, match="shift"):
        train(tiny, epochs=4, pretrain=1, resume=stand, **{**SMALL, "shift": 0})


@pytest.mark.parametrize(("shift", "message"), [(-1, "at least 0"), (1.5, "whole number of days")])
def test_a_shift_that_is_none(river, shift, message):
    with pytest.raises(InvalidArgumentError, match=message):
        train(river, shift=shift)
