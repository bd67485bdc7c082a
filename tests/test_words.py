"""Settings, methods and seeds in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmsgl.errors import InvalidArgumentError
from xmsgl.words import label_of, parse_seeds, parse_settings, parse_spec

NAMES = st.text("abcdefgh_", min_size=1, max_size=8)
VALUES = st.one_of(
    st.integers(-99, 99),
    st.booleans(),
    st.none(),
    st.floats(-9, 9).map(lambda x: round(x, 3)),
    st.lists(st.sampled_from(["coarse", "fine"]), max_size=3),
    st.dictionaries(NAMES, st.integers(0, 9), max_size=2),
    st.text("klmnop", min_size=1, max_size=6).filter(lambda text: text not in {"null"}),
)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_a_label_says_can_be_read_back(settings):
    name, read = parse_spec(label_of("msgl", settings))
    assert (name, read) == ("msgl", settings)


@pytest.mark.parametrize("text", ["hops", "=5", "hops=1,hops=2", "a=1,b"], ids=repr)
def test_what_is_no_setting_is_refused(text):
    with pytest.raises(InvalidArgumentError, match="is no setting"):
        parse_settings(text)


def test_a_number_with_a_leading_zero_stays_an_id():
    assert parse_settings("region=02040104")["region"] == "02040104"


def test_seeds():
    assert parse_seeds(["3"]) == 3
    assert parse_seeds(["0", "5-7"]) == [0, 5, 6, 7]
    with pytest.raises(InvalidArgumentError, match="is no seed"):
        parse_seeds(["x"])
