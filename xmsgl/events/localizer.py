"""The network that locates events: its training, its file, its use."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from xmsgl.errors import CheckpointError, InvalidArgumentError, XMSGLError
from xmsgl.events.disturb import between
from xmsgl.events.edges import LOG_UNIT, EdgeTable
from xmsgl.events.kinds import KINDS
from xmsgl.events.network import EventNetwork, Output
from xmsgl.events.records import Found, Records, need, noise_in, read_records, stations
from xmsgl.events.river import HeatedRiver
from xmsgl.models.file import storage
from xmsgl.schema.arrays import sound_dataset
from xmsgl.util.address import without_secrets
from xmsgl.util.arguments import checked
from xmsgl.util.plain import read_plain
from xmsgl.util.remote import write_file

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Localizer", "bound", "fit", "need_sensors_of", "train"]

logger = logging.getLogger(__name__)

_BATCH = 16
_FORMAT = 3
_MOST = 10_000  # epochs
_KEPT = 4096  # first days whose edges are kept in memory


class Localizer:
    """A trained network that locates events, for the sensors of one river.

    Attributes
    ----------
    sensors
        Ids of the reaches with a sensor.
    days
        Days of a record.
    noise
        Standard deviation of the noise of a sensor, degC.
    history
        Training and validation loss of each epoch.
    """

    def __init__(
        self,
        network: EventNetwork,
        sensors: Sequence[Any],
        days: int,
        noise: float,
        history: dict[str, list[float]] | None = None,
    ) -> None:
        self.network = network
        self.sensors, self.days, self.noise = list(sensors), days, noise
        self.history = history or {}

    @checked
    def save(self, path: str | os.PathLike[str]) -> Path | str:
        """Write the network to one safetensors file, whole or not at all.

        Parameters
        ----------
        path
            Target, in an existing folder, or a URL of fsspec.

        Returns
        -------
        pathlib.Path or str
            The file written, or its URL.
        """
        header = {"events": _FORMAT, "sensors": self.sensors, "days": self.days, "noise": self.noise}
        return write_file(
            path, storage.to_bytes(self.network.state_dict(), {**header, "history": self.history})
        )

    @classmethod
    @checked
    def load(cls, path: str | os.PathLike[str]) -> Localizer:
        """Read a file written by :meth:`save`.

        Parameters
        ----------
        path
            The file, or its URL.

        Raises
        ------
        CheckpointError
            There is no such file, or it does not hold a network that locates events.
        """
        weights, header = storage.from_bytes(storage.read(path), without_secrets(str(path)))
        network = EventNetwork(len(KINDS))
        try:
            if header.get("events") != _FORMAT:
                raise InvalidArgumentError(f"its header says events={header.get('events')!r}, not {_FORMAT}")
            network.load_state_dict(weights)
            sensors = read_plain(tuple[int | str, ...], header.get("sensors"), "sensors")
            days = read_plain(int, header.get("days"), "days")
            noise = read_plain(float, header.get("noise"), "noise")
            return cls(network, sensors, days, noise, storage.restore_history(header.get("history")))
        except (XMSGLError, RuntimeError) as error:
            msg = f"{path} is not a network that locates events: {error}; train one with xmsgl.events.train"
            raise CheckpointError(msg) from error

    def estimate(self, river: HeatedRiver, records: Records) -> list[Found]:
        """Estimate the events of all records."""
        run = bound(self, river)
        self.network.eval()
        found: list[Found] = []
        with torch.no_grad():
            for batch in np.array_split(np.arange(records.first.size), -(-records.first.size // _BATCH)):
                found += self._read(run(torch.from_numpy(records.residual[batch]), records.first[batch]))
        return found

    def _read(self, output: Output) -> list[Found]:
        kinds, sources = list(KINDS), output.source.argmax(1).tolist()
        found = []
        for k, source in enumerate(sources):
            kind = kinds[int(output.kind[k].argmax())]
            onset = int(np.clip(round(float(output.onset[k]) * self.days), 0, self.days - 1))
            heat = float(output.magnitude[k]) + LOG_UNIT if KINDS[kind].sign else float("nan")
            found.append(Found(source, onset, heat, kind))
        return found


@checked
def train(events: xr.Dataset, obj: xr.Dataset | xr.DataTree, *, epochs: int = 40, seed: int = 0) -> Localizer:
    """Train a network to locate events from those simulated on a river.

    Each sensor's residuals pass through convolutions over the days; each reach sums messages from the next
    three sensors downstream and from three others above or beside it, given travel time and decay between
    them. Source, heat, first day and kind are learned together; an eighth of the events chooses the epoch.

    Parameters
    ----------
    events
        As from :func:`simulate`.
    obj
        The dataset of the river.
    epochs
        Passes over the events, 1 to 10,000.
    seed
        Seed of the initial weights, the events kept, and their order.

    Returns
    -------
    Localizer
        For ``locate(..., method=localizer)``, with the sensors of `events` alone.

    Raises
    ------
    InvalidArgumentError
        There are fewer than 16 events, or they are not of this dataset; an argument is out of range.
    InvalidDatasetError
        The events lack a variable.

    Examples
    --------
    >>> import xmsgl
    >>> from xmsgl.events import locate, simulate
    >>> ds = xmsgl.datasets.simulated(n_coarse=6, years=2)
    >>> localizer = train(simulate(ds, n=32, sensors=0.2), ds, epochs=1)
    >>> locate(simulate(ds, n=3, sensors=0.2), ds, localizer).sizes["event"]
    3
    """
    ds = sound_dataset(obj, sizes=True)
    need(events, "residual")
    noise = noise_in(events["residual"].attrs)
    if not 1 <= epochs <= _MOST or seed < 0 or events.sizes["event"] < _BATCH:
        msg = (
            f"epochs={epochs}, seed={seed}, {events.sizes['event']} events: epochs must be 1 to {_MOST:,}, "
            f"seed at least 0, and there must be at least {_BATCH} events"
        )
        raise InvalidArgumentError(msg)
    return fit(EventNetwork, events, ds, noise=noise, epochs=epochs, seed=seed)


def fit(
    make: Callable[[int], EventNetwork],
    events: xr.Dataset,
    ds: xr.Dataset,
    *,
    noise: float,
    epochs: int,
    seed: int,
) -> Localizer:
    """Train the network that `make` returns for a number of kinds."""
    river = HeatedRiver.of(ds)
    records = read_records(events, river, truth=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sensors = events["sensor"].values.tolist()
        localizer = Localizer(make(len(KINDS)), sensors, events.sizes["day"], noise)
        _fit(localizer, bound(localizer, river), records, epochs, np.random.default_rng(seed))
    return localizer


Run = Callable[[Tensor, "Ints"], Output]


def need_sensors_of(localizer: Localizer, events: xr.Dataset) -> None:
    """Refuse events of other sensors, of the same in another order, or of other days."""
    if localizer.sensors != events["sensor"].values.tolist() or localizer.days != events.sizes["day"]:
        msg = (
            f"the network was trained for {len(localizer.sensors)} other sensors, or these in another order, "
            f"or for {localizer.days} days; select its sensors, or simulate events with these and train again"
        )
        raise InvalidArgumentError(msg)


def bound(localizer: Localizer, river: HeatedRiver) -> Run:
    """Return the network as a function of residuals in degC (event, day, sensor) and first days (event,)."""
    table = EdgeTable.of(river, stations(river, localizer.sensors), localizer.network.count)
    sensor, reach = (torch.from_numpy(each) for each in table.edges[:2])
    days, noise = localizer.days, localizer.noise

    @lru_cache(maxsize=_KEPT)
    def described(first: int) -> Tensor:
        return torch.from_numpy(table.features(slice(first, first + days)))

    def run(residual: Tensor, first: Ints) -> Output:
        features = torch.stack([described(each) for each in first.tolist()])
        gain = torch.from_numpy(np.stack([table.gain[each : each + days] for each in first.tolist()]) / noise)
        output: Output = localizer.network(
            residual / noise, features, gain, sensor, reach, river.downstream.size
        )
        return output

    return run


def _fit(localizer: Localizer, run: Run, records: Records, epochs: int, rng: np.random.Generator) -> None:
    """Train, and keep the weights with the lowest validation loss."""
    network = localizer.network
    order = rng.permutation(records.first.size)
    kept, learned = order[: order.size // 8], order[order.size // 8 :]
    batches = -(-learned.size // _BATCH)
    optimizer = torch.optim.Adam(network.parameters(), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * batches)
    curve: dict[str, list[float]] = {"training": [], "validation": []}
    best: dict[str, Tensor] = {}
    for epoch in range(epochs):
        network.train()
        varied, total = _varied(records, localizer.noise, rng), 0.0
        for batch in np.array_split(rng.permutation(learned), batches):
            optimizer.zero_grad()
            loss = _loss(run, varied, batch)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * batch.size
        network.eval()
        with torch.no_grad():
            parts = np.array_split(kept, -(-kept.size // _BATCH))
            held = sum(float(_loss(run, records, part)) * part.size for part in parts)
        curve["training"].append(total / learned.size)
        curve["validation"].append(held / kept.size)
        logger.info(
            "epoch %d: training %.3f, validation %.3f", epoch + 1, *(each[-1] for each in curve.values())
        )
        if curve["validation"][-1] == min(curve["validation"]):
            best = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(best)
    network.eval()
    localizer.history = curve


def _varied(records: Records, noise: float, rng: np.random.Generator) -> Records:
    """Vary the heat of each event between 0.5 and 1.6 times its own, and disturb half of the records."""
    factor = np.where(np.isfinite(records.magnitude), 10 ** rng.uniform(-0.3, 0.2, records.first.size), 1.0)
    added = noise * np.sqrt(np.maximum(1.0 - factor**2, 0.0))[:, None, None]
    residual = records.residual * factor[:, None, None] + added * rng.normal(size=records.residual.shape)
    return records._replace(
        residual=_disturbed(residual, noise, rng).astype(np.float32),
        magnitude=records.magnitude + np.log10(factor),
    )


def _disturbed(residual: Floats, noise: float, rng: np.random.Generator) -> Floats:
    """Filter, silence, bias or add noise to half of the records, a quarter of them each."""
    n, _, sensors = residual.shape
    what = rng.integers(8, size=n)
    for k in np.flatnonzero(what == 0):
        shortest = rng.uniform(2, 12)
        residual[k] = between(residual[k], shortest, shortest * rng.uniform(2, 5))
    silent = (rng.random((n, sensors)) < rng.uniform(0, 0.5, (n, 1))) & (what == 1)[:, None]
    residual = np.where(silent[:, None], 0.0, residual)
    residual[np.arange(n), :, rng.integers(sensors, size=n)] += (
        rng.normal(size=n) * 10 * noise * (what == 2)
    )[:, None]
    louder = noise * 10 ** rng.uniform(-0.5, 0.8, n) * (what == 3)
    noisy: Floats = residual + louder[:, None, None] * rng.normal(size=residual.shape)
    return noisy


def _loss(run: Run, records: Records, batch: Ints) -> Tensor:
    """Cross-entropy of source and kind, squared error of the magnitude, absolute error of the first day."""
    found = run(torch.from_numpy(records.residual[batch]), records.first[batch])
    source = torch.from_numpy(records.source[batch])
    magnitude = torch.from_numpy(records.magnitude[batch]).float() - LOG_UNIT
    heated = magnitude.isfinite()
    wrong = (found.magnitude - magnitude)[heated]
    onset = torch.from_numpy(records.onset[batch] / records.residual.shape[1]).float()
    late = (found.onset - onset).abs().mean()
    kind = nn.functional.cross_entropy(found.kind, torch.from_numpy(records.kind[batch]))
    size = wrong.square().mean() if len(wrong) else torch.zeros(())
    return nn.functional.cross_entropy(found.source, source) + 5 * size + 5 * late + 0.5 * kind
