"""What neighbours say, against a plain double loop."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import xarray as xr

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.neighbours import Neighbours, check_lengths, neighbour_features
from xmsgl.inputs.neighbours_fit import assign_neighbours
from xmsgl.util.plain import read_plain

LENGTHS = (5e3, 2e4)
# Ways between the middles of the small river's segments, km, measured on paper: 101 and 102 join in 103,
# 103 and 104 in 105; they are 9, 8, 12, 7 and 15 km long.
APART = {
    (101, 102): 8.5,
    (101, 103): 10.5,
    (101, 104): 4.5 + 12 + 3.5,
    (101, 105): 4.5 + 12 + 7.5,
    (102, 103): 10.0,
    (102, 104): 4 + 12 + 3.5,
    (102, 105): 4 + 12 + 7.5,
    (103, 104): 9.5,
    (103, 105): 13.5,
    (104, 105): 11.0,
}


def apart(a, b):
    return 1e3 * APART[min(a, b), max(a, b)]


@pytest.fixture
def known():
    return Neighbours(
        LENGTHS, (101, 102, 104), (1.0, -2.0, 0.5), (3.0, -4.0, 1.5), (-1.0, 0.0, -0.5), (500, 30, 2000)
    )


def by_loops(known, segments):
    """The features of each segment from the definition, one number at a time."""
    rows = []
    for segment in segments:
        row = []
        for length in known.lengths:
            sums, support = [0.0, 0.0, 0.0], 0.0
            for k, other in enumerate(known.segments):
                if (other == segment) != (length == 0) or (length and apart(segment, other) > 5 * length):
                    continue
                near = np.exp(-apart(segment, other) / length) if length else 1.0
                weight = near * known.days[k] / (known.days[k] + 60)
                support += weight
                for season, values in enumerate((known.mean, known.warm, known.cold)):
                    sums[season] += weight * values[k]
            row += [*(total / (support + 0.3) for total in sums), support]
        rows.append(row)
    return np.array(rows)


def table(ds, known):
    """The features of the segments of a dataset, (segment, feature)."""
    given = assign_neighbours(ds, known)
    return np.column_stack([given[f"{name}_coarse"] for name in neighbour_features(known.lengths)])


# ----------------------------------------------------------------- features of known anomalies


def test_features_are_those_of_a_plain_loop(river, known):
    expected = by_loops(known, river.coarse.values)
    np.testing.assert_allclose(table(river, known), expected, rtol=1e-5)
    assert np.ptp(expected, axis=0).min() > 0.05


@pytest.mark.parametrize("lengths", [(0.0,), (0.0, *LENGTHS), (2e4, 0.0)], ids=str)
def test_a_length_of_zero_is_the_segment_itself(river, known, lengths):
    own = replace(known, lengths=lengths)
    expected = by_loops(own, river.coarse.values)
    np.testing.assert_allclose(table(river, own), expected, rtol=1e-5)
    first = 4 * lengths.index(0.0)
    np.testing.assert_array_equal(expected[:, first + 3] > 0, np.isin(river.coarse, known.segments))


def test_own_observations_are_not_used(river, known):
    """Another anomaly at 101 and another number of days: its own features stay, all others change."""
    other = replace(
        known, mean=(9.0, -2.0, 0.5), warm=(9.0, -4.0, 1.5), cold=(9.0, 0, -0.5), days=(10, 30, 2000)
    )
    before, after = table(river, known), table(river, other)
    np.testing.assert_array_equal(before[0], after[0])
    assert (before[1:] != after[1:]).all()


def test_far_from_all_there_is_nothing(river, known):
    short = replace(known, lengths=(100.0,))
    np.testing.assert_array_equal(table(river, short), 0)
    elsewhere = river.assign_coords(coarse=river.coarse + 1000)
    for name in ("downstream_coarse", "coarse_segment"):
        elsewhere[name] = river[name].where(river[name] == 0, river[name] + 1000)
    np.testing.assert_array_equal(table(elsewhere, known), 0)


def test_a_part_of_the_river_uses_the_observed_segments_in_it(river, known):
    part = river.isel(coarse=[0, 1, 2])
    part["downstream_coarse"] = "coarse", [103, 103, 0]
    only = Neighbours(LENGTHS, (101, 102), known.mean[:2], known.warm[:2], known.cold[:2], known.days[:2])
    np.testing.assert_allclose(table(part, known), by_loops(only, part.coarse.values), rtol=1e-5)


def test_ids_may_be_text(river, known):
    text = river.assign_coords(coarse=[f"s{i}" for i in river.coarse.values])
    text["downstream_coarse"] = "coarse", ["s103", "s103", "s105", "s105", ""]
    named = replace(known, segments=("s101", "s102", "s104"))
    np.testing.assert_array_equal(table(text, named), table(river, known))


def test_they_are_static_features_that_reaches_inherit(river, known):
    given = assign_neighbours(river, known)
    names = list(neighbour_features(LENGTHS))
    assert names[3:6] == ["neighbour_5km_support", "neighbour_20km_mean", "neighbour_20km_warm"]
    assert set(names) <= set(schema.statics(given))
    assert not set(names) & set(schema.statics(river))
    schema.validate(given)
    warm = schema.fine_values(given, "neighbour_5km_warm")
    np.testing.assert_array_equal(warm, given.neighbour_5km_warm_coarse.sel(coarse=river.coarse_segment))


def test_nothing_known_changes_nothing(river):
    assert assign_neighbours(river, None) is river


def test_lazy_stays_lazy(river, known, refuse_to_compute):
    with refuse_to_compute():
        lazy = assign_neighbours(river.chunk(coarse=2), known)
    assert lazy.neighbour_5km_warm_coarse.chunks is not None
    xr.testing.assert_identical(lazy.compute(), assign_neighbours(river, known))


def test_survives_json(known):
    assert read_plain(Neighbours, json.loads(json.dumps(asdict(known))), "neighbours") == known


@pytest.mark.parametrize(
    "lengths", [5000, "5000", [0, 0.0], [-1.0], [float("inf")], [True], [5000, 5000.0], ["far"]], ids=str
)
def test_lengths_are_checked(lengths):
    with pytest.raises(InvalidArgumentError, match="different lengths along the river in m"):
        check_lengths(lengths)
