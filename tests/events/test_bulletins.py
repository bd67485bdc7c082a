"""Bulletins against the records of the events, read once more by plain loops."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from xmsgl.errors import InvalidArgumentError, InvalidDatasetError
from xmsgl.events.kinds import KINDS
from xmsgl.events.text import bulletins
from xmsgl.events.text.facts import thirds
from xmsgl.events.text.write import families

COMMON = ["notice", "log", "press", "study"]
HELD_OUT = ["letter", "briefing"]
#: Little words that say nothing about an event.
_LITTLE = set(
    re.findall(
        "[a-z]+",
        """
a an the of in on at and or by with to it was is its that than for from as up so not then i my me
""",
    )
)


def says(name: str, fact: str, value: str, text: str) -> bool:
    """Whether a text has a phrase for a value, whatever the capital at the start of a sentence."""
    return any(phrase.lower() in text.lower() for phrase in families()[name].phrases[fact][value])


@pytest.mark.parametrize("family", [*COMMON, *HELD_OUT])
def test_a_bulletin_says_what_the_record_holds(basin, events, family: str) -> None:
    texts = bulletins(events, basin, family=family, seed=3)
    assert texts.dims == ("event",)
    assert set(texts.family.values) == {family}
    outlet = {}
    for reach in basin.fine.values.tolist():
        way, at = 0.0, reach
        while (at := int(basin.downstream_fine.sel(fine=at))) != 0:
            way += float(basin.length_fine.sel(fine=at))
        outlet[reach] = way
    orders = basin.stream_order_fine.to_series()
    for k, text in enumerate(texts.values):
        event = events.isel(event=k)
        kind, reach = str(event.kind.item()), event.source.item()
        assert says(family, "kind", kind, text)
        assert says(family, "sign", {1: "warm", -1: "cold", 0: "none"}[KINDS[kind].sign], text)
        start = pd.Timestamp(event.first_day.values) + pd.Timedelta(days=event.onset.item())
        season = ["winter", "winter", *["spring"] * 3, *["summer"] * 3, *["autumn"] * 3, "winter"]
        assert says(family, "season", season[start.month - 1], text)
        days = event.duration.item()
        bins = [(2, "days2"), (5, "days5"), (10, "week"), (18, "fortnight"), (99, "month")]
        assert says(family, "length", next(name for most, name in bins if days <= most), text)
        heat = event.magnitude.item()
        sizes = [(6.75, "small"), (7.25, "moderate"), (7.75, "large"), (99, "huge")]
        size = "none" if np.isnan(heat) else next(name for most, name in sizes if heat < most)
        assert says(family, "size", size, text)
        below = sum(each < outlet[reach] for each in outlet.values()) / len(outlet)
        if abs(below - 1 / 3) > 0.1 and abs(below - 2 / 3) > 0.1:  # the edges of thirds are another test's
            assert says(family, "way", ["near", "middle", "far"][int(below * 3)], text)
        order = orders[reach]
        position = "headwater" if order == 1 else "mainstem" if order == orders.max() else "middle"
        assert says(family, "position", position, text)
        seen = sum(bool((abs(event.residual.sel(sensor=s)) > 0.5).any()) for s in event.sensor.values)
        spread = "none" if seen == 0 else "one" if seen == 1 else "few" if seen <= 3 else "many"
        assert says(family, "spread", spread, text)
        for figure in (str(reach), str(start.date()), str(days), f"{10 ** (heat - 6):.3g}"):
            assert figure in text or np.isnan(heat)


@pytest.mark.parametrize("family", [*COMMON, *HELD_OUT])
def test_ids_and_digits_are_removed(basin, events, family: str) -> None:
    with_ids = bulletins(events, basin, family=family).values
    without = bulletins(events, basin, family=family, ids=False).values
    assert not any(re.search(r"\d", text) for text in without)
    for one, other in zip(with_ids, without, strict=True):
        assert one.startswith(other)  # all else is equal
        assert re.search(r"\d", one)


def test_families_have_the_same_values_and_other_words() -> None:
    known = families()
    assert [name for name, each in known.items() if each.held_out] == HELD_OUT
    values = {fact: set(each) for fact, each in known["notice"].phrases.items()}
    words = {}
    for name, each in known.items():
        assert {fact: set(phrases) for fact, phrases in each.phrases.items()} == values
        assert set(each.phrases["kind"]) == set(KINDS)
        text = " ".join(p for some in each.phrases.values() for phrases in some.values() for p in phrases)
        words[name] = set(re.findall("[a-z]+", text.lower())) - _LITTLE
        slots = re.findall(r"{(\w+)}", " ".join(each.sentences))
        assert sorted(slots) == sorted(values), f"{name} says a fact twice or never"
    for one in known:
        for other in known:
            if one < other:
                shared = words[one] & words[other]
                assert len(shared) / len(words[one] | words[other]) < 0.35, (one, other, sorted(shared))


def test_held_out_families_are_never_drawn_and_seeds_repeat(basin, events) -> None:
    drawn = bulletins(events, basin, seed=5)
    assert set(drawn.family.values) == set(COMMON)
    assert drawn.equals(bulletins(events, basin, seed=5))
    assert not drawn.equals(bulletins(events, basin, seed=6))


def test_what_is_not_known_is_not_said(basin, events) -> None:
    flat = bulletins(events, basin.drop_vars("elevation_fine"), family="notice", ids=False)
    phrases = [p for some in families()["notice"].phrases["height"].values() for p in some]
    assert not any(phrase in text for text in flat.values for phrase in phrases)
    assert all(len(text.split(". ")) == 7 for text in flat.values)


def test_thirds_of_a_few_values() -> None:
    assert thirds(np.array([5.0, 1.0, 9.0, np.nan, 3.0, 7.0, 8.0])).tolist() == [1, 0, 2, -1, 1, 2, 2]


def test_faults_are_refused(basin, events) -> None:
    with pytest.raises(InvalidArgumentError, match="family='poem' is not one of notice, log"):
        bulletins(events, basin, family="poem")
    with pytest.raises(InvalidArgumentError, match="at least 0"):
        bulletins(events, basin, seed=-1)
    with pytest.raises(InvalidDatasetError, match="duration"):
        bulletins(events.drop_vars("duration"), basin)
    with pytest.raises(InvalidArgumentError, match="are not in this dataset"):
        bulletins(events.assign(source=events.source * 0 - 7), basin)
    with pytest.raises(InvalidDatasetError, match="bulletins need the variable length_fine"):
        bulletins(events, basin.drop_vars("length_fine"))
    with pytest.raises(InvalidArgumentError, match="unknown kinds"):
        bulletins(events.assign(kind=("event", ["flood"] * 48)), basin)
