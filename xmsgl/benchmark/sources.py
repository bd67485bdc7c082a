"""The datasets of a benchmark: those of the package, or your own."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl import datasets
from xmsgl.errors import InvalidArgumentError
from xmsgl.evaluate import TEMPORAL_PROTOCOL, keep_fraction, water_year
from xmsgl.util.arguments import check_fields, checked
from xmsgl.util.plain import brief
from xmsgl.util.registry import Registry

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "SOURCES",
    "Source",
    "late_years",
    "open_source",
    "published_years",
    "register_source",
    "yakima_years",
]

Years = Mapping[str, tuple[tuple[int, int], ...]]
COARSE, FINE = "water_temperature_coarse", "water_temperature_fine"
_DRAWN = ("seed", "label_fraction")


@dataclass(frozen=True)
class Source:
    """A dataset that methods are compared on.

    Attributes
    ----------
    open
        Called with the arguments of the dataset, and for a random one also with ``seed`` and
        ``label_fraction``.
    years
        Function from the dataset to the water years of training, validation and test.
    random
        Whether the dataset itself is random: every draw gives another one.
    truth
        Variable ``(time, fine)`` to score against where the truth is known; None: the observations.
    hold_out_by
        Variable over ``fine`` whose values the spatial protocol draws. Segments are drawn if it is None or
        missing in the dataset.
    defaults
        Default arguments of `open`.
    """

    open: Callable[..., xr.Dataset]
    years: Callable[[xr.Dataset], Years]
    random: bool = False
    truth: str | None = None
    hold_out_by: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Refuse arguments that `open` does not have, or that the benchmark sets."""
        known = set(inspect.signature(self.open).parameters) - (set(_DRAWN) if self.random else set())
        if unknown := sorted(set(arguments) - known):
            msg = (
                f"the dataset has no argument {', '.join(unknown)} to set; it has {', '.join(sorted(known))}"
            )
            raise InvalidArgumentError(msg)


def published_years(ds: xr.Dataset) -> Years:
    """Return the water years of Fan et al. (2025)."""
    del ds
    return TEMPORAL_PROTOCOL


def late_years(ds: xr.Dataset) -> Years:
    """Return the last sixth of the water years for the test, and as many before for the validation."""
    years = np.unique(water_year(ds).values).tolist()
    if len(years) < 3:
        msg = (
            f"the dataset has the water years {years}; training, validation and test need one each, "
            "so give at least three (years=3)"
        )
        raise InvalidArgumentError(msg)
    late = max(1, len(years) // 6)
    return {
        "train": ((years[0], years[-2 * late - 1]),),
        "validation": ((years[-2 * late], years[-late - 1]),),
        "test": ((years[-late], years[-1]),),
    }


def yakima_years(ds: xr.Dataset) -> Years:
    """Return the water years of the Yakima; observations end with that of 2008."""
    del ds
    return {"train": ((2004, 2006),), "validation": ((2007, 2007),), "test": ((2008, 2008),)}


SOURCES: Registry[Source] = Registry(
    "dataset",
    {
        "delaware": Source(
            datasets.delaware,
            published_years,
            hold_out_by="subsegment_fine",
            defaults={"forcing": "stations"},
        ),
        "simulated": Source(datasets.simulated, late_years, random=True, truth="true_temperature_fine"),
        "willamette": Source(datasets.willamette, late_years),
        "yakima": Source(datasets.yakima, yakima_years),
    },
)
"""Sources by name."""


@checked
def register_source(name: str, source: Source) -> None:
    """Register your own dataset under a name.

    With several processes, register it in a module that each of them imports.

    Parameters
    ----------
    name
        Name of the dataset in :func:`run`.
    source
        How to open and split it.

    Raises
    ------
    InvalidArgumentError
        `source` is not a :class:`Source`.

    Examples
    --------
    >>> from xmsgl import datasets
    >>> register_source("small", Source(lambda: datasets.simulated(n_coarse=4), late_years))
    >>> SOURCES.pop("small").random
    False
    """
    if not isinstance(source, Source):
        msg = f"source must be a Source, not {brief(source)}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    SOURCES[name] = source
    _open.cache_clear()


def open_source(
    name: str, arguments: Mapping[str, Any], *, fraction: float | None = None, draw: int = 0
) -> xr.Dataset:
    """Open a source; a random one with a fraction of its fine labels."""
    everything = dict(arguments)
    if SOURCES[name].random:
        everything |= {"seed": draw} | ({} if fraction is None else {"label_fraction": fraction})
    return _open(name, json.dumps(everything, sort_keys=True))


# Consecutive runs mostly share their dataset.
@lru_cache(maxsize=1)
def _open(name: str, arguments: str) -> xr.Dataset:
    return SOURCES[name].open(**json.loads(arguments))


def thin(ds: xr.Dataset, fraction: float | None, draw: int) -> xr.Dataset:
    """Keep a random fraction of the fine labels, and all coarse ones."""
    if fraction is None or fraction >= 1 or FINE not in ds:
        return ds
    return ds.assign({FINE: keep_fraction(ds[FINE], fraction, draw)})
