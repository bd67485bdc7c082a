"""Compiled loops: the error at a place and day, given the errors of the nearest sensors on days around.

Imported late, because Numba takes a second to import. The tests compare them with dense linear algebra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

compiled: Callable[[Any], Any] = njit(cache=True, nogil=True)

#: Days before the last day with an error on which errors of the nearest sensors are read, or the next ones
#: before, if there are any; in the same way after the next day with an error.
OFFSETS = np.array([0, 1, 3, 9, 27])
#: Sensors read for a place; the first ones on all offsets, the others on the nearest days only.
SENSORS, WITH_OFFSETS = 8, 2
#: Largest number of errors read for a place and day.
MOST = WITH_OFFSETS * (2 * OFFSETS.size - 1) + (SENSORS - WITH_OFFSETS) * 3
_SMALL = 1e-6  # degC2, keeps the matrix positive definite


@compiled
def nearest_days(errors: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the last day with an error up to each day, or -1, and the first from it on, (sensor, day)."""
    days, sensors = errors.shape
    last = np.empty((sensors, days), np.int32)
    following = np.empty((sensors, days), np.int32)
    for k in range(sensors):
        found = -1
        for t in range(days):
            if not np.isnan(errors[t, k]):
                found = t
            last[k, t] = found
        found = days
        for t in range(days - 1, -1, -1):
            if not np.isnan(errors[t, k]):
                found = t
            following[k, t] = found
    return last, following


@compiled
def add_earlier(
    last: NDArray[np.int32],
    t: int,
    until: int,
    limit: int,
    gap: int,
    offsets: int,
    day: NDArray[np.int64],
    n: int,
) -> int:
    """Add days up to `t` and `until` on which a sensor has an error, (day,), to the `n` in `day`."""
    begin = n
    at = min(t, until)
    for o in range(offsets):
        if n > begin:
            at = day[begin] - OFFSETS[o]
        found = last[at] if at >= 0 else -1
        if found >= t - gap:
            found = last[t - gap - 1] if t > gap else -1
        if found < 0 or t - found > limit:
            break
        if n == begin or day[n - 1] != found:
            day[n] = found
            n += 1
    return n


@compiled
def add_later(
    following: NDArray[np.int32],
    t: int,
    until: int,
    limit: int,
    gap: int,
    offsets: int,
    day: NDArray[np.int64],
    n: int,
) -> int:
    """Add days after `t` and up to `until` on which a sensor has an error, (day,), to the `n` in `day`."""
    begin, days, at = n, following.size, t + 1
    for o in range(offsets - 1):
        if n > begin:
            at = day[begin] + OFFSETS[o]
        found = following[at] if at < days else days
        if found <= t + gap:
            found = following[t + gap + 1] if t + gap + 1 < days else days
        if found > until or found >= days or found - t > limit:
            break
        if n == begin or day[n - 1] != found:
            day[n] = found
            n += 1
    return n


@compiled
def collect(
    last: NDArray[np.int32],
    following: NDArray[np.int32],
    candidates: NDArray[np.int64],
    t: int,
    until: int,
    limit: int,
    hidden: int,
    gap: int,
    segment: NDArray[np.int64],
    place: NDArray[np.int64],
    day: NDArray[np.int64],
) -> int:
    """Write candidate number and day of the errors to read for day `t`; return how many.

    Days after `until` are not read. Sensors of the segment `hidden` are not read within `gap` days of `t`, or
    on no day if `gap` is negative.
    """
    n, used = 0, 0
    for c in range(candidates.size):
        k = candidates[c]
        own = segment[k] == hidden
        if used == SENSORS:
            break
        if own and gap < 0:
            continue
        begin, offsets = n, OFFSETS.size if used < WITH_OFFSETS else 2
        # Without a gap, no day is within -1 days of another.
        around = gap if own else -1
        n = add_earlier(last[k], t, until, limit, around, offsets, day, n)
        n = add_later(following[k], t, until, limit, around, offsets, day, n)
        place[begin:n] = c
        used += n > begin
    return n


