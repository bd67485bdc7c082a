"""Check a dataset against the convention: every fault is found, and none hides another."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from xmsgl.errors import InvalidDatasetError
from xmsgl.network.ids import id_values, missing
from xmsgl.schema.crosswalk import Rivers, check_against_flow, check_crosswalk, rivers_of
from xmsgl.schema.geometry import check_geometry
from xmsgl.schema.inherit import lapses
from xmsgl.schema.names import CROSSWALK, LABEL, PLACE, scale_of
from xmsgl.schema.report import FeatureSource, ValidationReport
from xmsgl.schema.roles import drivers, statics
from xmsgl.schema.scan import Summary, scan
from xmsgl.schema.structure import check_sizes, check_time, check_units, check_variables
from xmsgl.schema.topology import check_network
from xmsgl.schema.tree import rename
from xmsgl.schema.values import allowed_values, check_daily, check_labels, check_statics
from xmsgl.util.arguments import checked
from xmsgl.util.scales import SCALES, Scale

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    import xarray as xr

    from xmsgl.schema.ranges import Range

__all__ = ["ValidationReport", "validate"]

Values = dict[str, "npt.NDArray[Any]"]


@checked
def validate(
    obj: xr.Dataset | xr.DataTree,
    *,
    names: Mapping[str, str] | None = None,
    values: bool = True,
    labels: bool = True,
) -> ValidationReport:
    """Check a dataset against the convention and report every fault at once.

    Without `values` no daily array is read and nothing is computed. See ``ds.msgl.validate``.
    """
    ds = rename(obj, names)
    structure = [
        *check_sizes(ds),
        *check_variables(ds, labels),
        *check_time(ds),
        *check_units(ds),
        *check_geometry(ds),
    ]
    summaries, small = _gather(ds, values)
    network = [
        *chain.from_iterable(check_network(ds, scale, small) for scale in SCALES),
        *check_crosswalk(ds, small),
    ]
    rivers = None if network else rivers_of(ds, small)
    areas = small.get("drainage_area_fine")
    if areas is not None and areas.dtype.kind not in "iuf":
        areas = None
    content = [
        *(check_against_flow(ds, rivers, areas) if rivers else ()),
        *check_statics(ds, small),
        *check_daily(ds, summaries),
        *check_labels(summaries, labels),
    ]
    if structure or network or content:
        raise InvalidDatasetError([*structure, *network, *content])
    return _report(ds, summaries, small, values, rivers)


def _gather(ds: xr.Dataset, values: bool) -> tuple[dict[str, Summary], Values]:
    """Summarise daily variables and read small ones, in one computation."""
    daily: dict[str, Range] = {}
    small = []
    wanted = {"downstream", "length", *PLACE - {"geometry"}, *statics(ds)}
    for key, array in ds.variables.items():
        name, (base, scale) = str(key), scale_of(key)
        if name == CROSSWALK or (scale and base in wanted and array.dims == (scale,)):
            if values or array.chunks is None:
                small.append(name)
        elif values and scale and set(array.dims) == {"time", scale} and array.dtype.kind in "iuf":
            daily[name] = allowed_values(ds, name)
    return scan(ds, daily, small)


def _report(
    ds: xr.Dataset, summaries: Mapping[str, Summary], small: Values, values: bool, rivers: Rivers | None
) -> ValidationReport:
    def outlets(scale: Scale) -> int | None:
        name = f"downstream_{scale}"
        return int(missing(id_values(small[name])).sum()) if name in small else None

    def labels(scale: Scale) -> int | None:
        name = f"{LABEL}_{scale}"
        return summaries[name].finite if name in summaries else (0 if values else None)

    def source(base: str) -> str:
        if f"{base}_fine" in ds.variables:
            return "own"
        return "inherited, corrected for height" if lapses(ds, base) else "inherited"

    time = ds.indexes["time"]
    roles = [*((base, "driver") for base in drivers(ds)), *((base, "static") for base in statics(ds))]
    return ValidationReport(
        segments=ds.sizes["coarse"],
        reaches=ds.sizes["fine"],
        days=ds.sizes["time"],
        start=str(time[0].date()),
        end=str(time[-1].date()),
        outlets_coarse=outlets("coarse"),
        outlets_fine=outlets("fine"),
        labels_coarse=labels("coarse"),
        labels_fine=labels("fine"),
        links=None if rivers is None else rivers.links,
        aside=() if rivers is None else tuple(_pairs(ds, rivers)),
        features=tuple(
            FeatureSource(base, role, str(ds[f"{base}_coarse"].attrs["units"]), source(base))  # type: ignore[arg-type]
            for base, role in roles
        ),
    )


def _pairs(ds: xr.Dataset, rivers: Rivers) -> Iterator[tuple[Any, Any]]:
    """Yield the ids of each link to a segment that is neither downstream nor upstream."""
    ids = id_values(ds.indexes["fine"].to_numpy()).tolist()
    for reach in rivers.found.aside:
        yield ids[reach], ids[rivers.fine[reach]]
