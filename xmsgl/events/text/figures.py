"""The figures that a text states about an event: a date, a duration and a heat input."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["FIGURES", "read_figures"]

FIGURES = 7  # numbers of a text
_YEAR = 365.25
_MOST = 1e15  # of days or watts; more is a slip of the pen
_NUMBER = r"(?<![\w.,-])(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = rf"({'|'.join(_MONTHS)})[a-z]*\.?"
_DATES = (
    (re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b"), (0, 1, 2)),
    (re.compile(rf"\b(\d\d?)(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH},?\s+(\d{{4}})\b", re.I), (2, 1, 0)),
    (re.compile(rf"\b{_MONTH}\s+(\d\d?)(?:st|nd|rd|th)?,?\s+(\d{{4}})\b", re.I), (2, 0, 1)),
)
# A unit, and the factor by its first letter. Without W alone, which may be a longitude.
_DAYS = r"((?i:days?|d|weeks?))", {"d": 1.0, "w": 7.0}
_WATTS = r"([kMG]W|(?i:(?:kilo|mega|giga)watts?))", {"k": 1e3, "m": 1e6, "g": 1e9}


def read_figures(texts: Sequence[str]) -> NDArray[np.float32]:
    """Describe the figures of texts, (text, 7).

    The first date, number of days or weeks, and heat in kW, MW or GW of a text count, each as whether
    it is there and what it says: sine and cosine of the day of the year; the logarithm of the days; the
    logarithm of the heat. What is not stated, or is no date, is 0.
    """
    return np.array([_read(text) for text in texts], dtype=np.float32).reshape(-1, FIGURES)


def _read(text: str) -> list[float]:
    day, days, watts = _date(text), _quantity(text, _DAYS), _quantity(text, _WATTS)
    angle = 0.0 if day is None else 2 * np.pi * day.timetuple().tm_yday / _YEAR
    when = [0.0, 0.0, 0.0] if day is None else [1.0, np.sin(angle), np.cos(angle)]
    long = [0.0, 0.0] if days is None else [1.0, np.log(days / 5)]
    much = [0.0, 0.0] if watts is None else [1.0, np.log10(watts / 1e7)]
    return [*when, *long, *much]


def _date(text: str) -> date | None:
    """Return the first date of the first form that has one."""
    for form, order in _DATES:
        for match in form.finditer(text):
            year, month, day = (match[1 + k] for k in order)
            name = month[:3].lower()
            try:
                return date(int(year), _MONTHS.index(name) + 1 if name in _MONTHS else int(month), int(day))
            except ValueError:  # such as 2009-02-31
                continue
    return None


def _quantity(text: str, unit: tuple[str, dict[str, float]]) -> float | None:
    """Return the first number before a unit, as in ``5 days``, or after it, as in ``d=5``."""
    name, factors = unit
    before = re.search(rf"{_NUMBER}[\s-]?{name}\b", text)
    after = re.search(rf"\b{name}\s*[=:]\s*{_NUMBER}", text)
    found = [(match.start(), match) for match in (before, after) if match]
    if not found:
        return None
    first = min(found)[1]
    number, letter = (first[1], first[2][0]) if first is before else (first[2], first[1][0])
    value = float(number.replace(",", "")) * factors[letter.lower()]
    return value if 0 < value < _MOST else None
