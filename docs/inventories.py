"""Inventories of other projects' documentation, for links that need no network when the site is built.

``docs/inventories.txt`` lists what this documentation refers to. ``docs/conf.py`` calls :func:`write`, which
stores one inventory per project in the format of Sphinx.
"""

from __future__ import annotations

import zlib
from pathlib import Path

TABLE = Path(__file__).with_name("inventories.txt")
FOLDER = Path(__file__).parent / "generated" / "inventories"


def read() -> dict[str, tuple[str, list[str]]]:
    """Return the address and the lines of the inventory of each project."""
    found: dict[str, tuple[str, list[str]]] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if line.startswith("project "):
            _, project, address = words
            found[project] = address, []
        elif words and not line.startswith("#"):
            name, role, page = words
            found[project][1].append(f"{name} py:{role} 1 {page} -")
    return found


def write() -> dict[str, tuple[str, str]]:
    """Write the inventories; return what Sphinx takes as ``intersphinx_mapping``."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for project, (address, lines) in read().items():
        head = ("# Sphinx inventory version 2", f"# Project: {project}", "# Version: ", "# The rest is zlib.")
        path = FOLDER / f"{project}.inv"
        body = zlib.compress("".join(f"{line}\n" for line in lines).encode())
        path.write_bytes("".join(f"{line}\n" for line in head).encode() + body)
        mapping[project] = address, str(path)
    return mapping
