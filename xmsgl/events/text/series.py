"""What a trained network knows of an event from its record, as one vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from xmsgl.events.localizer import bound, need_sensors_of
from xmsgl.events.records import read_records
from xmsgl.events.river import HeatedRiver
from xmsgl.events.text.facts import place_ranks

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from xmsgl.events.localizer import Localizer

__all__ = ["series_features"]

_BATCH = 32
_YEAR = 365.25


def series_features(localizer: Localizer, events: xr.Dataset, ds: xr.Dataset) -> NDArray[np.float32]:
    """Describe records, without the truth, by the latent state of a network that locates events.

    Beside the latent state: magnitude, first day, the ranks of the probable sources in the basin by
    drainage area, distance and elevation, and the season of the estimated first day, as sine and cosine.
    """
    river = HeatedRiver.of(ds)
    records = read_records(events, river)
    need_sensors_of(localizer, events)
    ranks = torch.from_numpy(place_ranks(ds)).float()
    run, rows = bound(localizer, river), []
    localizer.network.eval()
    with torch.no_grad():
        for batch in np.array_split(np.arange(records.first.size), -(-records.first.size // _BATCH)):
            found = run(torch.from_numpy(records.residual[batch]), records.first[batch])
            share = torch.softmax(found.source, dim=1)
            size = torch.stack([found.magnitude, found.onset], dim=1)
            onset = records.first[batch] + found.onset.numpy() * localizer.days
            season = torch.from_numpy(_season(river.days, onset))
            rows.append(torch.cat([found.latent, size, share @ ranks, season], dim=1).numpy())
    return np.asarray(np.concatenate(rows), dtype=np.float32)


def _season(days: pd.DatetimeIndex, place: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return sine and cosine of the day of the year at positions among days."""
    at = np.clip(place.round().astype(np.int64), 0, days.size - 1)
    angle = 2 * np.pi * days[at].day_of_year.to_numpy() / _YEAR
    return np.stack([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)
