"""Training of the network that locates events, and its use."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from xmsgl.events.edges import Edges, connect, edge_features
from xmsgl.events.kinds import KINDS
from xmsgl.events.network import EventNetwork, Output
from xmsgl.events.search import Found

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from xmsgl.events.river import HeatedRiver

logger = logging.getLogger(__name__)

__all__ = ["Localizer", "Records"]

_BATCH = 16
_OFFSET = 7.0  # log10 W


@dataclass(frozen=True)
class Records:
    """Events as arrays, positions instead of ids."""

    residual: NDArray[np.float32]  # (event, day, sensor)
    first: NDArray[np.int64]
    source: NDArray[np.int64]
    magnitude: NDArray[np.float64]
    onset: NDArray[np.int64]
    kind: NDArray[np.int64]


class Localizer:
    """A trained network for the sensors of one river."""

    def __init__(self, river: HeatedRiver, places: NDArray[np.int64], noise: float, seed: int = 0) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = EventNetwork(len(KINDS))
        self._river, self._places, self._noise, self._seed = river, places, noise, seed
        self._edges: Edges = connect(river, places)
        self._sensor, self._reach = (torch.from_numpy(each) for each in self._edges[:2])

    def fit(self, records: Records, epochs: int = 40, rate: float = 3e-3) -> list[dict[str, float]]:
        """Train; an eighth of the records chooses the epoch."""
        rng = np.random.default_rng(self._seed)
        order = rng.permutation(records.first.size)
        kept, learned = order[: order.size // 8], order[order.size // 8 :]
        optimizer = torch.optim.Adam(self.network.parameters(), lr=rate, weight_decay=1e-4)
        steps = epochs * -(-learned.size // _BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
        curve, best, weights = [], np.inf, self.network.state_dict()
        for epoch in range(epochs):
            self.network.train()
            total = 0.0
            for batch in np.array_split(rng.permutation(learned), -(-learned.size // _BATCH)):
                optimizer.zero_grad()
                loss = self._loss(records, batch)
                loss.backward()
                nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                total += float(loss.detach()) * batch.size
            with torch.no_grad():
                self.network.eval()
                parts = [float(self._loss(records, part)) * part.size for part in np.array_split(kept, 8) if part.size]
            score = sum(parts) / max(kept.size, 1)
            curve.append({"epoch": epoch + 1, "training": total / learned.size, "validation": score})
            logger.info("epoch %d: training %.3f, validation %.3f", *curve[-1].values())
            if score < best:
                best, weights = score, {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(weights)
        return curve

    def find(self, residual: NDArray[np.float64], first: int) -> Found:
        """Estimate the event of one record."""
        with torch.no_grad():
            self.network.eval()
            found = self._run(residual[None].astype(np.float32), np.array([first]))
        source = int(found.source[0].argmax())
        kind = list(KINDS)[int(found.kind[0].argmax())]
        magnitude = float(found.magnitude[0, source]) + _OFFSET if KINDS[kind].sign else float("nan")
        days = residual.shape[0]
        return Found(source, int(np.clip(round(float(found.onset[0, source]) * days), 0, days - 1)), magnitude, kind)

    def _run(self, residual: NDArray[np.float32], first: NDArray[np.int64]) -> Output:
        days = residual.shape[1]
        windows = [slice(each, each + days) for each in first.tolist()]
        features = [edge_features(self._river, self._places, self._edges, window) for window in windows]
        return self.network(
            torch.from_numpy(residual / np.float32(self._noise)),
            torch.from_numpy(np.stack(features)),
            self._sensor,
            self._reach,
            self._river.downstream.size,
        )

    def _loss(self, records: Records, batch: NDArray[np.int64]) -> Tensor:
        found = self._run(records.residual[batch], records.first[batch])
        source = torch.from_numpy(records.source[batch])
        rows = torch.arange(batch.size)
        magnitude = torch.from_numpy(records.magnitude[batch]).float() - _OFFSET
        heated = magnitude.isfinite()
        wrong = (found.magnitude[rows, source] - magnitude)[heated]
        onset = torch.from_numpy(records.onset[batch] / records.residual.shape[1]).float()
        late = (found.onset[rows, source] - onset).abs()
        kind = nn.functional.cross_entropy(found.kind, torch.from_numpy(records.kind[batch]))
        size = wrong.square().mean() if len(wrong) else torch.zeros(())
        return nn.functional.cross_entropy(found.source, source) + 2 * size + 5 * late.mean() + 0.5 * kind


def records_of(events: xr.Dataset, ids: NDArray[np.generic], firsts: NDArray[np.int64]) -> Records:
    """Read simulated events."""
    import pandas as pd

    source = pd.Index(ids).get_indexer(pd.Index(events["source"].values)).astype(np.int64)
    kinds = {name: number for number, name in enumerate(KINDS)}
    return Records(
        events["residual"].transpose("event", "day", "sensor").to_numpy().astype(np.float32),
        firsts.astype(np.int64),
        source,
        events["magnitude"].to_numpy().astype(np.float64),
        events["onset"].to_numpy().astype(np.int64),
        np.array([kinds[str(kind)] for kind in events["kind"].values], dtype=np.int64),
    )
