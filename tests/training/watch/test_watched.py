"""Who watches a training: bars, curves in a notebook, TensorBoard, and observers of one's own."""

from __future__ import annotations

import html.parser
import json
import logging
import math
import re
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from xmsgl.errors import InvalidArgumentError, MissingDependencyError
from xmsgl.training.loop import Progress
from xmsgl.training.train import train
from xmsgl.training.watch import watched as watch
from xmsgl.training.watch.curves import Curves, curves_html
from xmsgl.training.watch.standing import Standing
from xmsgl.training.watch.watched import watched
from xmsgl.util.options import set_options

SMALL = {"hidden": 2, "window": 50, "warmup": 5, "epochs": 3, "device": "cpu", "validation": 0.4}


@pytest.fixture
def tiny(river):
    return river.isel(time=slice(0, 150))


def stand(epoch, history, *, member=0, members=1, epochs=9, best=(1.5, 1)):
    state = Progress(epoch, {}, {}, {}, best_score=best[0], best_epoch=best[1], history=history)
    return Standing("msgl", member, members, epochs, state)


# ----------------------------------------------------------------- observers


def test_observers_are_told_of_every_epoch_of_every_member(tiny):
    seen = []
    model = train(tiny, "remap", ensemble=2, observers=[seen.append], progress=False, **SMALL)
    told = [(each.member, each.state.epoch, each.done) for each in seen]
    assert told == [(0, 0, 0), (0, 1, 1), (0, 2, 2), (0, 3, 3), (1, 0, 3), (1, 1, 4), (1, 2, 5), (1, 3, 6)]
    assert {(each.method, each.members, each.epochs) for each in seen} == {("remap", 2, 3)}
    assert [*seen[3].state.history["loss_coarse"], *seen[7].state.history["loss_coarse"]] == model.history[
        "loss_coarse"
    ]


def test_watching_changes_no_bit(tiny, tmp_path):
    bare = train(tiny, "remap", progress=False, **SMALL)
    seen = train(tiny, "remap", progress=True, tensorboard=tmp_path, observers=[str], **SMALL)
    assert seen.sha256 == bare.sha256


def test_an_epoch_that_an_observer_refuses_is_not_kept(tiny, tmp_path):
    def refuse(standing):
        if standing.state.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny, "remap", observers=[refuse], progress=False, checkpoint=tmp_path / "c", **SMALL)
    seen = []
    again = train(tiny, "remap", observers=[seen.append], progress=False, resume=tmp_path / "c", **SMALL)
    assert [each.state.epoch for each in seen] == [1, 2, 3]
    assert again.sha256 == train(tiny, "remap", progress=False, **SMALL).sha256


# ----------------------------------------------------------------------- bar


@pytest.mark.parametrize("how", [True, "bar"])
def test_the_bar_counts_epochs_and_says_how_good(tiny, capsys, how):
    model = train(tiny, "remap", progress=how, **SMALL)
    shown = capsys.readouterr()
    assert shown.out == ""
    last = shown.err.split("\r")[-1]
    assert "train remap: 100%" in last
    assert "3/3" in last
    assert f"validation {model.history['validation'][-1]:.3f} degC" in last
    assert f"best {min(model.history['validation']):.3f}" in last


@pytest.mark.parametrize("way", ["argument", "option"])
def test_silent_by_option(tiny, capsys, way):
    with set_options(progress=way == "argument"):
        train(tiny, "remap", progress=False if way == "argument" else None, **SMALL)
    assert capsys.readouterr() == ("", "")


def test_an_unknown_way_to_draw_is_refused_before_anything_is_computed(tiny, refuse_to_compute):
    with refuse_to_compute():
        with pytest.raises(InvalidArgumentError, match="True, False or 'bar', not 'curves'"):
            train(tiny.chunk(), "remap", progress="curves", **SMALL)
        with pytest.raises(AssertionError, match="something was computed"):  # as any training would be
            train(tiny.chunk(), "remap", progress=False, **SMALL)


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


# -------------------------------------------------------------------- curves

RISING = {
    "epoch": [1.0, 2.0, 3.0, 4.0],
    "learning_rate": [0.1] * 4,
    "loss_fine": [math.nan, math.nan, 0.8, 0.4],
    "loss_coarse": [1.6, 0.8, 0.4, 0.2],
    "weight_fine": [0.5] * 4,
    "validation_coarse": [4.0, 3.0, 2.0, 2.5],
    "validation": [4.0, 3.0, 2.0, 2.5],
}


