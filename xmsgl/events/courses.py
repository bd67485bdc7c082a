"""The course of heat that each record is most like, among those of all kinds of events.

A record is compared with every course, of every duration and from every first day, by its correlation with
the course: a matched filter [1]_. Courses are filtered as the records were, which is seen from the noise of
the sensors.

References
----------
.. [1] Turin (1960), An introduction to matched filters, doi:10.1109/TIT.1960.1057571.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from xmsgl.events.kinds import KINDS

__all__ = ["COURSE_FEATURES", "Course", "filtered", "find_course", "noise_of"]

_FORMS = list(dict.fromkeys(kind.profile for kind in KINDS.values()))
COURSE_FEATURES = 3 + len(_FORMS)
_LEAST = 0.35  # of the noise of training
_PASSED = 0.15  # power of the noise at a period, in units of it, from which on the period counts as kept


class Course(NamedTuple):
    """The course of heat that each record is most like."""

    heat: Tensor  # relative to its mean (event, day, sensor)
    kept: Tensor  # share of each period that the records keep (event, frequency, 1)
    features: Tensor  # first day, duration, how clear it is, and how like each form (event, sensor, 7)


def noise_of(residual: Tensor) -> Tensor:
    """Estimate the noise of each record by the median change from day to day, (event, 1, 1)."""
    with torch.no_grad():
        change = residual.diff(dim=1).abs().masked_fill((residual == 0).all(1, keepdim=True), torch.nan)
        middle = change.flatten(1).nanmedian(1).values.nan_to_num(1.0)
        return (middle / 0.954).clamp(_LEAST, 1 / _LEAST)[:, None, None]


def find_course(residual: Tensor, scale: Tensor) -> Course:
    """Find form, first day and duration by the correlation of each record with filtered courses."""
    with torch.no_grad():
        days, kept = residual.shape[1], _kept(residual, scale)
        heat, duration, form = _courses(days)
        heat, day = heat.to(residual.dtype), torch.arange(days)
        shape = torch.fft.rfft(heat, dim=1) * kept.transpose(1, 2)  # (event, course, frequency)
        norm = torch.fft.irfft(shape, n=days).square().sum(2).sqrt() + 1e-6
        spectrum = torch.fft.rfft((residual / scale).transpose(1, 2).contiguous())
        same = (shape.conj() / norm.unsqueeze(2)).unsqueeze(1)
        like = torch.fft.irfft(spectrum.unsqueeze(2) * same, n=days).abs()  # (event, sensor, course, day)
        like.masked_fill_(day + duration[:, None] > days, 0.0)
        clear, place = like.flatten(2).max(2)  # (event, sensor)
        course, first = place // days, place % days
        since = day[:, None] - first.unsqueeze(1)
        on = heat[course.unsqueeze(1).expand_as(since), since.clamp(min=0)] * (since >= 0)
        most = like.amax(3)
        forms = [most[:, :, form == k].amax(2) for k in range(len(_FORMS))]
        features = [first / days, duration[course].log2() / 5, clear.log1p()]
        features += [each / (clear + 1e-6) for each in forms]
        return Course(on, kept, torch.stack(features, dim=2))


def _kept(residual: Tensor, scale: Tensor) -> Tensor:
    """Estimate which periods a filter has left, by the noise of the sensors, (event, frequency, 1)."""
    power = torch.fft.rfft(residual / scale, dim=1).abs().square() / residual.shape[1]
    power = power.masked_fill((residual == 0).all(1, keepdim=True), torch.nan)
    middle = power.nanmedian(2, keepdim=True).values.nan_to_num(1.0)
    kept: Tensor = (middle / _PASSED).clamp(max=1.0).sqrt()
    return kept


def filtered(series: Tensor, kept: Tensor) -> Tensor:
    """Filter series (event, day, any) as the records were."""
    some = (kept < 1).flatten(1).any(1)
    if not some.any():
        return series
    found = series.clone()
    found[some] = torch.fft.irfft(torch.fft.rfft(series[some], dim=1) * kept[some], n=series.shape[1], dim=1)
    return found


@lru_cache(maxsize=8)
def _courses(days: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return courses of heat (course, day), the duration of each, and the number of its form."""
    found = {
        (duration, _FORMS.index(kind.profile)): kind.profile(duration)
        for kind in KINDS.values()
        for duration in range(kind.shortest, min(kind.longest, days) + 1)
    }
    heat = np.array([np.pad(each, (0, days - each.size)) for each in found.values()])
    duration, form = torch.tensor(list(found)).unbind(1)
    return torch.from_numpy(heat), duration, form