@compiled
def factor(
    n: int,
    place: NDArray[np.int64],
    lag: NDArray[np.int64],
    candidates: NDArray[np.int64],
    river: NDArray[np.float64],
    land: NDArray[np.float64],
    to_river: NDArray[np.float64],
    to_land: NDArray[np.float64],
    itself: int,
    shares: NDArray[np.float64],
    decay: NDArray[np.float64],
    root: NDArray[np.float64],
    row: NDArray[np.float64],
) -> float:
    """Write the Cholesky factor of the errors read, and its row of the place; return the variance left there.

    `shares` has a row for the slow and the fast part (variance, along the river, across land) and the noise;
    `decay` their correlation in time by lag; `river` and `land` are correlations between sensors, `to_river`
    and `to_land` between the candidates and the place, which is the sensor `itself`, or none if -1.
    """
    noise, variance = shares[2, 0], shares[0, 0] + shares[1, 0]
    for i in range(n):
        k = candidates[place[i]]
        for j in range(i + 2):
            # Column j < i + 1: covariance with the error j; after them: with the place itself.
            if j <= i:
                other = candidates[place[j]]
                near, far, same, days = river[k, other], land[k, other], k == other, abs(lag[i] - lag[j])
            else:
                near, far, same, days = to_river[place[i]], to_land[place[i]], k == itself, abs(lag[i])
            total = noise + _SMALL if j == i else 0.0
            for p in range(2):
                alone = 1.0 - shares[p, 1] - shares[p, 2] if same else 0.0
                mixed = shares[p, 1] * near + shares[p, 2] * far + alone
                total += shares[p, 0] * decay[p, days] * mixed
            if j <= i:
                for q in range(j):
                    total -= root[i, q] * root[j, q]
                root[i, j] = np.sqrt(total) if i == j else total / root[j, j]
            else:
                for q in range(i):
                    total -= root[i, q] * row[q]
                row[i] = total / root[i, i]
        variance -= row[i] * row[i]
    left: float = max(variance, 0.0)
    return left


@compiled
def expected(
    n: int,
    place: NDArray[np.int64],
    day: NDArray[np.int64],
    candidates: NDArray[np.int64],
    errors: NDArray[np.float32],
    root: NDArray[np.float64],
    row: NDArray[np.float64],
    solved: NDArray[np.float64],
) -> float:
    """Return the mean of the error at a place, by the factor and row of :func:`factor`."""
    mean = 0.0
    for i in range(n):
        value = float(errors[day[i], candidates[place[i]]])
        for q in range(i):
            value -= root[i, q] * solved[q]
        solved[i] = value / root[i, i]
        mean += row[i] * solved[i]
    return mean


@compiled
def krige(
    errors: NDArray[np.float32],
    last: NDArray[np.int32],
    following: NDArray[np.int32],
    segment: NDArray[np.int64],
    river: NDArray[np.float64],
    land: NDArray[np.float64],
    candidates: NDArray[np.int64],
    to_river: NDArray[np.float64],
    to_land: NDArray[np.float64],
    itself: NDArray[np.int64],
    target: NDArray[np.int64],
    day: NDArray[np.int64],
    until: NDArray[np.int64],
    limit: int,
    hidden: NDArray[np.int64],
    gap: NDArray[np.int64],
    shares: NDArray[np.float64],
    decay: NDArray[np.float64],
    mean: NDArray[np.float32],
    variance: NDArray[np.float32],
) -> None:
    """Write mean and variance of the error at each target and day.

    The factor of a day is kept for the next one if its errors lie on the same sensors and lags.
    """
    place, when, lag = np.empty(MOST, np.int64), np.empty(MOST, np.int64), np.empty(MOST, np.int64)
    known_place, known_lag = np.empty(MOST, np.int64), np.empty(MOST, np.int64)
    root, row, solved = np.empty((MOST, MOST)), np.empty(MOST), np.empty(MOST)
    known, left = -1, 0.0
    for s in range(target.size):
        i, t = target[s], day[s]
        n = collect(
            last, following, candidates[i], t, until[s], limit, hidden[s], gap[s], segment, place, when
        )
        same = n == known and s > 0 and i == target[s - 1]
        for k in range(n):
            lag[k] = when[k] - t
            same = same and place[k] == known_place[k] and lag[k] == known_lag[k]
        if not same:
            left = factor(
                n,
                place,
                lag,
                candidates[i],
                river,
                land,
                to_river[i],
                to_land[i],
                itself[i],
                shares,
                decay,
                root,
                row,
            )
            known, known_place[:n], known_lag[:n] = n, place[:n], lag[:n]
        mean[s] = expected(n, place, when, candidates[i], errors, root, row, solved)
        variance[s] = left
