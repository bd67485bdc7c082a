"""Where the data of a benchmark come from: the real Delaware, the simulated basin, or your own."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl import datasets
from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.evaluate import TEMPORAL_PROTOCOL, keep_fraction, water_year

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "SOURCES",
    "Source",
    "late_years",
    "open_source",
    "published_years",
    "register_source",
    "source_of",
]

Years = Mapping[str, tuple[tuple[int, int], ...]]
FINE = "water_temperature_fine"
_DRAWN = ("seed", "label_fraction")


@dataclass(frozen=True)
class Source:
    """A dataset that methods are compared on.

    Attributes
    ----------
    open
        Called with the arguments of the dataset; for a random one also with ``seed`` and
        ``label_fraction``.
    years
        Finds the water years of training, validation and test in the dataset.
    random
        Whether the dataset itself is drawn, so that every seed has another one.
    truth
        Variable ``(time, fine)`` to score against where the truth is known; None: the observations.
    hold_out_by
        Variable over ``fine`` whose values the spatial protocol draws; None, or where the dataset lacks it:
        it draws segments.
    defaults
        Arguments of `open` unless others are given.
    """

    open: Callable[..., xr.Dataset]
    years: Callable[[xr.Dataset], Years]
    random: bool = False
    truth: str | None = None
    hold_out_by: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Refuse arguments that `open` does not take, or that the benchmark gives itself.

        Raises
        ------
        InvalidArgumentError
            Naming them.
        """
        known = set(inspect.signature(self.open).parameters) - (set(_DRAWN) if self.random else set())
        if unknown := sorted(set(arguments) - known):
            there = ", ".join(sorted(known))
            msg = f"the dataset has no argument {', '.join(unknown)} to choose; it has {there}"
            raise InvalidArgumentError(msg)


def published_years(ds: xr.Dataset) -> Years:
    """Give the water years of Fan et al. (2025), whatever the dataset covers."""
    del ds
    return TEMPORAL_PROTOCOL


def late_years(ds: xr.Dataset) -> Years:
    """Give the last sixth of the water years to the test and as many before them to the validation."""
    years = np.unique(water_year(ds).values).tolist()
    if len(years) < 3:
        msg = (
            f"the dataset covers water years {years}; training, validation and test need one each, "
            "so give at least three (years=3)"
        )
        raise InvalidArgumentError(msg)
    late = max(1, len(years) // 6)
    return {
        "train": ((years[0], years[-2 * late - 1]),),
        "validation": ((years[-2 * late], years[-late - 1]),),
        "test": ((years[-late], years[-1]),),
    }


SOURCES: dict[str, Source] = {
    "delaware": Source(
        datasets.delaware, published_years, hold_out_by="subsegment_fine", defaults={"forcing": "era5"}
    ),
    "simulated": Source(datasets.simulated, late_years, random=True, truth="true_temperature_fine"),
}
"""Sources by name."""


def register_source(name: str, source: Source) -> None:
    """Add a dataset of your own to those that can be named.

    With more than one process it must be registered where each of them imports it.

    Examples
    --------
    >>> from xmsgl import datasets
    >>> register_source("small", Source(lambda: datasets.simulated(n_coarse=4), late_years))
    >>> SOURCES.pop("small").random
    False
    """
    SOURCES[name] = source
    _open.cache_clear()


def source_of(name: str) -> Source:
    """Find a source, or say which there are."""
    if name not in SOURCES:
        raise UnknownNameError("dataset", name, SOURCES)
    return SOURCES[name]


def open_source(
    name: str, arguments: Mapping[str, Any], *, fraction: float | None = None, draw: int = 0
) -> xr.Dataset:
    """Open a source with a part of its fine labels."""
    everything = dict(arguments)
    if source_of(name).random:
        everything |= {"seed": draw} | ({} if fraction is None else {"label_fraction": fraction})
    return _open(name, json.dumps(everything, sort_keys=True))


# Runs that follow each other mostly share their dataset.
@lru_cache(maxsize=1)
def _open(name: str, arguments: str) -> xr.Dataset:
    return source_of(name).open(**json.loads(arguments))


def thin(ds: xr.Dataset, fraction: float | None, draw: int) -> xr.Dataset:
    """Keep a random fraction of the fine labels that are left, and all coarse ones."""
    if fraction is None or fraction >= 1 or FINE not in ds:
        return ds
    return ds.assign({FINE: keep_fraction(ds[FINE], fraction, draw)})
