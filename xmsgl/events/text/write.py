"""Short English texts about events, in several wordings."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from string import Formatter
from typing import NamedTuple

import numpy as np
import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.events.text.facts import read_facts
from xmsgl.schema.arrays import sound_dataset
from xmsgl.util.arguments import checked

__all__ = ["Family", "bulletins", "families"]


class Family(NamedTuple):
    """One way to word the facts."""

    held_out: bool
    sentences: tuple[str, ...]
    figures: str
    phrases: dict[str, dict[str, tuple[str, ...]]]  # fact -> value -> synonyms


@cache
def families() -> dict[str, Family]:
    """Return the families of wordings by name."""
    text = resources.files("xmsgl.events.text").joinpath("wordings.toml").read_text(encoding="utf-8")
    read = {}
    for name, table in tomllib.loads(text).items():
        phrases = {
            fact: {value: tuple(words) for value, words in values.items()}
            for fact, values in table.items()
            if isinstance(values, dict)
        }
        read[name] = Family(table["held_out"], tuple(table["sentences"]), table["figures"], phrases)
    return read


@checked
def bulletins(
    events: xr.Dataset,
    obj: xr.Dataset | xr.DataTree,
    *,
    seed: int = 0,
    family: str | None = None,
    ids: bool = True,
) -> xr.DataArray:
    """Write a short English bulletin about each event.

    A bulletin says the kind of the event, whether it warms or cools, how much, for how long and with which
    course, the season, how many sensors saw it, and where its source lies: headwater or main stem, drainage
    area, elevation and distance to the outlet, as thirds of the basin. The words differ between six families,
    and within each by synonyms drawn with `seed`.

    Parameters
    ----------
    events
        As from :func:`xmsgl.events.simulate`, with the truth.
    obj
        The dataset of the river, with ``length_fine`` (m) and ``drainage_area_fine`` (km2); elevation is
        named if it has ``elevation_fine``.
    seed
        Seed of families and synonyms.
    family
        ``"notice"``, ``"log"``, ``"press"``, ``"study"``; ``"letter"`` and ``"briefing"`` are for tests: they
        are never drawn. None draws one of the first four for each event.
    ids
        Whether a last sentence gives the reach id, the date, the days and the heat in MW. Without it a
        bulletin has neither ids nor digits.

    Returns
    -------
    xarray.DataArray
        ``bulletin`` (event), with the coordinate ``family``.

    Raises
    ------
    InvalidArgumentError
        The family is unknown, a kind is unknown, or the events are of another dataset.
    InvalidDatasetError
        The events or the dataset lack a variable.

    Examples
    --------
    >>> import xmsgl
    >>> from xmsgl.events import simulate
    >>> ds = xmsgl.datasets.simulated(n_coarse=6, years=2)
    >>> texts = bulletins(simulate(ds, n=3, sensors=0.2), ds, family="log", ids=False)
    >>> texts.values[0].startswith("Cause: ")
    True
    """
    ds = sound_dataset(obj, sizes=True)
    known = families()
    if family is not None and family not in known:
        raise InvalidArgumentError(f"family={family!r} is not one of {', '.join(known)}")
    if seed < 0:
        raise InvalidArgumentError(f"seed={seed} must be at least 0")
    facts = read_facts(events, ds)
    rng = np.random.default_rng(seed)
    common = [name for name, each in known.items() if not each.held_out]
    chosen, texts = [], []
    for k, figures in enumerate(facts.figures):
        name = family or str(rng.choice(common))
        said = {fact: str(values[k]) for fact, values in facts.words.items() if values[k]}
        texts.append(_write(known[name], said, figures if ids else None, rng))
        chosen.append(name)
    about = {"long_name": "bulletin about the event"}
    names = ("event", np.array(chosen, dtype=str))
    return xr.DataArray(np.array(texts, dtype=object), {"family": names}, ("event",), "bulletin", about)


def _write(
    family: Family, said: dict[str, str], figures: dict[str, str] | None, rng: np.random.Generator
) -> str:
    """Fill the sentences of a family, except those about facts that are not known."""
    phrases = {
        fact: str(rng.choice(family.phrases[fact][value]))
        for fact, value in said.items()  # every fact draws, so that equal seeds give equal synonyms
    }
    sentences = [
        sentence.format(**phrases)
        for sentence in family.sentences
        if all(slot is None or slot in said for _, slot, _, _ in Formatter().parse(sentence))
    ]
    if figures is not None:
        sentences.append(family.figures.format(**figures))
    return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)
