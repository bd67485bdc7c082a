"""The benchmark of bulletins: its page, and its figures for texts that say all or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from benchmarks import gauges as biased
from benchmarks import text as benchmark

ROOT = Path(__file__).parents[1]


def test_the_page_has_the_stored_rows():
    rows = json.loads((ROOT / benchmark.RESULTS).read_text(encoding="utf-8"))
    page = (ROOT / benchmark.PAGE).read_text(encoding="utf-8")
    assert benchmark.written(rows, page) == page
    found = [r for r in rows if (r["task"], r["method"], r["share"]) == ("retrieval", "minilm", 1.0)]
    lines = [line for line in page.splitlines() if line.startswith("| minilm | 100%")]
    for words, line in zip(("words and figures", "words"), lines, strict=True):
        some = [r for r in found if r["words"] == words and r["family"] in ("letter", "briefing")]
        assert len(some) == 2 * 3
        assert f" {np.mean([r['text'] for r in some]):.2f} |" in line


def test_the_table_of_gauges_is_that_of_the_rows():
    """By hand, from the file of the results."""
    rows = json.loads((ROOT / benchmark.RESULTS).read_text(encoding="utf-8"))
    page = (ROOT / benchmark.PAGE).read_text(encoding="utf-8")
    some = [r for r in rows if (r["task"], r["method"]) == ("gauge", "minilm")]
    some = [r for r in some if r["family"] in ("letter", "briefing")]
    assert len(some) == 2 * 3
    after, before = (np.sqrt(np.mean([r[f"{k}_at"] ** 2 for r in some])) for k in ("after", "before"))
    (line,) = [line for line in page.splitlines() if line.startswith("| minilm | other")]
    assert f"| {after:.2f} |" in line
    assert f"| {after / before - 1:+.0%} |" in line


def test_a_corrected_bias_leaves_what_a_smaller_one_leaves(river_of):
    """The response to 1 degC against reconstructions with other biases; errors by plain arithmetic."""
    ds = river_of(60)
    model = ds.msgl.train("trees", validation="folds:2", iterations=5, progress=False)
    gauge = int(ds["fine"].values[ds["water_temperature_fine"].notnull().any("time").values][0])
    observed, own = ds["water_temperature_fine"], ds["fine"] == gauge

    def at(bias):
        return ds.msgl.reconstruct(model, observed=observed + bias * own).sel(fine=gauge).to_numpy()

    response = at(1.0) - at(0.0)
    assert response.max() > 0.1
    warm = at(0.0) > 3
    np.testing.assert_allclose((at(0.0) + 1.5 * response)[warm], at(1.5)[warm], atol=1e-3)
    shape = (response.size, 1, 2)  # the gauge, and one place next to it
    both = np.stack([response, response], axis=1)[:, None]
    known = biased.Gauges([gauge], np.zeros(shape[:2]), np.full(shape, 0.5), both, ds, model)
    found = biased.corrected(known, np.array([1.5]), np.array([1.0]))
    assert found["record"] == pytest.approx(0.5)
    assert found["at"] == pytest.approx(np.sqrt(np.mean((0.5 + 0.5 * response) ** 2)))


def test_places_are_the_reach_and_those_next_to_it():
    ds = xr.Dataset({"downstream_fine": ("fine", [2, 0, 2, 3])}, {"fine": [1, 2, 3, 4]})
    assert [biased.places(ds, k) for k in (1, 2, 3)] == [[1, 2], [2, 1, 3], [3, 2, 4]]


def test_it_is_honest_about_what_is_tested():
    assert not set(biased.LEARNED) & {*biased.OTHER, *biased.TURNED}
    assert {*biased.LEARNED, *biased.OTHER, *biased.TURNED} == set(biased.wordings())
    assert not set(benchmark.COMMON) & set(benchmark.HELD_OUT)
    assert not set(benchmark.SEEN) & set(benchmark.UNSEEN)
    assert len(benchmark.UNSEEN) == 4


@pytest.fixture(scope="module")
def material():
    """Records that show the kind in noise, and bulletins that name it; letters say more than the others."""
    rng = np.random.default_rng(0)
    kinds = np.array(benchmark.SEEN + benchmark.UNSEEN)
    number = rng.integers(8, size=benchmark.COUNT)
    parts = np.array([[k & 1, k >> 1 & 1, k >> 2] for k in range(8)]) * 2.0 - 1
    series = np.concatenate([parts[number], rng.normal(size=(number.size, 2))], axis=1)
    series = (series + 0.1 * rng.normal(size=series.shape)).astype(np.float32)
    words = [("cold", "warm"), ("short", "long"), ("low", "high")]
    said = [" ".join(pair[k >> place & 1] for place, pair in enumerate(words)) for k in number.tolist()]
    families = (*benchmark.COMMON, *benchmark.HELD_OUT)
    vectors = (parts[number] + 0.1 * rng.normal(size=(number.size, 3))).astype(np.float32)
    return benchmark.Material(
        kinds[number],
        {"words": dict.fromkeys(families, said)},
        {"words": {encoder: dict.fromkeys(families, vectors) for encoder in ("minilm", "hashing")}},
        {"all": series, "seen": series},
    )


def test_kinds_that_are_made_of_known_parts_are_named(material):
    found = {name: benchmark.unseen(material, name, seed=0) for name in ("minilm", "tf-idf, ridge")}
    tested = np.isin(material.kind[: benchmark.COUNT // 2], benchmark.UNSEEN)
    for row in found.values():
        assert row["n"] == tested.sum()
        assert row["accuracy"] == pytest.approx(np.mean([row[kind] for kind in benchmark.UNSEEN]))
        assert row["low"] <= row["accuracy"] <= row["high"]
        assert row["accuracy"] > 0.9


def test_shuffled_texts_find_as_little_as_chance(material):
    right, wrong = (
        next(row for row in benchmark.retrieval(material, name, "words", 1.0, 0) if row["family"] == "letter")
        for name in ("minilm", "minilm, shuffled")
    )
    # About 25 of the 200 are of one kind, so that 5 of 25 is the best, and 5 of 200 is by chance.
    assert 0.12 < right["text"] < 0.4
    assert wrong["text"] < 0.1
