from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsgl.errors import InvalidArgumentError
from xmsgl.simulate import sensor_days


def calendar(days: int) -> np.ndarray:
    return 1 + (272 + np.arange(days)) % 365


@settings(max_examples=60, deadline=None)
@given(
    days=st.integers(1, 900),
    places=st.integers(1, 30),
    share=st.floats(0, 1),
    sites=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_the_number_is_met_exactly(days: int, places: int, share: float, sites: int, seed: int) -> None:
    wanted = round(share * days * places)
    mask = sensor_days(calendar(days), places, wanted, sites, np.random.default_rng(seed))
    assert mask.shape == (days, places)
    assert mask.sum() == wanted
    used = int(mask.any(axis=0).sum())
    assert used <= max(sites, -(-wanted // days))
    if wanted >= sites and sites <= places and wanted <= sites * days:
        assert used == sites


def test_labels_come_in_runs() -> None:
    mask = sensor_days(calendar(2190), 300, 6000, 20, np.random.default_rng(0))
    starts = (np.diff(mask.astype(int), axis=0) == 1).sum() + mask[0].sum()
    assert mask.sum() / starts > 60


def test_more_are_seen_in_summer() -> None:
    day = calendar(3650)
    mask = sensor_days(day, 400, 30_000, 100, np.random.default_rng(0))
    summer = (day > 150) & (day < 270)
    assert mask[summer].mean() > 1.3 * mask[~summer].mean()


def test_no_label_no_site() -> None:
    assert not sensor_days(calendar(10), 3, 0, 2, np.random.default_rng(0)).any()


@pytest.mark.parametrize("wanted", [-1, 31], ids=["negative", "too-many"])
def test_faults(wanted: int) -> None:
    with pytest.raises(InvalidArgumentError, match="do not fit on 3 places x 10 days"):
        sensor_days(calendar(10), 3, wanted, 2, np.random.default_rng(0))
