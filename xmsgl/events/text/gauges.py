"""Short English texts about gauges that read too high or too low."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from numpy.typing import NDArray

__all__ = ["BIASES", "Wording", "gauge_bulletins", "wordings"]

#: Smallest and largest bias that bulletins have words for, degC.
BIASES = (0.25, 2.25)
_HALVES = ("half", "one", "one_half", "two")
_VAGUE = (("little", 0.8), ("medium", 1.5), ("much", np.inf))  # up to which bias, degC
_PLAIN = 0.7  # share of the bulletins with a size to the nearest half degree


class Wording(NamedTuple):
    """One way to word a bias."""

    held_out: bool
    sentences: dict[str, tuple[str, ...]]  # "high" and "low"
    sizes: dict[str, tuple[str, ...]]  # size -> synonyms
    asides: tuple[str, ...]


@cache
def wordings() -> dict[str, Wording]:
    """Return the families of wordings by name."""
    text = resources.files("xmsgl.events.text").joinpath("gauges.toml").read_text(encoding="utf-8")
    read = {}
    for name, table in tomllib.loads(text).items():
        sentences = {way: tuple(table[way]) for way in ("high", "low")}
        sizes = {size: tuple(phrases) for size, phrases in table["size"].items()}
        read[name] = Wording(table["held_out"], sentences, sizes, tuple(table["asides"]))
    return read


@checked
def gauge_bulletins(
    biases: Mapping[Hashable, float], *, seed: int = 0, family: str | None = None
) -> xr.DataArray:
    """Write a short English bulletin about each gauge that reads too high or too low.

    A bulletin names the gauge by its id, and says the direction and the size of its bias in words: to the
    nearest half degree in seven of ten, vaguely in the others ("slightly", "clearly", "far"). A second
    sentence says nothing about the bias. The words differ between families, and within each by synonyms drawn
    with `seed`.

    Parameters
    ----------
    biases
        Ids of gauges, each with its bias: reading minus truth, degC, 0.25 to 2.25 or -2.25 to -0.25.
    seed
        Seed of families, synonyms and of what is said vaguely.
    family
        ``"notice"``, ``"log"``, ``"press"``, ``"study"``, ``"forum"`` or ``"certificate"``; None draws one of
        these for each gauge. Three are for tests and never drawn: ``"letter"`` and ``"briefing"`` in other
        words, ``"turned"`` on how the river differs from the gauge, or what to add to its record.

    Returns
    -------
    xarray.DataArray
        ``bulletin`` (gauge), with the ids and the coordinate ``family``.

    Raises
    ------
    InvalidArgumentError
        There is no gauge, a bias is out of range, or the family is unknown.

    Examples
    --------
    >>> print(gauge_bulletins({14: -0.9}, family="log", seed=1).item())
    Sensor 14 reading low, error one kelvin. Compared with reference bath.
    """
    known = wordings()
    if family is not None and family not in known:
        raise InvalidArgumentError(f"family={family!r} is not one of {', '.join(known)}")
    if seed < 0:
        raise InvalidArgumentError(f"seed={seed} must be at least 0")
    if not biases:
        raise InvalidArgumentError("biases is empty; give the bias of one or more gauges, {id: degC}")
    for gauge, bias in biases.items():
        if not BIASES[0] <= abs(bias) <= BIASES[1]:
            msg = f"the bias of gauge {gauge}, {bias} degC, must be {BIASES[0]} to {BIASES[1]}, or minus that"
            raise InvalidArgumentError(msg)
    rng = np.random.default_rng(seed)
    common = [name for name, each in known.items() if not each.held_out]
    names = [family or str(rng.choice(common)) for _ in biases]
    texts = [
        _write(known[name], str(gauge), float(bias), rng)
        for name, (gauge, bias) in zip(names, biases.items(), strict=True)
    ]
    coords = {"gauge": _ids(biases), "family": ("gauge", np.array(names, dtype=str))}
    about = {"long_name": "bulletin about the gauge"}
    return xr.DataArray(np.array(texts, dtype=object), coords, ("gauge",), "bulletin", about)


def _write(wording: Wording, gauge: str, bias: float, rng: np.random.Generator) -> str:
    """Fill one of the sentences, and add an aside."""
    size = _HALVES[int(np.clip(round(abs(bias) * 2), 1, 4)) - 1]
    if rng.random() > _PLAIN:
        size = next(name for name, most in _VAGUE if abs(bias) < most)
    sentence = str(rng.choice(wording.sentences["high" if bias > 0 else "low"]))
    said = sentence.format(gauge=gauge, size=str(rng.choice(wording.sizes[size])))
    return f"{said} {rng.choice(wording.asides)}"


def _ids(biases: Mapping[Hashable, float]) -> tuple[str, NDArray[Any]]:
    """Return the ids as a coordinate."""
    ids = np.empty(len(biases), dtype=object)
    ids[:] = list(biases)
    return "gauge", np.array(ids.tolist()) if all(isinstance(each, str | int) for each in ids) else ids
