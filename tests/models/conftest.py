"""Fixtures for the model tests."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def rng_state():
    return np.random.default_rng(20250701)
