"""The small river everyone uses, and what keeps tests single-threaded and offline."""

from __future__ import annotations

import importlib.util
import logging
import os
from html.parser import HTMLParser

# Workers stand side by side, one a core; threads of several would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if importlib.util.find_spec("triton") is not None:
    import torch

    if not torch.cuda.is_available():  # Triton reads this when it is first imported, by whomever
        os.environ.setdefault("TRITON_INTERPRET", "1")

from typing import TYPE_CHECKING

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.mirror import why_not
from xmsgl.util.options import get_option, set_options

if TYPE_CHECKING:
    from collections.abc import Callable

SEGMENTS = np.array([101, 102, 103, 104, 105])
DOWNSTREAM_SEGMENT = np.array([103, 103, 105, 105, 0])
REACHES = np.arange(1, 13)
#  two reaches a segment, three on 103 and 105; reach 12 is the outlet
DOWNSTREAM_REACH = np.array([2, 5, 4, 5, 6, 7, 10, 9, 10, 11, 12, 0])
SEGMENT_OF_REACH = np.array([101, 101, 102, 102, 103, 103, 103, 104, 104, 105, 105, 105])


def pytest_collection_modifyitems(items):
    reasons = {"delaware": why_not(), "gpu": no_gpu(items)}
    for name, reason in reasons.items():
        for item in items:
            if reason and item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=reason))


def no_gpu(items):
    """Return why tests marked `gpu` cannot run, if there are any."""
    if not any(item.get_closest_marker("gpu") for item in items):
        return None
    import torch

    return None if torch.cuda.is_available() else "no CUDA device"


@pytest.fixture(autouse=True)
def keep_options():
    """Let no test change the options of the next: the command sets them for good.

    Progress begins at its default, for a fixture of a whole module may have run the command before.
    """
    places = {name: get_option(name) for name in ("data_dir", "data_mirror")}
    switches = {"process_tuning": False, "deterministic": False}
    with set_options(progress=True, training_memory=None, largest_basin=131_072, **switches, **places):
        yield


