"""Dates and quantities in texts, one by one, and in the bulletins of all wordings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xmsgl.events.text import bulletins, encode
from xmsgl.events.text.encoders import text_features
from xmsgl.events.text.figures import FIGURES, read_figures
from xmsgl.events.text.write import families


def day(date: str) -> list[float]:
    angle = 2 * np.pi * pd.Timestamp(date).day_of_year / 365.25
    return [1, np.sin(angle), np.cos(angle)]


NO_DATE, NOTHING = [0, 0, 0], [0, 0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("From 2009-07-03 on", [*day("2009-07-03"), *NOTHING, *NOTHING], id="ISO date"),
        pytest.param("on 3rd of July 2009", [*day("2009-07-03"), *NOTHING, *NOTHING], id="day and month"),
        pytest.param("on July 3, 2009", [*day("2009-07-03"), *NOTHING, *NOTHING], id="month and day"),
        pytest.param("from 2009-02-30", [*NO_DATE, *NOTHING, *NOTHING], id="no such day"),
        pytest.param("for 10 Days", [*NO_DATE, 1, np.log(2), *NOTHING], id="days"),
        pytest.param("for 2 weeks", [*NO_DATE, 1, np.log(14 / 5), *NOTHING], id="weeks"),
        pytest.param("d=5; MW: 1e+03", [*NO_DATE, 1, 0, 1, 2], id="the unit first"),
        pytest.param("1,200 MW, then 3 MW", [*NO_DATE, *NOTHING, 1, np.log10(120)], id="the first one"),
        pytest.param("about 0.5 gigawatts", [*NO_DATE, *NOTHING, 1, np.log10(50)], id="gigawatts"),
        pytest.param("for 3-5 days", [*NO_DATE, *NOTHING, *NOTHING], id="a range is not read"),
        pytest.param("at 75 W, 40.2 N", [*NO_DATE, *NOTHING, *NOTHING], id="a longitude is no heat"),
        pytest.param("5 mW, 0 MW, 0 days", [*NO_DATE, *NOTHING, *NOTHING], id="milliwatts, nothing"),
        pytest.param("1e999 MW", [*NO_DATE, *NOTHING, *NOTHING], id="an absurd number"),
        pytest.param("gauge 14 in 2009", [*NO_DATE, *NOTHING, *NOTHING], id="other numbers"),
    ],
)
def test_figures(text: str, expected: list[float]) -> None:
    np.testing.assert_allclose(read_figures([text])[0], expected, atol=1e-6)


@pytest.mark.parametrize("family", families())
def test_bulletins_of_all_wordings_state_the_truth(basin, events, family) -> None:
    found = read_figures([str(each) for each in bulletins(events, basin, family=family).values])
    start = pd.DatetimeIndex(events.first_day.values) + pd.to_timedelta(events.onset.values, unit="D")
    np.testing.assert_allclose(found[:, :3], [day(each) for each in start], atol=1e-6)
    np.testing.assert_allclose(found[:, 4], np.log(events.duration / 5), atol=1e-6)
    np.testing.assert_allclose(found[:, 6], (events.magnitude - 7).fillna(0.0), atol=0.003)
    assert not read_figures([str(each) for each in bulletins(events, basin, ids=False).values]).any()


def test_they_stand_beside_the_words() -> None:
    texts = ["Warm water for 5 days", "Warm water for days"]
    found = text_features(texts, "hashing")
    assert found.shape == (2, 1024 + FIGURES)
    np.testing.assert_array_equal(found[:, :-FIGURES], encode(texts))
    np.testing.assert_array_equal(found[0, :-FIGURES], found[1, :-FIGURES])  # digits are no words
    np.testing.assert_array_equal(found[:, -FIGURES:], read_figures(texts))
