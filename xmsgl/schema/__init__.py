"""The dataset convention: one Dataset with dimensions ``time``, ``coarse`` and ``fine``.

A variable's name ends with its scale (``air_temperature_coarse``); ``downstream_*`` and ``length_*`` are the
river networks, and ``coarse_segment`` is the segment that each reach lies on.
"""

from __future__ import annotations

from xmsgl.schema.combine import combine
from xmsgl.schema.inherit import fine_offset, fine_values
from xmsgl.schema.names import CROSSWALK, LABEL, PROCESS_COARSE, id_values, positions, scale_of
from xmsgl.schema.rivers import segment_positions
from xmsgl.schema.roles import drivers, statics
from xmsgl.schema.tree import as_dataset, to_datatree
from xmsgl.schema.units import same_units
from xmsgl.schema.validate import validate
from xmsgl.util.scales import SCALES, Scale

__all__ = [
    "CROSSWALK",
    "LABEL",
    "PROCESS_COARSE",
    "SCALES",
    "Scale",
    "as_dataset",
    "combine",
    "drivers",
    "fine_offset",
    "fine_values",
    "id_values",
    "positions",
    "same_units",
    "scale_of",
    "segment_positions",
    "statics",
    "to_datatree",
    "validate",
]
