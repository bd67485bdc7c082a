"""Honest scores: metrics, splits, and the references to beat."""

from __future__ import annotations

from xmsgl.evaluate.alike import analogues, regimes
from xmsgl.evaluate.basins import leave_one_basin_out
from xmsgl.evaluate.metrics import score
from xmsgl.evaluate.placement import next_sensors
from xmsgl.evaluate.probabilistic import coverage, crps, pinball
from xmsgl.evaluate.references.pooled import air_temperature_regression, climatology
from xmsgl.evaluate.sensors import check_sensors
from xmsgl.evaluate.splits import (
    TEMPORAL_PROTOCOL,
    hold_out_segments,
    keep_fraction,
    mask_labels,
    split_years,
    temporal_split,
    water_year,
)
from xmsgl.evaluate.table import SkillTable, compare, skill_table
from xmsgl.evaluate.thermal import indices
from xmsgl.evaluate.variance import variance_decomposition

__all__ = [
    "TEMPORAL_PROTOCOL",
    "SkillTable",
    "air_temperature_regression",
    "analogues",
    "check_sensors",
    "climatology",
    "compare",
    "coverage",
    "crps",
    "hold_out_segments",
    "indices",
    "keep_fraction",
    "leave_one_basin_out",
    "mask_labels",
    "next_sensors",
    "pinball",
    "regimes",
    "score",
    "skill_table",
    "split_years",
    "temporal_split",
    "variance_decomposition",
    "water_year",
]
