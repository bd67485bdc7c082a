"""Records and texts in one space: two small projections, their file, and their use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from xmsgl.errors import CheckpointError, InvalidArgumentError, XMSGLError
from xmsgl.events.kinds import KINDS
from xmsgl.events.localizer import Localizer
from xmsgl.events.network import EventNetwork
from xmsgl.events.text.encoders import ENCODERS, text_features
from xmsgl.events.text.series import series_features
from xmsgl.models.file import storage
from xmsgl.schema.arrays import sound_dataset
from xmsgl.util.arguments import checked
from xmsgl.util.plain import read_plain
from xmsgl.util.writing import write_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Projections", "TextAligner"]

_FORMAT = 3
_SHARED = 64  # numbers of a vector that records and texts share
_INNER = 128


class Projections(nn.Module):
    """From what is known of a record, and from a text, to unit vectors of one space."""

    mean: Tensor
    spread: Tensor

    def __init__(self, series: int, text: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(series))
        self.register_buffer("spread", torch.ones(series))
        self.series = nn.Sequential(
            nn.Linear(series, _INNER), nn.SiLU(), nn.Dropout(0.2), nn.Linear(_INNER, _SHARED)
        )
        self.text = nn.Sequential(nn.Dropout(0.2), nn.Linear(text, _SHARED))
        self.log_scale = nn.Parameter(torch.tensor(10.0).log())  # the inverse of the temperature

    def of_series(self, features: Tensor) -> Tensor:
        """Project features of records (event, feature)."""
        centred = (features - self.mean) / self.spread
        return nn.functional.normalize(self.series(centred.clamp(-5, 5)), dim=1)

    def of_text(self, encoded: Tensor) -> Tensor:
        """Project encoded texts (text, number)."""
        return nn.functional.normalize(self.text(encoded), dim=1)

    def series_array(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project features of records without learning from them."""
        return self._project(self.of_series, features)

    def text_array(self, encoded: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project encoded texts without learning from them."""
        return self._project(self.of_text, encoded)

    def _project(self, project: Callable[[Tensor], Tensor], rows: NDArray[np.float32]) -> NDArray[np.float32]:
        self.eval()
        with torch.no_grad():
            found: NDArray[np.float32] = project(torch.from_numpy(rows)).numpy()
        return found


class TextAligner:
    """Records of sensors and texts in one space, in which those of one event are close.

    Attributes
    ----------
    localizer
        The network that reads the records.
    encoder
        Name of the encoder of the texts.
    history
        Training and validation loss of each epoch.
    """

    def __init__(
        self,
        localizer: Localizer,
        projections: Projections,
        encoder: str,
        history: dict[str, list[float]] | None = None,
    ) -> None:
        self.localizer, self.projections, self.encoder = localizer, projections, encoder
        self.history = history or {}

    @checked
    def embed_events(self, events: xr.Dataset, obj: xr.Dataset | xr.DataTree) -> xr.DataArray:
        """Return the vector of each record; the truth is not read.

        Parameters
        ----------
        events
            As from :func:`xmsgl.events.simulate`, with the sensors of the localizer; ``residual`` and
            ``first_day`` suffice.
        obj
            The dataset of the river.

        Returns
        -------
        xarray.DataArray
            (event, shared), of length 1, without unit.
        """
        ds = sound_dataset(obj, sizes=True)
        vectors = self.projections.series_array(series_features(self.localizer, events, ds))
        return xr.DataArray(vectors, dims=("event", "shared"), name="embedding")

    @checked
    def embed_texts(self, texts: xr.DataArray | Sequence[str]) -> xr.DataArray:
        """Return the vector of each text.

        Parameters
        ----------
        texts
            Texts in English.

        Returns
        -------
        xarray.DataArray
            (text, shared), of length 1, without unit.
        """
        vectors = self.projections.text_array(text_features(texts, self.encoder))
        return xr.DataArray(vectors, dims=("text", "shared"), name="embedding")

    @checked
    def classify(
        self,
        events: xr.Dataset,
        obj: xr.Dataset | xr.DataTree,
        descriptions: Mapping[str, Sequence[str]],
    ) -> xr.DataArray:
        """Name each event by the texts that its record is closest to, also for names never seen.

        Parameters
        ----------
        events
            As from :func:`xmsgl.events.simulate`; the truth is not read.
        obj
            The dataset of the river.
        descriptions
            One or more texts for each name; a name is at the mean of their vectors.

        Returns
        -------
        xarray.DataArray
            A name for each event.

        Raises
        ------
        InvalidArgumentError
            There are no descriptions, or a name has no text.
        """
        if not descriptions:
            raise InvalidArgumentError("descriptions is empty; give one or more texts for each name")
        means = [self.embed_texts(texts).to_numpy().mean(axis=0) for texts in descriptions.values()]
        centres = np.stack([mean / max(float(np.linalg.norm(mean)), 1e-12) for mean in means])
        closest = (self.embed_events(events, obj).to_numpy() @ centres.T).argmax(axis=1)
        return xr.DataArray(np.array(list(map(str, descriptions)))[closest], dims="event", name="kind")

    @checked
    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the localizer and the projections to one safetensors file, whole or not at all.

        Parameters
        ----------
        path
            Target, in an existing folder.

        Returns
        -------
        pathlib.Path
            The file written.
        """
        own = self.localizer
        header = {"text": _FORMAT, "encoder": self.encoder, "history": self.history}
        header |= {"sensors": own.sensors, "days": own.days, "noise": own.noise}
        modules = {"localizer": own.network, "projections": self.projections}
        weights = {f"{k}.{name}": x for k, each in modules.items() for name, x in each.state_dict().items()}
        return write_bytes(path, storage.to_bytes(weights, header))

    @classmethod
    @checked
    def load(cls, path: str | os.PathLike[str]) -> TextAligner:
        """Read a file written by :meth:`save`.

        Parameters
        ----------
        path
            The file.

        Raises
        ------
        CheckpointError
            There is no such file, or it does not hold an aligner.
        """
        weights, header = storage.from_bytes(storage.read(path), str(path))
        try:
            if header.get("text") != _FORMAT:
                raise InvalidArgumentError(f"its header says text={header.get('text')!r}, not {_FORMAT}")
            if (encoder := header.get("encoder")) not in ENCODERS:
                raise InvalidArgumentError(f"its encoder {encoder!r} is not one of {', '.join(ENCODERS)}")
            return cls(*_restored(weights, header), encoder, storage.restore_history(header.get("history")))
        except (XMSGLError, RuntimeError, KeyError) as error:
            msg = f"{path} does not hold an aligner of records and texts: {error}; make one with align"
            raise CheckpointError(msg) from error


def _restored(weights: dict[str, Tensor], header: dict[str, Any]) -> tuple[Localizer, Projections]:
    parts: dict[str, dict[str, Tensor]] = {"localizer": {}, "projections": {}}
    for name, value in weights.items():
        part, _, inner = name.partition(".")
        parts[part][inner] = value
    network = EventNetwork(len(KINDS))
    network.load_state_dict(parts["localizer"])
    projections = Projections(
        parts["projections"]["mean"].numel(), parts["projections"]["text.1.weight"].shape[1]
    )
    projections.load_state_dict(parts["projections"])
    sensors = read_plain(tuple[int | str, ...], header.get("sensors"), "sensors")
    days, noise = read_plain(int, header.get("days"), "days"), read_plain(float, header.get("noise"), "noise")
    return Localizer(network, sensors, days, noise), projections
