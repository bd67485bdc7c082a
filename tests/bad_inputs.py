"""Bad input, one case a row of the page on reliability: what is wrong, what is said, and the repair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import xmsgl
from tests.test_odd_datasets import ODD
from xmsgl import benchmark, datasets, evaluate, plot
from xmsgl.network.graph import RiverGraph
from xmsgl.training.settings import TrainSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr


@dataclass(frozen=True)
class Case:
    """A row: `act` fails with an error that says something, after `make` has written files; `fixed` works."""

    wrong: str
    error: str  # of Python, or the status of the command
    says: str
    repair: str
    act: Callable[[Any], Any] | str  # or a command line
    fixed: Callable[[Any], Any] | str | None = None
    make: Callable[[Any], Any] | None = None


def down(name: str) -> Callable[[Any], Any]:
    """Downscale an odd dataset."""
    return lambda t: ODD[name](t.ds).msgl.downscale(t.model)


def again(change: Callable[[xr.Dataset], xr.Dataset], name: str = "") -> Callable[[Any], Any]:
    """Downscale a dataset after a repair."""
    return lambda t: change(ODD[name](t.ds) if name else t.ds).msgl.downscale(t.model)


def train(**settings: Any) -> Callable[[Any], Any]:
    return lambda t: TrainSettings.of("msgl", **settings)


def write(name: str, content: str | bytes) -> Callable[[Any], Any]:
    data = content.encode() if isinstance(content, str) else content
    return lambda t: (t.folder / name).write_bytes(data)


def numeric(name: str, kind: str = "float32") -> Callable[[xr.Dataset], xr.Dataset]:
    return lambda ds: ds.assign({name: ds[name].astype(kind)})


AIR = "air_temperature_coarse"
E = "InvalidDatasetError"
DATASETS = [
    Case(
        "a driver that is text",
        E,
        "air_temperature_coarse has dtype",
        "the code in the message: `astype`",
        down("text driver"),
        again(numeric(AIR), "text driver"),
    ),
    Case("a driver of objects", E, "it must be numeric", "convert it to numbers", down("object driver")),
    Case("a driver of True and False", E, "has dtype bool", "give the measured values", down("bool driver")),
    Case(
        "a complex driver",
        E,
        "has dtype complex128",
        "`astype`, after taking the real part",
        down("complex driver"),
    ),
    Case(
        "text as observed temperature", E, "water_temperature_fine has dtype", "`astype`", down("text labels")
    ),
    Case(
        "text as lengths",
        E,
        "length_fine has dtype",
        "`astype`",
        down("text lengths"),
        again(numeric("length_fine"), "text lengths"),
    ),
    Case("text as coordinates", E, "lat_fine has dtype", "give degrees", down("text coordinates")),
    Case(
        "text as stream order",
        E,
        "stream_order_fine has dtype",
        "give whole numbers",
        down("text stream order"),
    ),
    Case(
        "ids of numbers and text",
        E,
        "fine has ids that are a mix of int and str",
        "give integers or text",
        down("mixed ids"),
    ),
    Case(
        "ids that are fractions",
        E,
        "fine has ids that are",
        "give integers or text",
        down("ids of 1.5"),
        again(lambda ds: ds.assign_coords(fine=(ds["fine"] - 0.5).astype(int)), "ids of 1.5"),
    ),
    Case(
        "a reach twice",
        E,
        "fine: duplicated ids 1; keep one of each",
        "keep one of each",
        down("duplicated reaches"),
    ),
    Case("a segment twice", E, "coarse: duplicated ids 101", "keep one of each", down("duplicated segments")),
    Case(
        "ids of several levels",
        E,
        "fine has several levels (a, b)",
        "`reset_index`, then set one",
        down("MultiIndex"),
    ),
    Case(
        "a calendar without leap days",
        E,
        "instead of datetime64 of the standard calendar",
        "the code in the message: `convert_calendar`",
        down("noleap calendar"),
    ),
    Case(
        "a calendar of 360 days",
        E,
        "instead of datetime64 of the standard calendar",
        "take the days of the standard calendar",
        down("360 days"),
    ),
    Case(
        "days of cftime",
        E,
        "instead of datetime64 of the standard calendar",
        "the code in the message",
        down("cftime"),
        again(lambda ds: ds.convert_calendar("standard", use_cftime=False), "cftime"),
    ),
    Case(
        "days with a time zone", E, "time is with a time zone", "the code in the message", down("time zone")
    ),
    Case(
        "days that are whole numbers",
        E,
        "time is Index (int64)",
        "the code in the message",
        down("integer time"),
    ),
    Case(
        "days as text",
        E,
        "time is Index",
        "the code in the message",
        down("text time"),
        again(lambda ds: ds.assign_coords(time=ds["time"].values.astype("datetime64[ns]")), "text time"),
    ),
    Case("days as periods", E, "time is PeriodIndex", "the code in the message", down("periods")),
    Case("a day that is NaT", E, "time has 1 missing value (NaT)", "drop it", down("NaT")),
    Case(
        "a day twice",
        E,
        "time has duplicates: 2001-10-01; keep one of each",
        "keep one of each",
        down("duplicated days"),
        again(lambda ds: ds.drop_duplicates("time"), "duplicated days"),
    ),
    Case("no days", E, "dimension 'time' has size 0", "give at least one day", down("no days")),
    Case("no reaches", E, "dimension 'fine' has size 0", "give at least one reach", down("no reaches")),
    Case("an empty dataset", E, "dimension 'time' is missing", "rename the dimensions", down("empty")),
    Case(
        "another name of a dimension",
        E,
        "dimension 'fine' is missing",
        "the code in the message: `rename`",
        down("a dimension called reach"),
        again(lambda ds: ds.rename(reach="fine"), "a dimension called reach"),
    ),
    Case("no ids", E, "coordinate 'coarse' is missing", "`assign_coords`", down("without coordinates")),
    Case(
        "a river that is a list",
        "InvalidArgumentError",
        "list",
        "give an xarray.Dataset or DataTree",
        lambda t: plot.series(t.prediction, [1], 1),
    ),
]
E2 = "InvalidArgumentError"
GRAPHS = [
    Case(
        "`hops` that is text",
        E2,
        "hops must be",
        "a whole number",
        lambda t: t.ds.msgl.graph("fine", hops="2"),
        lambda t: t.ds.msgl.graph("fine", hops=2),
    ),
    Case(
        "no hops",
        E2,
        "hops",
        "at least 1",
        lambda t: t.ds.msgl.graph("fine", hops=0),
        lambda t: t.ds.msgl.graph("fine", hops=1),
    ),
    Case("a limit below 0", E2, "limit", "at least 0 m", lambda t: t.ds.msgl.graph("fine", limit=-1.0)),
    Case(
        "an unknown direction",
        E2,
        "direction",
        "one of the known",
        lambda t: t.ds.msgl.graph("fine", direction="up"),
        lambda t: t.ds.msgl.graph("fine", direction="upstream"),
    ),
    Case(
        "an unknown kernel",
        "UnknownNameError",
        "kernel",
        "one of the known",
        lambda t: t.ds.msgl.graph("fine", kernel="gauss"),
        lambda t: t.ds.msgl.graph("fine", kernel="gaussian"),
    ),
    Case(
        "a scale that is unknown",
        E2,
        "scale",
        "`coarse` or `fine`",
        lambda t: t.ds.msgl.graph("medium"),
    ),
    Case(
        "lengths that are text",
        E2,
        "length must be numbers",
        "give metres",
        lambda t: RiverGraph.build([1, 2], [1, -1], ["a", "b"]),
        lambda t: RiverGraph.build([1, 2], [1, -1], [900.0, 400.0]),
    ),
    Case(
        "a length too few",
        "NetworkError",
        "give one length (m) for each of the 2 reaches",
        "one length a reach",
        lambda t: RiverGraph.build([1, 2], [1, -1], [900.0]),
    ),
    Case(
        "reaches that flow in a circle",
        "CycleError",
        "water would flow in a circle through ids 1 -> 2 -> 1",
        "correct the topology",
        lambda t: RiverGraph.build([1, 2], [1, 0], [900.0, 400.0]),
    ),
]
ARGUMENTS = [
    Case(
        "a model that is a number",
        E2,
        "model must be a Model or text or a path or None, not 5",
        "a model, or its name or path",
        lambda t: t.ds.msgl.downscale(5),
        lambda t: t.ds.msgl.downscale(t.model),
    ),
    Case(
        "`warmup=True`",
        E2,
        "warmup must be a whole number or None, not True",
        "a number of days",
        lambda t: t.ds.msgl.downscale(t.model, warmup=True),
        lambda t: t.ds.msgl.downscale(t.model, warmup=5),
    ),
    Case(
        "a warm-up of a million days",
        E2,
        "warmup must be 0 to 3660 days",
        "at most 3660 days",
        lambda t: t.ds.msgl.downscale(t.model, warmup=10**6),
    ),
    Case(
        "a quantile that is not in a list",
        E2,
        "quantiles must be a list (a number each) or None, not 0.5",
        "`[0.5]`",
        lambda t: t.ds.msgl.reconstruct(t.model, quantiles=0.5),
        lambda t: t.ds.msgl.reconstruct(t.model, quantiles=[0.5]),
    ),
    Case(
        "an unknown device",
        E2,
        "'meta' is not a valid torch device",
        "`auto`, `cpu` or `cuda`",
        lambda t: t.ds.msgl.downscale(t.single, device="meta"),
        lambda t: t.ds.msgl.downscale(t.single, device="cpu"),
    ),
    Case(
        "`learning_rate` that is bytes",
        E2,
        "learning_rate must be a positive number",
        "a positive number",
        train(learning_rate=b"x"),
        train(learning_rate=0.01),
    ),
    Case("`seed=1.5`", E2, "seed must be a whole number", "a whole number", train(seed=1.5), train(seed=1)),
    Case(
        "`hidden=True`",
        E2,
        "hidden must be a whole number, not True",
        "a whole number",
        train(hidden=True),
        train(hidden=8),
    ),
    Case(
        "a size that exhausts the memory",
        E2,
        "heads must be at most 10,000",
        "at most 10,000",
        train(heads=10**12),
    ),
    Case(
        "an unknown setting",
        E2,
        "has no setting epoch; did you mean",
        "the name in the message",
        train(epoch=3),
        train(epochs=3),
    ),
    Case(
        "an unknown method",
        "UnknownNameError",
        "'remapp'",
        "one of the known methods",
        lambda t: t.ds.msgl.train("remapp"),
    ),
    Case(
        "observers that are text",
        E2,
        "observers must be",
        "a list of functions",
        lambda t: t.ds.msgl.train("msgl", observers="x"),
    ),
    Case(
        "a wrong `progress`",
        E2,
        "progress must be True, False or 'bar'",
        '`True`, `False` or `"bar"`',
        lambda t: xmsgl.set_options(progress=5),
    ),
    Case(
        "a mode that is unknown",
        "UnknownNameError",
        "mode",
        "`smooth`, `filter` or `forecast`",
        lambda t: t.ds.msgl.reconstruct(t.model, mode="smoth"),
        lambda t: t.ds.msgl.reconstruct(t.model, mode="filter"),
    ),
    Case(
        "a forecast of no days",
        E2,
        "lead must be at least 1",
        "one day or more",
        lambda t: t.ds.msgl.reconstruct(t.model, mode="forecast", lead=0),
    ),
    Case(
        "a day that the dataset lacks",
        E2,
        "day 1999-10-20 is not a day of the dataset",
        "a day of the dataset",
        lambda t: t.ds.msgl.state(t.model, day="1999-10-20"),
        lambda t: t.ds.msgl.state(t.model, day="2001-10-20"),
    ),
    Case(
        "a prediction that is an array of NumPy",
        E2,
        "give an xarray.DataArray",
        "label the values",
        lambda t: t.ds.msgl.evaluate(t.prediction.values),
        lambda t: t.ds.msgl.evaluate(t.prediction),
    ),
    Case(
        "a prediction that is text",
        E2,
        "it must be numeric",
        "give temperatures",
        lambda t: t.ds.msgl.evaluate(t.prediction.astype(str)),
    ),
    Case(
        "a confidence above 1",
        E2,
        "confidence is 90",
        "a number between 0 and 1",
        lambda t: t.ds.msgl.evaluate(t.prediction, confidence=90.0),
    ),
    Case(
        "an unknown colour map",
        "UnknownNameError",
        "unknown colour map 'x'",
        "a name of matplotlib",
        lambda t: t.ds.msgl.plot.network("length_fine", cmap="x"),
        lambda t: t.ds.msgl.plot.network("length_fine", cmap="viridis"),
    ),
    Case(
        "axes that are text",
        E2,
        "ax must be a Axes or None",
        "axes of matplotlib",
        lambda t: t.ds.msgl.plot.network("length_fine", ax="x"),
    ),
    Case(
        "a reach that is unknown",
        E2,
        "999",
        "an id of the dataset",
        lambda t: t.ds.msgl.plot.series(t.prediction, reach=999),
        lambda t: t.ds.msgl.plot.series(t.prediction, reach=1),
    ),
    Case(
        "a prediction without quantiles",
        E2,
        "quantiles",
        "`quantiles=[0.05, 0.5, 0.95]`",
        lambda t: plot.uncertainty(t.prediction, t.ds),
        lambda t: plot.uncertainty(t.ds.msgl.reconstruct(t.model, quantiles=[0.05, 0.5, 0.95]), t.ds),
    ),
    Case(
        "a fraction above 1",
        E2,
        "fraction is 2.0; it must be between 0 and 1",
        "between 0 and 1",
        lambda t: evaluate.hold_out_segments(t.ds, 2.0),
    ),
    Case(
        "a seed below 0",
        E2,
        "seed is -1",
        "at least 0",
        lambda t: evaluate.hold_out_segments(t.ds, 0.5, seed=-1),
        lambda t: evaluate.hold_out_segments(t.ds, 0.5, seed=1),
    ),
    Case(
        "days that are not dates",
        E2,
        "days must be a day such as 2021-04-01",
        "dates of the dataset",
        lambda t: evaluate.mask_labels(t.ds, days=["x"]),
        lambda t: evaluate.mask_labels(t.ds, days=["2001-10-05"]),
    ),
    Case(
        "too many years",
        E2,
        "years must be at most 250",
        "at most 250",
        lambda t: datasets.simulated(n_coarse=2, years=10**6),
    ),
    Case(
        "too many seeds",
        E2,
        "give 1 to 10,000 seeds",
        "at most 10,000",
        lambda t: benchmark.make_plan("simulated", seeds=10**9),
        lambda t: benchmark.make_plan("simulated", seeds=2),
    ),
]
SECTIONS = {"Datasets": DATASETS, "Graphs": GRAPHS, "Arguments": ARGUMENTS}
