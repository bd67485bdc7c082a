"""The figures of a folder of runs: one set per dataset and protocol, as PNG."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.benchmark import pictures
from xmsgl.benchmark.report import SECTION
from xmsgl.benchmark.sources import open_source
from xmsgl.errors import InvalidDatasetError, MissingDependencyError, UnknownNameError
from xmsgl.util.writing import whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xmsgl.benchmark.store import Store

__all__ = ["draw_figures", "epochs_of"]

logger = logging.getLogger(__name__)

_DPI = 150
_KIND = ["method", "fraction", "settings", "degrade"]  # of a run, whatever its seed


def draw_figures(store: Store, scores: pd.DataFrame) -> None:
    """Draw the figures that the scores allow into ``figures/``; without Matplotlib only log a warning."""
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
    """Label a method run with one set of settings by its name alone; the table has the settings."""
    once = scores.groupby("method")["label"].transform("nunique") == 1
    return scores["label"].mask(once & ~scores["label"].str.contains(" + ", regex=False), scores["method"])


def _suffix(data: str) -> str:
    words = [f"{name}_{value}" for name, value in json.loads(data).items()]
    return "".join(f"-{word}" for word in words if word != "forcing_stations")


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text).strip("_")


def _figures(scores: pd.DataFrame, records: Sequence[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield the figures of a dataset and protocol, with their names."""
    plain = scores[scores["degrade"] == "{}"]
    if not plain.empty:
        if plain["fraction"].nunique() > 1:
            yield "rmse-by-fraction", pictures.fractions(plain)
        richest = plain[plain["fraction"].isna() | (plain["fraction"] == plain["fraction"].max())]
        yield "rmse-by-month", pictures.months(richest)
        yield "rmse-by-stream-order", pictures.stream_orders(richest)
        yield from _maps(richest)
        epochs = epochs_of(richest, records)
        if epochs["validation"].notna().any():
            yield "convergence", pictures.convergence(epochs)
    varying = [json.loads(text) for column in ("settings", "degrade") for text in scores[column].unique()]
    for name in sorted({name for each in varying for name in each}):
        runs = _that_differ(scores, name)
        if not runs.empty:
            yield f"rmse-by-{name}", pictures.sensitivity(scores.merge(runs, on=_KIND), name)


def _maps(scores: pd.DataFrame) -> Iterator[tuple[str, Any]]:
    first = scores.iloc[0]
    try:
        ds = open_source(first["dataset"], json.loads(first["data"]), draw=int(first["draw"]))
    except UnknownNameError:  # registered by the script that made the runs, not by this one
        logger.warning("no maps of %s: it is not registered here", first["dataset"])
        return
    # One colour scale for all methods, without a few very bad reaches.
    values = scores.loc[(scores["group"] == "reach") & (scores["metric"] == "rmse"), "value"]
    limits = float(values.quantile(0.01)), float(values.quantile(0.95))
    for label, rows in scores.groupby("label", observed=True):
        # A random basin has a different river network for every draw.
        same = rows[rows["draw"] == first["draw"]]
        if same.empty:
            continue
        try:
            yield f"reaches-{label}", pictures.reaches(same, ds, limits=limits)
        except InvalidDatasetError as error:
            logger.warning("no maps: %s", error)
            return


def epochs_of(scores: pd.DataFrame, records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """List the epochs of single networks among some scores: validation error and time since the start."""
    names = scores.drop_duplicates("run").set_index("run")["label"]
    frames = []
    for record in records:
        history = record.get("history")
        if record["id"] not in names.index or not history:
            continue
        columns = ("validation_fine", "validation_interpolation")
        errors = next((history[name] for name in columns if name in history), None)
        # The times of stacks, and of trainings with a second one, are of other epochs than the errors.
        if errors is None or len(errors) != len(record["epoch_seconds"]):
            continue
        members = [f", member {member:.0f}" for member in history.get("member", [])] or [""] * len(errors)
        frames.append(
            pd.DataFrame(
                {
                    "run": [f"{record['id']}{member}" for member in members],
                    "label": str(names[record["id"]]),
                    "seconds": np.cumsum(np.array(record["epoch_seconds"], float)),
                    "validation": np.array(errors, float),
                }
            )
        )
    if not frames:
        return pd.DataFrame(columns=["run", "label", "seconds", "validation"])
    epochs = pd.concat(frames, ignore_index=True)
    return epochs.assign(label=epochs["label"].astype(scores["label"].dtype))


def _that_differ(scores: pd.DataFrame, name: str) -> pd.DataFrame:
    """List the runs that differ from others only in one setting or degradation."""
    runs = scores[_KIND].drop_duplicates()
    values, cases = [], []
    for _, run in runs.iterrows():
        everything = json.loads(run["settings"]) | json.loads(run["degrade"])
        values.append(json.dumps(everything.pop(name, None)))
        cases.append(json.dumps([run["method"], str(run["fraction"]), everything], sort_keys=True))
    return runs[pd.Series(values, runs.index).groupby(cases).transform("nunique") > 1]
