"""Rows of finished runs in a JSON file, and the tables made of them in a page of the documentation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Return the stored rows; none if there is no file."""
    rows: list[Row] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return rows


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write one row a line."""
    lines = ",\n".join(json.dumps(each) for each in rows)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def rounded(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Round to five digits, so that the file of results stays small."""
    return [
        {name: float(f"{value:.5g}") if isinstance(value, float) else value for name, value in row.items()}
        for row in rows
    ]


def fill(text: str, tables: Mapping[str, str], page: str) -> str:
    """Put each table between its two marks in the text of a page."""
    for name, table in tables.items():
        before, start, rest = text.partition(f"<!-- {name}: start -->\n")
        _, end, after = rest.partition(f"<!-- {name}: end -->\n")
        if not (start and end):
            msg = f"{page} has no marks for the table {name}"
            raise ValueError(msg)
        text = f"{before}{start}{table}\n{end}{after}"
    return text
