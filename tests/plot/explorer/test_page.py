"""The explorer page in a real browser: keys, mouse, colours on the screen, console, network.

``XMSGL_ARTIFACTS`` names a folder in which the screenshots are kept.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import shapely
from matplotlib import colormaps
from matplotlib.image import imread
from selenium import webdriver
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from xmsgl.plot import explore

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
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


def test_it_opens_on_the_warmest_day_and_a_reach_with_observations(page, median, explored, tmp_path):
    page.screenshot(tmp_path, "explorer-open.png")
    day, reach, note = page.opened_with
    assert day == str(median.mean("fine").idxmax("time").dt.date.item())
    first = int(explored.water_temperature_fine.count("time").idxmax("fine"))
    assert reach == f"reach {first} on segment {int(explored.coarse_segment.sel(fine=first))}"
    error = (median - explored.water_temperature_fine).sel(fine=first)
    rmse, count = float(np.sqrt((error**2).mean())), int(error.notnull().sum())
    assert (
        note == f"RMSE {rmse:.2f} °C, n = {count} (all observed days shown, including any used for training)"
    )
    assert page.browser.title == "A small <river>"


def test_keys_on_the_slider_move_the_colours(page, median, explored, tmp_path):
    handle = page.inside("slider", ".noUi-handle")
    handle.send_keys(Keys.HOME)
    for day in (0, 1, 2):
        if day:
            handle.send_keys(Keys.ARROW_RIGHT)
        page.wait(lambda day=day: page.text("map") == f"{median.time[day].dt.strftime('%Y-%m-%d').item()}")
        reach = page.column("lines", "reach").astype(int)
        wanted = median.isel(time=day).values[reach]
        np.testing.assert_allclose(page.column("lines", "temperature"), wanted, atol=0.0006)
        assert page.get("Bokeh.documents[0].get_model_by_name('today').location") == pytest.approx(
            median.time[day].values.astype("datetime64[ms]").astype(float)
        )


@pytest.mark.parametrize("day", [0, 39])
def test_what_is_on_the_screen_has_the_colour_of_the_temperature(page, median, explored, tmp_path, day):
    page.browser.execute_script(f"{MODEL} model('slider').value = arguments[0]", day)
    page.wait(lambda: page.text("map") == str(median.time[day].dt.date.item()))
    page.browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    picture = page.screenshot(tmp_path, f"explorer-day-{day}.png")
    low, high = np.nanpercentile(median, [1, 99])
    for reach, (east, north) in middles(explored).items():
        left, top = page.browser.execute_script(PLACE, "map", east, north)
        near = picture[round(top) - 2 : round(top) + 3, round(left) - 2 : round(left) + 3, :3].reshape(-1, 3)
        place = np.clip((float(median.isel(time=day).sel(fine=reach)) - low) / (high - low), 0, 1)
        wanted = np.array(colormaps["plasma"](place * 0.84)[:3])
        assert np.abs(near - wanted).max(axis=1).min() < 0.06, f"reach {reach}"


def test_a_click_on_a_reach_draws_its_series(page, quantiles, explored, median, tmp_path):
    expected = {
        "predicted": median,
        "low": quantiles.sel(quantile=0.05).sortby("time"),
        "high": quantiles.sel(quantile=0.95).sortby("time"),
        "observed": explored.water_temperature_fine,
    }
    of_segment = {"segment": "water_temperature_coarse", "simulated": "simulated_temperature_coarse"}
    for reach in (1, 4, 2):
        page.click("map", *middles(explored)[reach])
        page.wait(lambda reach=reach: page.text("chart").startswith(f"reach {reach} "))
        segment = int(explored.coarse_segment.sel(fine=reach))
        assert page.text("chart") == f"reach {reach} on segment {segment}"
        for name, wanted in expected.items():
            np.testing.assert_allclose(
                page.column("series", name), wanted.sel(fine=reach), atol=0.0006, err_msg=f"{name} of {reach}"
            )
        for name, variable in of_segment.items():
            wanted = explored[variable].sel(coarse=segment)
            np.testing.assert_allclose(page.column("series", name), wanted, atol=0.0006, err_msg=name)
        if reach == 1:
            assert page.get("model('note').text") == "not observed on these days"
        np.testing.assert_allclose(
            page.column("picked", "temperature"),
            page.column("series", "predicted")[page.get("model('slider').value")],
        )
    page.screenshot(tmp_path, "explorer-click.png")


def test_a_click_far_from_any_reach_changes_nothing(page):
    before = page.text("chart")
    page.click("map", -75.35, 39.9)
    page.click("map", -75.35, 39.95)
    assert page.text("chart") == before


def test_a_click_into_the_series_shows_that_day(page, median):
    when = median.time[11].values.astype("datetime64[ms]").astype(float)
    page.click("chart", when, float(np.nanmean(page.column("series", "predicted"))))
    page.wait(lambda: page.text("map") == str(median.time[11].dt.date.item()))
    assert page.get("model('slider').value") == 11


def test_a_reach_is_found_by_its_id(page):
    field = page.inside("find", "input")
    field.send_keys("99", Keys.ENTER)
    page.wait(lambda: page.get("model('note').text") == "There is no reach 99.")
    field.send_keys(Keys.BACKSPACE, Keys.BACKSPACE, "4", Keys.ENTER)
    page.wait(lambda: page.text("chart") == "reach 4 on segment 70")
    assert page.get("model('find').value") == ""


def test_play_advances_pauses_and_stops_at_the_end(page):
    page.browser.execute_script(f"{MODEL} model('slider').value = 3")
    page.inside("play", "button").click()
    page.wait(lambda: page.get("model('slider').value") >= 6)
    assert page.get("model('play').label").endswith("Pause")
    page.inside("play", "button").send_keys(Keys.SPACE)
    page.wait(lambda: page.get("model('play').active") is False)
    paused = page.get("model('slider').value")
    page.browser.execute_async_script("setTimeout(arguments[0], 400)")
    assert page.get("model('slider').value") == paused < 39
    page.browser.execute_script(f"{MODEL} model('slider').value = 37")
    page.inside("play", "button").click()
    page.wait(lambda: page.get("model('slider').value") == 39 and not page.get("model('play').active"))
    page.inside("play", "button").click()  # at the end it begins anew
    page.wait(lambda: 0 < page.get("model('slider').value") < 39)


def test_hovering_shows_reach_and_temperature(page, median, explored):
    page.point("map", *middles(explored)[4])
    day = page.get("model('slider').value")
    wanted = f"{float(median.isel(time=day).sel(fine=4)):.1f} °C"
    page.wait(lambda: page.get("model('tip').visible"))
    both = f"reach 4, with a sensor: {wanted}, on segment 70, with a sensor"
    assert page.get("model('tip').content") == both
    page.point("map", -75.35, 39.9)
    page.wait(lambda: not page.get("model('tip').visible"))


def test_sensors_are_circles_on_their_reaches(page, median, explored, tmp_path):
    # Reach 1 alone was never observed; its segment has an observed reach, and so no circle of its own.
    east, north = (page.get(f"Array.from(model('sensors').data_source.data.{axis})") for axis in "xy")
    assert len(east) == 4
    for reach in (2, 3, 4, 5):
        line = shapely.from_wkb(str(explored.geometry_fine.sel(fine=reach).item()))
        middle = line.interpolate(0.5, normalized=True)
        apart = shapely.distance(middle, shapely.points(east, north))
        assert (apart < 0.01).sum() == 1  # on the ground, a degree of longitude is shorter
        assert line.distance(shapely.points(east, north)[apart.argmin()]) < 1e-4
    assert "Circles on the map are sensors." in page.browser.find_element("tag name", "p").text
    page.point("map", *middles(explored)[1])
    page.wait(lambda: "reach 1:" in page.get("model('tip').content"))
    assert page.get("model('tip').content").endswith("on segment 60, with a sensor")
    page.point("map", -75.35, 39.9)
    page.screenshot(tmp_path, "explorer-sensors.png")


def test_nothing_is_asked_of_a_network(page):
    # The log has been kept since before the page was opened.
    messages = [json.loads(line["message"])["message"] for line in page.browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert len(asked) >= 1  # the page itself
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_on_a_narrow_screen_the_parts_stand_below_each_other(page, tmp_path):
    size = page.browser.get_window_size()
    try:
        page.browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True},
        )
        boxes = "Array.from(document.querySelectorAll('section'), (s) => s.getBoundingClientRect().toJSON())"
        page.wait(lambda: page.get(boxes)[1]["top"] >= page.get(boxes)[0]["bottom"])
        assert page.get("document.documentElement.scrollWidth") <= 400
        page.screenshot(tmp_path, "explorer-narrow.png")
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert page.browser.get_window_size() == size


TEXT_COLOURS = """
const parts = [figure.title, ...figure.above, ...figure.below, ...figure.left];
return parts.flatMap((part) => Object.values(part.properties))
  .filter((property) => property.attr.endsWith("text_color"))
  .map((property) => [property.attr, property.get_value()]);
