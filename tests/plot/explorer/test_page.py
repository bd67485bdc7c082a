"""The explorer page in a real browser: keys, mouse, console and network, against the data it shows."""

from __future__ import annotations

import json

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from tests.plot.explorer.conftest import MODEL, NEEDS_BROWSER, Page, elements, middles
from xmsgl.plot import explore

pytestmark = NEEDS_BROWSER


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


def test_nothing_is_asked_of_a_network(page):
    # The log has been kept since before the page was opened.
    messages = [json.loads(line["message"])["message"] for line in page.browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert len(asked) >= 1  # the page itself
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


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


def tooltip(page) -> str:
    """What the tooltip of the series shows."""
    return " ".join(row.get_property("textContent") for row in elements(page, ".bk-tooltip-content"))
