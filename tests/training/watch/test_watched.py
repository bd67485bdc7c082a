"""Who watches a training: by argument, by option, and observers of one's own."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from tests.small import WATCHED
from xmsgl.errors import InvalidArgumentError
from xmsgl.training.train import train
from xmsgl.training.watch import watched as watch
from xmsgl.training.watch.tensorboard import TensorBoardLog
from xmsgl.training.watch.watched import watched
from xmsgl.util.options import set_options


@pytest.fixture
def tiny(river):
    return river.isel(time=slice(0, 150))


# ----------------------------------------------------------------- observers


def test_observers_see_every_epoch_of_every_member(tiny):
    seen = []
    model = train(tiny, "remap", ensemble=2, observers=[seen.append], progress=False, **WATCHED)
    seen_epochs = [(each.member, each.state.epoch) for each in seen]
    assert seen_epochs == [(member, epoch) for member in (0, 1) for epoch in (0, 1, 2, 3)]
    assert {(each.method, each.members, each.epochs) for each in seen} == {("remap", 2, 3)}
    assert [*seen[3].state.history["loss_coarse"], *seen[7].state.history["loss_coarse"]] == model.history[
        "loss_coarse"
    ]


def test_watching_changes_no_bit(tiny, tmp_path):
    bare = train(tiny, "remap", progress=False, **WATCHED)
    seen = train(tiny, "remap", progress=True, observers=[TensorBoardLog(tmp_path), str], **WATCHED)
    assert seen.sha256 == bare.sha256


def test_an_epoch_that_an_observer_refuses_is_not_kept(tiny, tmp_path):
    def refuse(standing):
        if standing.state.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny, "remap", observers=[refuse], progress=False, checkpoint=tmp_path / "c", **WATCHED)
    seen = []
    again = train(tiny, "remap", observers=[seen.append], progress=False, resume=tmp_path / "c", **WATCHED)
    assert [each.state.epoch for each in seen] == [1, 2, 3]
    assert again.sha256 == train(tiny, "remap", progress=False, **WATCHED).sha256


# --------------------------------------------------------------- who watches


@pytest.mark.parametrize("way", ["argument", "option"])
def test_silent_by_option(tiny, capsys, way):
    with set_options(progress=way == "argument"):
        train(tiny, "remap", progress=False if way == "argument" else None, **WATCHED)
    assert capsys.readouterr() == ("", "")


def test_an_unknown_way_to_draw_is_refused_before_anything_is_computed(tiny, refuse_to_compute):
    with refuse_to_compute():
        with pytest.raises(InvalidArgumentError, match="True, False or 'bar' or None, not 'curves'"):
            train(tiny.chunk(), "remap", progress="curves", **WATCHED)
        with pytest.raises(AssertionError, match="something was computed"):  # as any training would be
            train(tiny.chunk(), "remap", progress=False, **WATCHED)


@pytest.mark.parametrize(
    ("progress", "notebook", "names"),
    [
        (True, False, ["TrainingBar"]),
        (True, True, ["TrainingBar", "Curves"]),
        ("bar", True, ["TrainingBar"]),
        (False, True, []),
    ],
)
def test_who_watches(monkeypatch, progress, notebook, names):
    monkeypatch.setattr(watch, "in_notebook", lambda: notebook)
    with watched(progress) as observers:
        assert [type(each).__name__ for each in observers] == names


def test_observers_come_after_what_is_drawn_and_are_closed_if_they_can_be(monkeypatch):
    monkeypatch.setattr(watch, "in_notebook", lambda: False)
    closed = []

    class Closing:
        def __init__(self, name):
            self.name = name

        def close(self):
            closed.append(self.name)

    def stop(observers):
        assert observers[1:] == given
        assert closed == []
        raise KeyboardInterrupt

    given = [Closing("a"), print, Closing("b")]
    watching = watched(True, given)
    with pytest.raises(KeyboardInterrupt), watching as observers:
        stop(observers)
    assert sorted(closed) == ["a", "b"]


# ------------------------------------------------------------------- logging


def test_every_logger_is_a_child_of_the_packages(tiny, caplog):
    with caplog.at_level(logging.INFO, "xmsgl"):
        train(tiny, "remap", progress=False, **WATCHED)
    names = {record.name for record in caplog.records}
    assert "xmsgl.training.loop" in names
    assert all(name.startswith("xmsgl.") for name in names)
    assert all(record.args for record in caplog.records)  # formatted only where it is read


def test_nothing_is_written_by_default():
    import subprocess

    code = (
        "import logging, xmsgl; logging.getLogger('xmsgl.training.loop').warning('unread');"
        "import json; print(json.dumps([type(h).__name__ for h in logging.getLogger('xmsgl').handlers]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["NullHandler"]
    assert done.stderr == ""