"""
WEIGHTS = [0.2126, 0.7152, 0.0722]


def luminance(colour):
    """Relative luminance of a colour, after WCAG 2."""
    from matplotlib.colors import to_rgb

    numbers = re.findall(r"[\d.]+", colour) if colour.startswith("rgb") else None
    shares = np.array(numbers[:3], float) / 255 if numbers else np.array(to_rgb(colour))
    return float(np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4) @ WEIGHTS)


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def texts(page):
    """Colours of each text of the page and of what lies behind it: of the page and of the figures."""
    behind = page.browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    for element in [*elements(page, "h1, p, .bk-clearfix"), *elements(page, ".bk-btn, input.bk-input")]:
        look = "const look = getComputedStyle(arguments[0]); return [look.color, look.backgroundColor]"
        colour, own = page.browser.execute_script(look, element)
        yield element.tag_name, colour, behind if own == "rgba(0, 0, 0, 0)" else own
    for figure in ("map", "chart"):
        assert page.get(f"model('{figure}').border_fill_color") is None
        found = page.browser.execute_script(f"{MODEL} const figure = model('{figure}'); {TEXT_COLOURS}")
        yield from ((name, colour, behind) for name, colour in found)


def prefer(page, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def test_the_page_is_dark_or_light_and_can_be_read_in_both(page, median, explored, tmp_path):
    try:
        for dark in (True, False):
            prefer(page, "dark" if dark else "light")
            page.wait(lambda dark=dark: page.get("model('dark').active") is dark)
            behind = page.browser.execute_script("return getComputedStyle(document.body).backgroundColor")
            assert (luminance(behind) < 0.1) is dark
            found = list(texts(page))
            assert {"h1", "button", "title_text_color", "label_text_color"} <= {name for name, _, _ in found}
            assert [text for text in found if contrast(*text[1:]) < 4.5] == []
            shades = page.get("Array.from(model('colours').palette)")
            assert (np.diff([luminance(shade) for shade in shades[::8]]) > 0).all()
            assert min(contrast(shade, behind) for shade in shades) > 1.7
            assert contrast(page.get("model('curve').glyph.line_color.value"), behind) > 4.5
            page.screenshot(tmp_path, f"explorer-{'dark' if dark else 'light'}.png")
        page.inside("dark", "button").click()
        page.wait(lambda: page.get("document.documentElement.style.colorScheme") == "dark")
        page.inside("dark", "button").click()
        page.wait(lambda: page.get("document.documentElement.style.colorScheme") == "light")
    finally:
        prefer(page, "light")


def test_colours_are_those_of_all_days_or_of_the_day(page, median, explored, tmp_path):
    same, own = (page.inside("scale", f".bk-btn:nth-child({k})") for k in (1, 2))
    ends = "[model('colours').low, model('colours').high]"
    whole = np.nanpercentile(median, [1, 99])
    try:
        own.click()
        for day in (0, 7, 39):
            page.browser.execute_script(f"{MODEL} model('slider').value = arguments[0]", day)
            page.wait(lambda day=day: page.text("map") == str(median.time[day].dt.date.item()))
            seen = median.isel(time=day)
            np.testing.assert_allclose(page.get(ends), [seen.min(), seen.max()], atol=0.0006)
        page.browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        picture = page.screenshot(tmp_path, "explorer-day-colours.png")
        low, high = page.get(ends)
        for reach, (east, north) in middles(explored).items():
            left, top = page.browser.execute_script(PLACE, "map", east, north)
            near = picture[round(top) - 2 : round(top) + 3, round(left) - 2 : round(left) + 3, :3]
            place = np.clip((float(median.isel(time=39).sel(fine=reach)) - low) / (high - low), 0, 1)
            wanted = np.array(colormaps["plasma"](place * 0.84)[:3])
            assert np.abs(near.reshape(-1, 3) - wanted).max(axis=1).min() < 0.06, f"reach {reach}"
    finally:
        same.click()
    page.wait(lambda: np.allclose(page.get(ends), whole, atol=1e-6))


def drawn_span(page, wide, high):
    """Size in pixels of a map of that size in degrees, and that of the area it is drawn in."""
    low_x, high_x, low_y, high_y, width, height = page.browser.execute_script(
        f"{MODEL} const m = model('map'), [x, y] = [m.x_range, m.y_range];"
        " return [x.start, x.end, y.start, y.end, m.inner_width, m.inner_height]"
    )
    return width * wide / (high_x - low_x), height * high / (high_y - low_y), width, height


@pytest.mark.parametrize("shape", ["small", "straight", "wide", "schematic"])
def test_a_basin_of_any_shape_fills_the_map(browser, explored, predicted, tmp_path, shape):
    north, east = {
        "small": ([0.0, 0.002, 0.004, 0.005, 0.005], [0.0, 0.001, 0.002, 0.0, 0.001]),
        "straight": ([0.0, 0.01, 0.02, 0.03, 0.04], [0.0] * 5),
        "wide": ([0.0, 0.03, 0.05, 0.02, 0.03], [0.0, 0.1, 0.2, 0.35, 0.5]),
        "schematic": ([0.0, 3.0], [0.0, 3.0]),
    }[shape]
    ds = explored.drop_vars("geometry_fine")
    if shape != "schematic":
        ds = ds.assign(
            lat_fine=("fine", np.add(north, 40)), lon_fine=("fine", np.subtract(east, 75)),
            downstream_fine=("fine", [0, 5, 3, 1, 4]),
        )  # fmt: skip
    page = Page(browser, explore(predicted, ds, tmp_path / "page.html"))
    wide, high, width, height = drawn_span(page, np.ptp(east), np.ptp(north))
    page.screenshot(tmp_path, f"explorer-{shape}.png")
    assert 0.8 < max(wide / width, high / height) < 1
    page_width = browser.execute_script("return document.body.clientWidth")
    assert bool(wide > 0.8 * page_width) == (shape == "wide")
    labels = page.get("[model('map').below[0].axis_label, model('map').left[0].axis_label]")
    words = ["schematic: no coordinates in the dataset", "distance from the outlet [reaches]"]
    assert labels == (words if shape == "schematic" else [None, None])
    assert [line for line in browser.get_log("browser") if line["level"] in ("WARNING", "SEVERE")] == []


def test_days_of_spin_up_are_shaded(browser, explored, predicted, tmp_path):
    first = predicted.time < np.datetime64("2010-06-25")
    flagged = predicted.assign_coords(spin_up=first.astype("int8"))
    page = Page(browser, explore(flagged, explored, tmp_path / "page.html"))
    legend = "model('chart').above.find((part) => part.type === 'Legend')"
    assert page.get(f"{legend}.items[0].label.value") == "spin-up"
    strip = page.get(
        "model('chart').renderers.filter((drawn) => drawn.glyph.type === 'VStrip')"
        ".map((drawn) => ['x0', 'x1'].map((end) => Number(drawn.data_source.data[end][0])))"
    )
    days = np.array(["2010-06-20", "2010-06-25"], "datetime64[ms]")
    assert strip == [days.astype(float).tolist()]
    page.screenshot(tmp_path, "explorer-spin-up.png")


def test_the_score_of_a_reach_names_its_days(browser, explored, predicted, tmp_path):
    everything = explored.water_temperature_fine
    test = (everything.time >= np.datetime64("2010-07-10")) & (everything.fine == 3)
    trained = explored.assign(water_temperature_fine=everything.where(~test))
    page = Page(browser, explore(predicted, trained, tmp_path / "page.html", observed=everything))
    field = page.inside("find", "input")
    for reach, days, words in (
        (3, test, "held-out days"),
        (4, ~test, "days with labels, which models are trained on"),
    ):
        error = (predicted - everything.where(days)).sel(fine=reach)
        rmse, count = float(np.sqrt((error**2).mean())), int(error.notnull().sum())
        field.send_keys(str(reach), Keys.ENTER)
        page.wait(lambda reach=reach: page.text("chart").startswith(f"reach {reach} "))
        assert page.get("model('note').text") == f"RMSE {rmse:.2f} °C, n = {count} ({words})"
    page.screenshot(tmp_path, "explorer-held-out.png")


def test_a_single_day_has_no_slider(browser, explored, predicted, tmp_path):
    one = predicted.sel(time=["2010-07-01"])
    page = Page(browser, explore(one, explored, tmp_path / "day.html"))
    assert page.text("map") == "2010-07-01"
    assert page.get("model('slider')") is None
    page.click("map", *middles(explored)[2])
    page.wait(lambda: page.text("chart") == "reach 2 on segment 60")
    np.testing.assert_allclose(page.column("series", "predicted"), one.sel(fine=2), atol=0.0006)
    assert [line for line in browser.get_log("browser") if line["level"] in ("WARNING", "SEVERE")] == []


def test_no_text_of_a_dataset_runs(browser, hostile, explored, tmp_path):
    ds, temperature = hostile
    page = Page(browser, explore(temperature, ds, tmp_path / "page.html"))
    text = str(temperature.attrs["units"])
    for reach in (4, 2):
        page.point("map", *middles(explored)[reach])
        page.wait(lambda: page.get("model('tip').visible"))
        assert f"{text} reach {reach}, with a sensor: " in page.get("model('tip').content")
        page.click("map", *middles(explored)[reach])
        page.wait(lambda reach=reach: f"{text} reach {reach}" in page.text("chart").replace("\u200b", ""))
        assert text in page.get("model('note').text")
    for day in (5, 20, 35):
        page.point("chart", page.column("series", "time")[day], page.column("series", "predicted")[day])
        page.wait(lambda day=day: str(ds.time.dt.date.values[day]) in tooltip(page))
        assert f"{page.column('series', 'predicted')[day]:.1f} {text}" in tooltip(page)
    page.screenshot(tmp_path, "explorer-hostile.png")
    field = page.inside("find", "input")
    field.send_keys(text, Keys.ENTER)
    page.wait(lambda: page.get("model('note').text") == f"There is no reach {text}.")
    assert browser.title == text
    browser.execute_async_script("setTimeout(arguments[0], 300)")  # for a picture that fails to load
    assert browser.execute_script("return window.ran") is None
    assert elements(page, "img[onerror], a[href^=javascript], mjx-container") == []
    complaints = [line for line in browser.get_log("browser") if line["level"] in ("WARNING", "SEVERE")]
    assert complaints == []


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


def tooltip(page) -> str:
    """What the tooltip of the series shows."""
    return " ".join(row.get_property("textContent") for row in elements(page, ".bk-tooltip-content"))
