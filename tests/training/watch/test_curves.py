"""Curves of a training in a notebook: pages that any parser reads, drawn anew but not too often."""

from __future__ import annotations

import html.parser
import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from tests.small import WATCHED
from xmsgl.training.loop import Progress
from xmsgl.training.train import train
from xmsgl.training.watch import watched as watch
from xmsgl.training.watch.curves import Curves, curves_html
from xmsgl.training.watch.standing import Standing


@pytest.fixture
def tiny(river):
    return river.isel(time=slice(0, 150))


def stand(epoch, history, *, member=0, members=1, epochs=9, best=(1.5, 1)):
    state = Progress(epoch, {}, {}, {}, best_score=best[0], best_epoch=best[1], history=history)
    return Standing("msgl", member, members, epochs, state)


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
    model = train(tiny, "remap", progress=True, **WATCHED)
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
