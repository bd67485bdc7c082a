"""The explorer page, opened in a real browser, with mouse and keys."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import shapely
from matplotlib.image import imread
from selenium import webdriver
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.support.ui import WebDriverWait

from xmsgl.plot import explore

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
NEEDS_BROWSER = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="no chromium with chromedriver on this machine"
)

READY = "return window.Bokeh !== undefined && Bokeh.documents.length === 1 && Bokeh.documents[0].is_idle"
MODEL = "const model = (name) => Bokeh.documents[0].get_model_by_name(name);"
PLACE = """
const plot = Bokeh.documents[0].get_model_by_name(arguments[0]);
const view = Bokeh.index.find_one(plot);
const box = view.canvas_view.el.getBoundingClientRect();
return [
  box.left + view.frame.x_scale.compute(arguments[1]), box.top + view.frame.y_scale.compute(arguments[2]),
];
"""


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in ("--no-sandbox", "--headless=new", "--disable-dev-shm-usage", "--window-size=1400,900"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


class Page:
    """The page in the browser, with mouse and keys."""

    def __init__(self, browser, path: Path) -> None:
        self.browser = browser
        browser.get_log("browser"), browser.get_log("performance")  # those of the page before
        browser.get(path.as_uri())
        self.wait(lambda: browser.execute_script(READY) and self.text("chart") != " ")
        self.opened_with = [self.text("map"), self.text("chart"), self.get("model('note').text")]

    def wait(self, condition):
        return WebDriverWait(self.browser, 30, poll_frequency=0.05).until(lambda _: condition())

    def get(self, expression: str):
        return self.browser.execute_script(f"{MODEL} return {expression}")

    def column(self, source: str, name: str) -> np.ndarray:
        values = self.get(f"Array.from(model('{source}').data['{name}'], (v) => isNaN(v) ? null : v)")
        return np.array(values, dtype=float)

    def text(self, figure: str) -> str:
        return self.get(f"model('{figure}').title.text")

    def click(self, figure: str, x: float, y: float) -> None:
        left, top = self.browser.execute_script(PLACE, figure, x, y)
        hand = ActionBuilder(self.browser)
        hand.pointer_action.move_to_location(round(left), round(top)).click()
        hand.perform()

    def point(self, figure: str, x: float, y: float) -> None:
        left, top = self.browser.execute_script(PLACE, figure, x, y)
        for step in (3, 0):
            hand = ActionBuilder(self.browser)
            hand.pointer_action.move_to_location(round(left) + step, round(top))
            hand.perform()

    def inside(self, name: str, selector: str):
        """An element of a widget; widgets keep theirs in a shadow of their own."""
        return self.browser.execute_script(
            f"{MODEL} return Bokeh.index.find_one(model(arguments[0])).shadow_el.querySelector(arguments[1])",
            name,
            selector,
        )

    def screenshot(self, folder: Path, name: str) -> np.ndarray:
        """What is on the screen; kept as a file in ``XMSGL_ARTIFACTS``, where that names a folder."""
        kept = Path(os.environ.get("XMSGL_ARTIFACTS", folder))
        kept.mkdir(parents=True, exist_ok=True)
        picture = self.browser.get_screenshot_as_png()
        (kept / name).write_bytes(picture)
        return imread(io.BytesIO(picture))


@pytest.fixture(scope="module")
def opened(browser, explored, quantiles, tmp_path_factory):
    path = tmp_path_factory.mktemp("explorer") / "page.html"
    return Page(browser, explore(quantiles, explored, path))


@pytest.fixture
def page(opened):
    """The page, opened once for all tests, none of which may leave a warning in the console."""
    yield opened
    opened.wait(lambda: opened.get("model('play').active") is False)
    complaints = [
        line for line in opened.browser.get_log("browser") if line["level"] in ("WARNING", "SEVERE")
    ]
    assert complaints == []


@pytest.fixture
def median(quantiles, explored):
    """The expected values: sorted days, reaches as in the dataset."""
    return quantiles.sel(quantile=0.5).sortby("time").sel(fine=explored.fine)


def middles(explored):
    """A point half-way along each reach, where a geometry has its bend."""
    lines = shapely.from_wkb(explored.geometry_fine.values.astype(object))
    return {int(i): shapely.get_coordinates(line)[1] for i, line in zip(explored.fine, lines, strict=True)}


# What a page has in its shadows, too.
DEEP = """
const found = [];
const look = (root) => {
  for (const element of root.querySelectorAll("*")) {
    if (element.matches(arguments[0])) found.push(element);
    if (element.shadowRoot) look(element.shadowRoot);
  }
};
look(document);
return found;
"""


def elements(page, selector):
    return page.browser.execute_script(DEEP, selector)
