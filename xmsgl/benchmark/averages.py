"""Scores of mean predictions, over the seeds of one method or over several methods."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.benchmark.protocols import PROTOCOLS
from xmsgl.benchmark.scores import score_pairs
from xmsgl.benchmark.sources import SOURCES
from xmsgl.errors import InvalidArgumentError
from xmsgl.util.registry import Registry
from xmsgl.util.spec import label_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from xmsgl.benchmark.store import Store

__all__ = ["columns_of", "score_blends", "score_ensembles"]

logger = logging.getLogger(__name__)

_PLUS = " + "
_SPLIT = ("dataset", "data", "protocol", "degrade")


def columns_of(record: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of the scores that describe a run."""
    run, hidden = record["run"], shared if "sha256" in record else {}
    own = {name: value for name, value in run["settings"].items() if name not in hidden}
    return {
        **{name: run[name] for name in ("dataset", "protocol", "method", "seed", "draw")},
        **{name: json.dumps(run[name], sort_keys=True) for name in ("data", "degrade", "settings")},
        "label": label_of(run["method"], own),
        "fraction": np.nan if run["fraction"] is None else run["fraction"],
    }


def score_ensembles(
    store: Store, records: Sequence[dict[str, Any]], shared: Mapping[str, Any]
) -> Iterator[pd.DataFrame]:
    """Score the mean prediction of runs that differ only in the seed of the method."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if "sha256" in record:
            same = {name: value for name, value in record["run"].items() if name != "seed"}
            groups.setdefault(json.dumps(same, sort_keys=True), []).append(record)
    ensembles = [members for members in groups.values() if len(members) > 1]
    for members in ensembles:
        columns = columns_of(members[0], shared)
        columns |= {"label": f"{columns['label']}, ensemble of {len(members)} seeds", "seed": pd.NA}
        scores = score_pairs(_mean(store, [members]))
        yield scores.assign(**columns, run=f"ensemble-{members[0]['id']}")
    if not ensembles:
        logger.warning(
            "no ensemble: no two runs learned from the same labels with different seeds; "
            "set the same draw for all of them (--draw 0)"
        )


def score_blends(
    store: Store, records: Sequence[dict[str, Any]], shared: Mapping[str, Any], blends: Sequence[str]
) -> Iterator[pd.DataFrame]:
    """Score the mean prediction of several methods on the same split, each with all its seeds."""
    known: Registry[list[dict[str, Any]]] = Registry("method in the results")
    for record in records:
        known.setdefault(columns_of(record, shared)["label"], []).append(record)
    for blend in blends:
        labels = [label.strip() for label in blend.split(_PLUS)]
        if len(set(labels)) < 2:
            msg = f"blend {blend!r} has fewer than two methods; write for example 'msgl + booster-coarse'"
            raise InvalidArgumentError(msg)
        for split in _splits([record for label in labels for record in known[label]]):
            groups = [
                [record for record in known[label] if _Split.of(record["run"]).covers(split)]
                for label in labels
            ]
            if not all(groups):
                continue
            run = {**groups[0][0]["run"], "method": _PLUS.join(labels), "settings": {}}
            own = {"label": _PLUS.join(labels), "fraction": split.fraction, "draw": split.draw, "seed": pd.NA}
            scores = score_pairs(_mean(store, groups))
            run_id = f"blend-{'-'.join(group[0]['id'] for group in groups)}"
            yield scores.assign(**{**columns_of({"run": run}, {}), **own, "run": run_id})


@dataclass(frozen=True)
class _Split:
    """What a run learned from and was scored on."""

    case: tuple[str, ...]
    draw: int | None  # None: the same split for every draw
    fraction: float | None  # None: the same for every fraction

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> _Split:
        case = tuple(json.dumps(run[name], sort_keys=True) for name in _SPLIT)
        drawn = PROTOCOLS[run["protocol"]].random or SOURCES[run["dataset"]].random
        fraction = None if run["fraction"] is None else float(run["fraction"])
        return cls(case, run["draw"] if drawn or fraction is not None else None, fraction)

    def covers(self, other: _Split) -> bool:
        return (
            self.case == other.case
            and self.draw in (None, other.draw)
            and self.fraction in (None, other.fraction)
        )


def _splits(records: Sequence[dict[str, Any]]) -> list[_Split]:
    """List the splits of some runs, without those that cover others."""
    found = dict.fromkeys(_Split.of(record["run"]) for record in records)
    return [one for one in found if not any(one != other and one.covers(other) for other in found)]


def _mean(store: Store, groups: Sequence[Sequence[dict[str, Any]]]) -> pd.DataFrame:
    """Average the predictions of groups of runs that were scored on the same reach-days."""
    pairs = [[store.pairs(record["id"]) for record in group] for group in groups]
    first = pairs[0][0]
    means = [np.mean([each["predicted"].to_numpy(np.float64) for each in group], axis=0) for group in pairs]
    return first.assign(predicted=np.mean(means, axis=0).astype(np.float32))
