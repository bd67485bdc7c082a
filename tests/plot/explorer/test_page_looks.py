"""The looks of the explorer page in a real browser, against colours and places computed from the data."""

from __future__ import annotations

import re

import numpy as np
import pytest
import shapely
from matplotlib import colormaps

from tests.plot.explorer.conftest import MODEL, NEEDS_BROWSER, PLACE, Page, elements, middles
from xmsgl.plot import explore

pytestmark = NEEDS_BROWSER


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
