"""The registry of readers."""

from __future__ import annotations

import pytest
import xarray as xr

import xmsgl
from xmsgl.errors import InvalidArgumentError, UnknownNameError
from xmsgl.readers import registry


@pytest.fixture
def readers(monkeypatch):
    """The registry, restored after the test."""
    monkeypatch.setattr(registry.READERS, "data", dict(registry.READERS.data))
    return xmsgl.readers


def small(source, *, scale="fine"):
    return xr.Dataset({f"length_{scale}": (scale, [float(source)])}, coords={scale: [1]})


def test_reads_with_sources_and_options(readers):
    assert readers.register("small")(small) is small
    assert "small" in readers.names()
    assert readers.get("small") is small
    ds = readers.read("small", "9", scale="coarse")
    assert ds["length_coarse"].item() == 9.0


def test_names_are_sorted(readers):
    for name in ("zz", "aa"):
        readers.register(name)(lambda: xr.Dataset())
    assert list(readers.names()) == sorted(registry.READERS)
    assert {"zz", "aa"} <= set(readers.names())


def test_a_name_is_taken_once(readers):
    readers.register("small")(small)
    readers.register("small")(small)  # the same function again: a module that is reloaded
    with pytest.raises(InvalidArgumentError, match=r"already a reader 'small' \(small\)"):
        readers.register("small")(lambda: xr.Dataset())
    assert readers.get("small") is small


@pytest.mark.parametrize("name", [pytest.param("", id="empty"), pytest.param(" ", id="blank"), None, 3])
def test_a_name_must_be_text(readers, name):
    with pytest.raises(InvalidArgumentError, match="must be text"):
        readers.register(name)


def test_an_unknown_name_lists_the_known_ones(readers):
    readers.register("small")(small)
    with pytest.raises(UnknownNameError, match=r"unknown reader 'smal'; known: .*small"):
        readers.read("smal", "9")


def test_other_results_than_a_dataset_are_refused(readers):
    readers.register("small")(lambda: xr.DataArray([1]))
    with pytest.raises(InvalidArgumentError, match=r"reader 'small' must return .* not DataArray"):
        readers.read("small")
