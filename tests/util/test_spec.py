"""Settings, methods and seeds in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmsgl.errors import InvalidArgumentError
from xmsgl.util.spec import (
    check_finite,
    label_of,
    parse_draws,
    parse_seeds,
    parse_settings,
    parse_spec,
    read_word,
)

NAMES = st.text("abcdefgh_", min_size=1, max_size=8)
VALUES = st.one_of(
    st.integers(-99, 99),
    st.booleans(),
    st.none(),
    st.floats(-9, 9).map(lambda x: round(x, 3)),
    st.lists(st.sampled_from(["coarse", "fine"]), max_size=3),
    st.dictionaries(NAMES, st.integers(0, 9), max_size=2),
    st.text("klmnop", min_size=1, max_size=6),
    st.sampled_from(["true", "False", "none", "NULL", "40", "1e3", "02040104", '"', "[1]", "True story"]),
)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_a_label_says_can_be_read_back(settings):
    name, read = parse_spec(label_of("msgl", settings))
    assert (name, read) == ("msgl", settings)


@pytest.mark.parametrize("text", ["hops", "=5", "hops=1,hops=2", "a=1,b"], ids=repr)
def test_what_is_no_setting_is_refused(text):
    with pytest.raises(InvalidArgumentError, match="is not a valid setting"):
        parse_settings(text)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *((word, None) for word in ("none", "None", "NONE", "null", "Null", "NULL")),
    ],
)
def test_words_for_truth_and_nothing_are_read_in_any_case(word, value):
    assert read_word(word) is value
    assert parse_settings(f"season={word},hidden=4") == {"season": value, "hidden": 4}
    assert parse_spec(f"msgl:season={word}") == ("msgl", {"season": value})
    assert parse_settings(f'season="{word}"') == {"season": word}  # who insists on text


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "T", "f", "nothing", "True story", ""])
def test_other_words_stay_text(word):
    assert parse_settings(f"season={word}") == {"season": word}


@pytest.mark.parametrize(
    "word", ["NaN", "nan", "Infinity", "-Infinity", "inf", "+INF", "1e999", "[1,NaN]", '{"a":[-1e400]}']
)
def test_numbers_that_are_not_finite_are_refused(word):
    with pytest.raises(InvalidArgumentError, match=r"clip=.* is not a finite number; give one"):
        parse_settings(f"hidden=4,clip={word}")


def test_finite_values_pass_as_they_are():
    for value in (1, 2.5, True, None, "information", [1, {"a": 2.0}]):
        assert check_finite("x", value) is value


def test_lists_without_end_are_refused():
    with pytest.raises(InvalidArgumentError, match="n_coarse is nested too deeply"):
        parse_settings(f"n_coarse={'[' * 100_000}{']' * 100_000}")


def test_a_number_with_a_leading_zero_stays_an_id():
    assert parse_settings("region=02040104")["region"] == "02040104"


def test_seeds():
    assert parse_seeds(["3"]) == 3
    assert parse_seeds(["0", "5-7"]) == [0, 5, 6, 7]
    with pytest.raises(InvalidArgumentError, match="is not a valid seed"):
        parse_seeds(["x"])
    assert parse_draws(["3"]) == [3]
    assert parse_draws(["0", "5-7"]) == [0, 5, 6, 7]
    assert parse_draws([]) == []