@pytest.fixture(autouse=True)
def keep_loggers():
    """Let no test mute the loggers of the next: the command and the pages of the docs set levels for good.

    Every level begins unset, for a fixture of a whole module may have run the command before.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "xmsgl":
            logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def small_fits():
    """Fit covariances to 300 errors instead of 4,000, where nothing depends on how well they fit."""
    from xmsgl.reconstruct import fit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "_SAMPLE", 300)
        yield


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """A new folder by name, one for all workers of a run: files in it are fetched and built once."""

    def make(name):
        folder = tmp_path_factory.getbasetemp()
        if "PYTEST_XDIST_WORKER" in os.environ:
            folder = folder.parent
        (folder / name).mkdir(exist_ok=True)
        return folder / name

    return make


def make_river(days: int = 800, seed: int = 0) -> xr.Dataset:
    """Five segments, twelve reaches, a seasonal climate: valid, small, drawn from one seed."""
    rng = np.random.default_rng(seed)
    time = pd.date_range("2001-10-01", periods=days, freq="D", unit="ns")
    season = np.sin(2 * np.pi * (time.day_of_year.to_numpy() - 110) / 365.25)
    segment = np.searchsorted(SEGMENTS, SEGMENT_OF_REACH)
    elevation_coarse = np.array([420.0, 380.0, 250.0, 200.0, 60.0])
    elevation_fine = elevation_coarse[segment] + np.array(
        [30, -10, 25, -15, 30, 5, -20, 20, -10, 20, 0, -15.0]
    )
    weather = np.cumsum(rng.normal(0, 0.6, days)) * 0.2 + rng.normal(0, 2.0, days)
    air = 11 + 12 * season[:, None] + weather[:, None] - 0.0065 * (elevation_coarse - 200)
    air = air + rng.normal(0, 0.3, air.shape)
    smooth = pd.DataFrame(air).rolling(7, min_periods=1).mean().to_numpy()
    warmth = np.array([0.0, 0.5, 1.0, -0.5, 1.5])
    water_coarse = np.maximum(0.0, 4 + 0.75 * smooth + warmth)
    within = np.array([-0.4, 0.3, -0.3, 0.4, -0.2, 0.1, 0.3, -0.4, 0.2, -0.3, 0.0, 0.3])
    water_fine = np.maximum(0.0, water_coarse[:, segment] + within)
    coarse_labels = np.where(
        rng.random(water_coarse.shape) < 0.6, water_coarse + rng.normal(0, 0.2, water_coarse.shape), np.nan
    )
    fine_labels = np.where(
        rng.random(water_fine.shape) < 0.1, water_fine + rng.normal(0, 0.2, water_fine.shape), np.nan
    )
    sun = 170 + 110 * np.sin(2 * np.pi * (time.day_of_year.to_numpy() - 80) / 365.25)

    def variable(
        dims: tuple[str, ...], values: np.ndarray, units: str, name: str
    ) -> tuple[tuple[str, ...], np.ndarray, dict[str, str]]:
        kept = values.astype("float32") if "time" in dims else values
        return dims, kept, {"units": units, "long_name": name}

    daily, coarse, fine = ("time", "coarse"), ("coarse",), ("fine",)
    return xr.Dataset(
        {
            "downstream_coarse": variable(coarse, DOWNSTREAM_SEGMENT, "1", "id of the segment downstream"),
            "downstream_fine": variable(fine, DOWNSTREAM_REACH, "1", "id of the reach downstream"),
            "coarse_segment": variable(fine, SEGMENT_OF_REACH, "1", "id of the segment the reach lies on"),
            "length_coarse": variable(coarse, np.array([9e3, 8e3, 12e3, 7e3, 15e3]), "m", "length"),
            "length_fine": variable(fine, np.linspace(800.0, 1900.0, 12), "m", "length"),
            "elevation_coarse": variable(coarse, elevation_coarse, "m", "elevation"),
            "elevation_fine": variable(fine, elevation_fine, "m", "elevation"),
            "drainage_area_coarse": variable(
                coarse, np.array([80.0, 60, 230, 70, 420]), "km2", "drainage area"
            ),
            "drainage_area_fine": variable(
                fine,
                np.array([40.0, 80, 30, 60, 160, 200, 230, 35, 70, 320, 380, 420]),
                "km2",
                "drainage area",
            ),
            "slope_coarse": variable(coarse, np.array([0.01, 0.012, 0.005, 0.008, 0.001]), "1", "slope"),
            "air_temperature_coarse": variable(daily, air, "degC", "mean air temperature"),
            "precipitation_coarse": variable(
                daily, rng.gamma(0.4, 8.0, air.shape), "mm d-1", "precipitation"
            ),
            "solar_radiation_coarse": variable(
                daily, sun[:, None] + rng.normal(0, 10, air.shape), "W m-2", "solar radiation"
            ),
            "water_temperature_coarse": variable(
                daily, np.maximum(0, coarse_labels), "degC", "observed stream temperature"
            ),
            "water_temperature_fine": variable(
                ("time", "fine"), np.maximum(0, fine_labels), "degC", "observed stream temperature"
            ),
        },
        coords={"time": time, "coarse": ("coarse", SEGMENTS), "fine": ("fine", REACHES)},
        attrs={"title": "the small river of the tests"},
    )


def put_before(ds: xr.Dataset, days: int) -> xr.Dataset:
    """Put so many days before a record that stand in for those nobody knows, found one by one.

    The week before it walks back into the record; earlier days are those a year later, where there are any.
    """
    n, position, step, walked = ds.sizes["time"], 0, 1, []
    for _ in range(days):
        step = 1 if position == 0 else -1 if position == n - 1 else step
        position += step if n > 1 else 0
        walked.append(position)
    stand_ins = []
    for ago in range(1, days + 1):
        year_later = -ago
        while year_later < 0:
            year_later += 365
        stand_ins.append(walked[ago - 1] if ago <= 7 or year_later >= n else year_later)
    return ds.isel(time=[*reversed(stand_ins), *range(n)])


@pytest.fixture(scope="session")
def river_of() -> Callable[..., xr.Dataset]:
    """The function that makes the river, for other days or another seed."""
    return make_river


@pytest.fixture(scope="session")
def preceded() -> Callable[[xr.Dataset, int], xr.Dataset]:
    """The function that puts days before a record."""
    return put_before


@pytest.fixture(scope="session")
def river_once() -> xr.Dataset:
    return make_river()


@pytest.fixture
def river(river_once: xr.Dataset) -> xr.Dataset:
    """A copy, so that a test may spoil it."""
    return river_once.copy(deep=True)


@pytest.fixture
def two_rivers(river: xr.Dataset) -> xr.Dataset:
    """The river and another that never meets it (ids from 1000 on), their nodes in one another's midst."""
    other = make_river(seed=1)
    for name in ("downstream_coarse", "downstream_fine", "coarse_segment"):
        other[name] = other[name].where(other[name] == 0, other[name] + 1000)
    other = other.assign_coords({scale: other[scale] + 1000 for scale in ("coarse", "fine")})
    both = xr.Dataset(
        {
            name: xr.concat([river[name], other[name]], "fine" if "fine" in river[name].dims else "coarse")
            for name in river.data_vars
        },
        attrs=river.attrs,
    )
    rng = np.random.default_rng(0)
    return both.isel({scale: rng.permutation(both.sizes[scale]) for scale in ("coarse", "fine")})


class Page(HTMLParser):
    """HTML as a browser takes it: the cells of its tables, its tags, styles and titles.

    Attributes
    ----------
    tables
        One a ``<table>``: its rows, each a list of the texts of its cells.
    tags, styles, titles
        All tags; all ``style`` attributes; the texts of all ``<strong>``.
    text
        Everything that can be read.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: list[str] = []
        self.styles: list[str] = []
        self.titles: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == [], "a tag is not closed"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._open.append(tag)
        self.styles += [value for name, value in attrs if name == "style"]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "strong":
            self.titles.append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data
        elif "strong" in self._open:
            self.titles[-1] += data


@pytest.fixture
def read_html():
    return Page


@pytest.fixture
def refuse_to_compute():
    """A scheduler that raises: ``with refuse_to_compute():`` proves that nothing is computed."""

    def refuse(graph, keys, **options):
        msg = "something was computed"
        raise AssertionError(msg)

    return lambda: dask.config.set(scheduler=refuse)