def parts(page):
    """The page as a tree; an HTML parser of the standard library must find every tag closed."""
    open_tags = []

    class Strict(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            open_tags.append(tag)

        def handle_startendtag(self, tag, attrs):
            pass

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Strict().feed(page)
    assert open_tags == []
    return ET.fromstring(re.sub(r"&(middot|#9644);", "", page))


def test_curves_stand_where_their_values_are():
    tree = parts(curves_html(stand(4, RISING, best=(2.0, 3))))
    losses, scores = tree.iter("svg")
    assert [losses.get("aria-label"), scores.get("aria-label")] == ["loss", "validation RMSE [°C]"]
    lines = {line.get("stroke"): line.get("points").split() for line in losses.iter("polyline")}
    assert [len(points) for points in lines.values()] == [2, 4]  # the fine task came in epoch 3
    falling = np.array([[float(part) for part in point.split(",")] for point in lines["#D55E00"]])
    # Halved each epoch: a straight line on a logarithmic axis, from corner to corner.
    np.testing.assert_allclose(np.diff(falling, 2, axis=0), 0, atol=0.21)
    assert falling[0].tolist() == [46, 22]
    assert falling[-1].tolist() == [332, 168]
    fine = np.array([[float(part) for part in point.split(",")] for point in lines["#0072B2"]])
    np.testing.assert_allclose(fine[-1, 1], falling[2, 1], atol=0.11)  # both 0.4
    labels = [text.text for text in losses.iter("text")]
    assert labels == ["loss", "0.2", "0.566", "1.6", "1", "epoch 4"]
    legend = " ".join("".join(tree.itertext()).split())
    for words in ("epoch 4 of 9", "validation 2.500 °C", "best 2.000 °C in epoch 3", "fine 0.4", "mean 2.5"):
        assert words in legend
    assert "weight" not in legend


@pytest.mark.parametrize(
    "history",
    [
        {},
        {"epoch": [1.0], "loss_fine": [0.5]},
        {"epoch": [1.0, 2.0], "loss_fine": [math.nan, math.nan]},
        {"epoch": [1.0, 2.0], "loss_fine": [0.5, 0.5], "validation": [1.0, math.inf]},
        {"epoch": [1.0, 2.0], "loss_<b>": [0.5, 0.0]},
    ],
    ids=["nothing", "one", "nan", "level", "strange"],
)
def test_curves_of_odd_histories_are_pages_too(history):
    page = curves_html(stand(len(history.get("epoch", [])), history, members=2, member=1))
    parts(page)
    assert "member 2 of 2" in page
    assert "nan" not in page
    assert "<b>" not in page.replace("<b>msgl</b>", "")


def test_long_trainings_make_no_long_pages():
    count = 5000
    history = {"epoch": [*map(float, range(1, count + 1))], "loss_fine": [1 / (k + 1) for k in range(count)]}
    page = curves_html(stand(count, history))
    assert len(page) < 6000
    (line,) = parts(page).iter("polyline")
    assert line.get("points").split()[-1] == "332.0,168.0"  # the last epoch is not thinned away


class Handle:
    def __init__(self):
        self.pages = []

    def update(self, page):
        self.pages.append(page.data)


@pytest.fixture
def screen(monkeypatch):
    """What IPython would show: one output, and what it was replaced by."""
    shown = Handle()

    def display(page, *, display_id):
        assert display_id is True
        assert shown.pages == []
        shown.update(page)
        return shown

    monkeypatch.setattr("IPython.display.display", display)
    return shown.pages


def test_one_output_is_drawn_anew_but_not_too_often(screen):
    now = [0.0]
    curves = Curves(interval=0.5, clock=lambda: now[0])
    for epoch, at in enumerate([0.0, 0.1, 0.6, 0.7, 0.8]):
        now[0] = at
        curves(stand(epoch, {"epoch": [1.0] * epoch}))
    assert [re.search(r"epoch (\d)", page)[1] for page in screen] == ["0", "2"]
    curves.close()
    assert "epoch 4" in screen[-1]
    curves.close()
    assert len(screen) == 3


def test_training_in_a_notebook_shows_its_end(tiny, screen, monkeypatch):
    monkeypatch.setattr(watch, "in_notebook", lambda: True)
    model = train(tiny, "remap", progress=True, **SMALL)
    assert screen[-1].count("<svg") == 2
    assert f"validation {model.history['validation'][-1]:.3f} °C" in screen[-1]


NOTEBOOK = """
from types import SimpleNamespace  # a state without PyTorch, which a kernel takes long to load
from xmsgl.util.progress import in_notebook
from xmsgl.training.watch.standing import Standing
from xmsgl.training.watch.watched import watched
assert in_notebook()
with watched() as observers:
    for epoch in range(1, 4):
        history = {"epoch": [1.0] * epoch, "loss_fine": [1 / k for k in range(1, epoch + 1)]}
        for observer in observers:
            observer(Standing("msgl", 0, 1, 3, SimpleNamespace(epoch=epoch, history=history)))
"""


def test_a_real_kernel_shows_the_curves_once(tmp_path):
    """The kernel of Jupyter, spoken to as Jupyter does: an update replaces what was shown."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)])
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": "."}}
    ).execute()
    outputs = notebook.cells[0].outputs
    pages = [each["data"]["text/html"] for each in outputs if "text/html" in each.get("data", {})]
    assert len(pages) == 1
    assert "epoch 3 of 3" in pages[0]
    assert "<polyline" in pages[0]
    assert any("train msgl" in each.get("text", "") for each in outputs)


# --------------------------------------------------------------- TensorBoard


def events(folder):
    """Scalars of a run by tag, as TensorBoard's own reader gives them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]
    }


