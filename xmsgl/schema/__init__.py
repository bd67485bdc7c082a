"""The dataset convention: one Dataset with dimensions ``time``, ``coarse`` and ``fine``.

A variable's name ends with its scale (``air_temperature_coarse``); ``downstream_*`` and ``length_*`` are the
river networks, and ``coarse_segment`` is the segment that each reach lies on.
"""

from __future__ import annotations

from xmsgl.schema.arrays import as_array
from xmsgl.schema.combine import combine
from xmsgl.schema.inherit import LAPSE_RATE, fine_offset, fine_values
from xmsgl.schema.names import CROSSWALK, LABEL, PROCESS_COARSE, id_values, positions, scale_of
from xmsgl.schema.report import FeatureSource, ValidationReport
from xmsgl.schema.rivers import segment_positions, stream_orders, topology
from xmsgl.schema.roles import drivers, inherited, statics
from xmsgl.schema.tree import as_dataset, rename, to_datatree
from xmsgl.schema.units import same_units
from xmsgl.schema.validate import validate
from xmsgl.util.scales import SCALES, Scale

__all__ = [
    "CROSSWALK",
    "LABEL",
    "LAPSE_RATE",
    "PROCESS_COARSE",
    "SCALES",
    "FeatureSource",
    "Scale",
    "ValidationReport",
    "as_array",
    "as_dataset",
    "combine",
    "drivers",
    "fine_offset",
    "fine_values",
    "id_values",
    "inherited",
    "positions",
    "rename",
    "same_units",
    "scale_of",
    "segment_positions",
    "statics",
    "stream_orders",
    "to_datatree",
    "topology",
    "validate",
]
