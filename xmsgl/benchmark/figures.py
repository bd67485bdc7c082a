"""The figures of a folder of runs: one set a dataset and protocol, written as PNG."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.benchmark import pictures
from xmsgl.benchmark.sources import open_source
from xmsgl.benchmark.table import SECTION
from xmsgl.errors import InvalidDatasetError, MissingDependencyError, UnknownNameError
from xmsgl.util.writing import whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xmsgl.benchmark.store import Store

__all__ = ["draw_figures", "epochs_of"]

logger = logging.getLogger(__name__)

_DPI = 150


def draw_figures(store: Store, scores: pd.DataFrame) -> None:
    """Draw what the scores have to show into ``figures/``; without matplotlib say so and draw nothing."""
    folder = store.folder / "figures"
    folder.mkdir(exist_ok=True)
    records = store.records()
    labels = _short_labels(scores)
    scores = scores.assign(label=pd.Categorical(labels, sorted(labels.unique())))
    try:
        for (dataset, data, protocol), chosen in scores.groupby(SECTION, sort=False):
            prefix = _file_name(f"{dataset}-{protocol}{_suffix(str(data))}")
            for name, ax in _figures(chosen, records):
                with whole(folder / f"{prefix}-{_file_name(name)}.png") as part:
                    ax.figure.savefig(part, dpi=_DPI, bbox_inches="tight")
    except MissingDependencyError as error:
        logger.warning("no figures: %s", error)


def _short_labels(scores: pd.DataFrame) -> pd.Series[str]:
    """Leave a method its name alone where it was run with one set of settings; the table has them all."""
    once = scores.groupby("method")["label"].transform("nunique") == 1
    return scores["label"].mask(once & ~scores["label"].str.contains(" + ", regex=False), scores["method"])


def _suffix(data: str) -> str:
    words = [f"{name}_{value}" for name, value in json.loads(data).items()]
    return "".join(f"-{word}" for word in words if word != "forcing_era5")


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text).strip("_")


def _figures(scores: pd.DataFrame, records: Sequence[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Give the figures of a dataset and protocol, with their names."""
    plain = scores[scores["degrade"] == "{}"]
    if not plain.empty:
        if plain["fraction"].nunique() > 1:
            yield "rmse-by-fraction", pictures.fractions(plain)
        richest = plain[plain["fraction"].isna() | (plain["fraction"] == plain["fraction"].max())]
        yield "rmse-by-month", pictures.months(richest)
        yield "rmse-by-stream-order", pictures.stream_orders(richest)
        yield from _maps(richest)
        epochs = epochs_of(richest, records)
        if not epochs.empty and epochs["validation"].notna().any():
            yield "convergence", pictures.convergence(epochs)
    for setting in _varied(scores):
        yield f"rmse-by-{setting}", pictures.sensitivity(_concerned(scores, setting), setting)


def _maps(scores: pd.DataFrame) -> Iterator[tuple[str, Any]]:
    first = scores.iloc[0]
    try:
        ds = open_source(first["dataset"], json.loads(first["data"]), draw=int(first["draw"]))
    except UnknownNameError:  # registered by the script that made the runs, not by this one
        logger.warning("no maps of %s: it is not registered here", first["dataset"])
        return
    # One scale for all methods; a few very bad reaches must not take all its colours.
    values = scores.loc[(scores["group"] == "reach") & (scores["metric"] == "rmse"), "value"]
    limits = float(values.quantile(0.01)), float(values.quantile(0.95))
    for label, rows in scores.groupby("label", observed=True):
        # A random basin has other rivers with every draw.
        same = rows[rows["draw"] == first["draw"]]
        if same.empty:
            continue
        try:
            yield f"reaches-{label}", pictures.reaches(same, ds, limits=limits)
        except InvalidDatasetError as error:
            logger.warning("no maps: %s", error)
            return


def epochs_of(scores: pd.DataFrame, records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """List the epochs of the networks among some scores: validation error against the time spent."""
    names = scores.drop_duplicates("run").set_index("run")["label"]
    frames = [pd.DataFrame(columns=["run", "label", "seconds", "validation"])]
    for record in records:
        history = record.get("history")
        if record["id"] not in names.index or not history:
            continue
        columns = ("validation_fine", "validation_interpolation")
        judged = next((history[name] for name in columns if name in history), None)
        if judged is None:
            continue
        frames.append(
            pd.DataFrame(
                {
                    "run": [f"{record['id']}{name}" for name in _members(history, len(judged))],
                    "label": str(names[record["id"]]),
                    "seconds": np.cumsum(np.array(record["epoch_seconds"], float)),
                    "validation": np.array(judged, float),
                }
            )
        )
    epochs = pd.concat([frame for frame in frames if len(frame)] or frames, ignore_index=True)
    return epochs.assign(label=epochs["label"].astype(scores["label"].dtype))


def _members(history: dict[str, list[float]], epochs: int) -> list[str]:
    """Say after the name of a run whose each epoch is; nothing where there is one member."""
    return [f", member {member:.0f}" for member in history.get("member", [])] or [""] * epochs


def _case(row: pd.Series[Any], name: str) -> tuple[str, str]:
    """Tell what a run is besides a setting or degradation, and the value it has of that."""
    everything = {**json.loads(row["settings"]), **json.loads(row["degrade"])}
    rest = {key: value for key, value in everything.items() if key != name}
    return (
        json.dumps([row["method"], str(row["fraction"]), rest], sort_keys=True),
        json.dumps(everything.get(name)),
    )


def _values(runs: pd.DataFrame, name: str) -> dict[str, set[str]]:
    """Give the values of a setting or degradation for each case that is equal otherwise."""
    values: dict[str, set[str]] = {}
    for _, row in runs.iterrows():
        case, value = _case(row, name)
        values.setdefault(case, set()).add(value)
    return values


_KIND = ["method", "fraction", "settings", "degrade"]


def _varied(scores: pd.DataFrame) -> list[str]:
    """Name the settings and degradations with at least two values in runs that are equal otherwise."""
    runs = scores[_KIND].drop_duplicates()
    named = {name for column in ("settings", "degrade") for text in runs[column] for name in json.loads(text)}
    return [
        name for name in sorted(named) if any(len(several) > 1 for several in _values(runs, name).values())
    ]


def _concerned(scores: pd.DataFrame, setting: str) -> pd.DataFrame:
    """Keep the runs of which others differ in that setting or degradation alone."""
    runs = scores[_KIND].drop_duplicates()
    values = _values(runs, setting)
    kept = runs[[len(values[_case(row, setting)[0]]) > 1 for _, row in runs.iterrows()]]
    return scores.merge(kept, on=_KIND)