def expected(history):
    """What TensorBoard must hold of a history: steps from 1, no gaps written, single precision."""
    found = {}
    for name, values in history.items():
        if name in {"epoch", "member"}:
            continue
        head, _, rest = name.partition("_")
        tag = f"{head}/{rest}" if rest and head != "learning" else name
        found[tag] = [(k, np.float32(value)) for k, value in enumerate(values, 1) if not math.isnan(value)]
    return found


def test_tensorboard_reads_the_history(tiny, tmp_path):
    settings = {**SMALL, "epochs": 4, "pretrain": 2, "heads": 1}
    model = train(tiny, "msgl", progress=False, tensorboard=tmp_path / "log", **settings)
    assert math.isnan(model.history["loss_fine"][0])  # else nothing is left out
    found = events(tmp_path / "log")
    assert found == expected(model.history)
    assert {"loss/fine", "validation", "validation/coarse", "weight/coarse", "learning_rate"} <= set(found)


def test_tensorboard_tells_members_apart(tiny, tmp_path):
    model = train(tiny, "remap", ensemble=2, progress=False, tensorboard=tmp_path, **SMALL)
    for k in range(2):
        assert events(tmp_path / f"member{k}") == expected(model.member(k).history)


@pytest.mark.parametrize("folder", ["same", "another"])
def test_tensorboard_of_a_resumed_training_is_whole(tiny, tmp_path, folder):
    def stop(standing):
        if standing.state.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(
            tiny, "remap", progress=False, tensorboard=tmp_path / "same", observers=[stop],
            checkpoint=tmp_path / "c", **SMALL,
        )  # fmt: skip
    model = train(
        tiny, "remap", progress=False, tensorboard=tmp_path / folder, resume=tmp_path / "c", **SMALL
    )
    assert events(tmp_path / folder) == expected(model.history)


def test_without_tensorboard_the_message_names_the_extra(tiny, tmp_path, monkeypatch, refuse_to_compute):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with refuse_to_compute(), pytest.raises(MissingDependencyError, match=r"xmsgl\[tensorboard\]"):
        train(tiny.chunk(), "remap", progress=False, tensorboard=tmp_path / "log", **SMALL)
    assert not (tmp_path / "log").exists()


# ------------------------------------------------------------------- logging


def test_every_logger_is_a_child_of_the_packages(tiny, caplog):
    with caplog.at_level(logging.INFO, "xmsgl"):
        train(tiny, "remap", progress=False, **SMALL)
    names = {record.name for record in caplog.records}
    assert "xmsgl.training.loop" in names
    assert all(name.startswith("xmsgl.") for name in names)
    assert all(record.args for record in caplog.records)  # formatted only where it is read


def test_nobody_is_written_to_unasked():
    import subprocess

    code = (
        "import logging, xmsgl; logging.getLogger('xmsgl.training.loop').warning('unread');"
        "import json; print(json.dumps([type(h).__name__ for h in logging.getLogger('xmsgl').handlers]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["NullHandler"]
    assert done.stderr == ""
