from __future__ import annotations

import re

import pytest

from xmsgl.datasets.registry import BASE_URL, DATASETS, SOURCES, dataset_files, registry
from xmsgl.errors import UnknownNameError


def test_entries_are_pinned_and_unique():
    files = registry().values()
    for file in files:
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert re.fullmatch(r"[^/]+/[^/]+/[0-9a-f]{40}/.+", file.path)
        assert file.size > 0
        assert file.url == BASE_URL + file.path
    assert len({file.path for file in files}) == len(registry())


def test_every_file_has_licence_and_credit_and_a_use():
    assert {file.repository for file in registry().values()} == set(SOURCES)
    assert all(file.source.licence and file.source.credit for file in registry().values())
    assert {key for keys in DATASETS.values() for key in keys} == set(registry())


def test_era5_credit_names_copernicus():
    credit = registry()["era5_temperature"].source.credit
    assert "Copernicus Climate Change Service" in credit
    assert "ECMWF" in credit


def test_unknown_dataset():
    with pytest.raises(UnknownNameError, match=r"dataset 'thames'.*delaware"):
        dataset_files("thames")


@pytest.mark.delaware
def test_agrees_with_the_list_of_the_mirror(beside_mirror):
    listed = {}
    for line in beside_mirror("registry.txt").read_text().splitlines():
        sha256, size, path = line.split()
        listed[path] = (sha256, int(size))
    for file in registry().values():
        assert listed[file.path] == (file.sha256, file.size)
