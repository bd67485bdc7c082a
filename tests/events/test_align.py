"""Alignment of records and texts: the loss by a plain loop, what is learned, the file, faults."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr

from xmsgl.errors import CheckpointError, InvalidArgumentError
from xmsgl.events import simulate, train
from xmsgl.events.text import TextAligner, align, bulletins, recall
from xmsgl.events.text.contrast import contrast, drawn, fit


@pytest.fixture(scope="module")
def localizer(basin, events):
    return train(events, basin, epochs=2, seed=1)


@pytest.fixture(scope="module")
def aligner(basin, events, localizer):
    return align(events, basin, bulletins(events, basin), localizer, epochs=3, seed=2)


def test_the_loss_is_a_mean_of_cross_entropies() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 3))
    total = 0.0
    for k in range(5):
        for one, others in ((a[k], b), (b[k], a)):
            exponents = [math.exp(2.5 * float(one @ other)) for other in others]
            total -= math.log(exponents[k] / sum(exponents)) / 10
    assert float(contrast(torch.from_numpy(a), torch.from_numpy(b), torch.tensor(2.5))) == pytest.approx(
        total
    )


def test_recall_is_a_count_of_the_closer_ones() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 40, 4))
    for k in (1, 5, 40):
        hits = [sorted(range(40), key=lambda j, i=i: -float(a[i] @ b[j])).index(i) < k for i in range(40)]
        one, other = (xr.DataArray(each, dims=("event", "shared")) for each in (a, b))
        assert recall(one, other, k) == pytest.approx(sum(hits) / 40)
    same = xr.DataArray(np.ones((40, 4)), dims=("event", "shared"))
    assert recall(same, same, 5) == 0.0  # ties count against it
    assert recall(one.T, other, 5) == recall(one, other, 5)


def test_what_belongs_together_is_learned_and_found_again() -> None:
    """Texts are a rotation of half of the features, in noise; the rest of the features says nothing."""
    rng = np.random.default_rng(2)
    hidden = rng.normal(size=(500, 6))
    series = np.concatenate([hidden, rng.normal(size=(500, 6))], axis=1).astype(np.float32) * 30 + 7
    texts = hidden @ np.linalg.qr(rng.normal(size=(6, 6)))[0] + 0.05 * rng.normal(size=(500, 6))
    place = np.arange(400)[:, None]
    scores = {}
    for name, told in (("right", np.arange(400)), ("shuffled", rng.permutation(400))):
        projections, history = fit(series[:400], texts[told].astype(np.float32), place, epochs=60, seed=0)
        one, other = projections.series_array(series), projections.text_array(texts.astype(np.float32))
        scores[name] = recall(*(xr.DataArray(v[400:], dims=("event", "shared")) for v in (one, other)))
        assert len(history["validation"]) == 60
    assert scores["right"] > 0.8
    assert scores["shuffled"] < 0.2  # 0.05 by chance


def test_kinds_never_named_are_told_apart_by_their_texts(basin) -> None:
    """A network that has learned to locate, and bulletins of warm and cold events."""
    events = simulate(basin, n=360, sensors=0.3, seed=8)
    warm = np.isin(
        events.kind.values, ["industrial_discharge", "effluent_pulse", "cold_hypolimnetic_release"]
    )
    seen = events.isel(event=np.flatnonzero(warm))
    localizer = train(seen, basin, epochs=6)
    aligner = align(seen, basin, bulletins(seen, basin, ids=False), localizer, epochs=60)
    wanted = ["warm_dam_release", "cold_flush"]
    unseen = events.isel(event=np.flatnonzero(np.isin(events.kind.values, wanted)))
    texts = bulletins(unseen, basin, family="notice", ids=False)
    described = {kind: texts.values[unseen.kind.values == kind].tolist() for kind in wanted}
    named = aligner.classify(unseen, basin, described)
    assert named.dims == ("event",)
    assert float((named == unseen.kind).mean()) > 0.7  # 0.5 by chance, of about 90 events


def test_it_depends_on_pairs_alone(basin, events, localizer, aligner) -> None:
    texts = bulletins(events, basin)
    some = texts.copy(data=np.where(np.arange(48) < 24, texts.values, ""))
    half = align(events, basin, some, localizer, epochs=3, seed=2)
    alone = align(events.isel(event=slice(24)), basin, texts[:24], localizer, epochs=3, seed=2)
    assert half.history == alone.history
    assert half.history != aligner.history
    blind = events.drop_vars(["kind", "source", "onset", "duration", "magnitude"])
    assert aligner.embed_events(blind, basin).equals(aligner.embed_events(events, basin))
    assert align(events, basin, texts, localizer, epochs=3, seed=2).history == aligner.history


def test_several_wordings(basin, events, localizer) -> None:
    both = xr.concat([bulletins(events, basin, family=name) for name in ("log", "press")], "wording")
    one = align(events, basin, both, localizer, epochs=3)
    assert one.history != align(events, basin, both[0], localizer, epochs=3).history


def test_missing_wordings_are_never_drawn() -> None:
    place = np.array([[0, -1, 1], [-1, 2, -1], [3, 4, 5]])
    rows = np.array([drawn(place, np.random.default_rng(seed)) for seed in range(100)])
    assert [sorted(set(column)) for column in rows.T.tolist()] == [[0, 1], [2], [3, 4, 5]]


def test_vectors_have_length_one_and_depend_on_their_event_alone(basin, events, aligner) -> None:
    vectors = aligner.embed_events(events, basin)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(aligner.embed_events(events.isel(event=[7]), basin)[0], vectors[7], atol=1e-5)
    texts = aligner.embed_texts(["a", "warm water"])
    np.testing.assert_allclose(aligner.embed_texts(["warm water"])[0], texts[1], atol=1e-6)


def test_the_file_holds_all(basin, events, aligner, tmp_path) -> None:
    again = TextAligner.load(aligner.save(tmp_path / "aligner.safetensors"))
    assert again.history == aligner.history
    assert again.encoder == "hashing"
    assert again.embed_events(events, basin).equals(aligner.embed_events(events, basin))
    assert again.embed_texts(["warm"]).equals(aligner.embed_texts(["warm"]))


def test_other_files_are_refused(localizer, tmp_path) -> None:
    path = localizer.save(tmp_path / "localizer.safetensors")
    with pytest.raises(CheckpointError, match="does not hold an aligner"):
        TextAligner.load(path)


def test_faults_are_refused(basin, events, localizer, aligner) -> None:
    texts = bulletins(events, basin)
    with pytest.raises(InvalidArgumentError, match="4 events have a text; at least 8"):
        align(events, basin, texts.copy(data=[*texts.values[:4], *[""] * 44]), localizer)
    with pytest.raises(InvalidArgumentError, match="must have the dimension event, of the 48 events"):
        align(events, basin, texts[:9], localizer)
    with pytest.raises(InvalidArgumentError, match="must be strings"):
        align(events, basin, texts.copy(data=np.arange(48)), localizer)
    with pytest.raises(InvalidArgumentError, match="encoder='bert'"):
        align(events, basin, texts, localizer, encoder="bert")
    with pytest.raises(InvalidArgumentError, match="epochs=0"):
        align(events, basin, texts, localizer, epochs=0)
    with pytest.raises(InvalidArgumentError, match="descriptions is empty"):
        aligner.classify(events, basin, {})
    square = xr.DataArray(np.eye(3), dims=("event", "shared"))
    with pytest.raises(InvalidArgumentError, match="must be of one size"):
        recall(square, square[:2])
    with pytest.raises(InvalidArgumentError, match="not finite"):
        recall(square, square.where(square == 1), k=1)
    with pytest.raises(InvalidArgumentError, match="no vectors"):
        recall(square, square.rename(shared="other"), k=1)
