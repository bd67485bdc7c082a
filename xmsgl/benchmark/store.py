"""The files of a benchmark: one folder per finished run, written at once."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xmsgl.errors import OutputError
from xmsgl.util.optional import require
from xmsgl.util.writing import whole, write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Store", "write_table"]

_COMMANDS = "commands.json"


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a data frame as Parquet, compressed with zstd."""
    require("pyarrow", "the benchmark", extra="benchmark")
    frame.to_parquet(path, engine="pyarrow", compression="zstd", index=False)


@dataclass(frozen=True)
class Store:
    """The folder of a benchmark.

    It holds ``runs/<id>/`` of each finished run (``run.json``, ``pairs.parquet``, ``scores.parquet`` and, for
    a network, ``model.safetensors``), ``work/<id>/`` of unfinished runs, ``failed/<id>.json`` of failed
    runs, and ``commands.json``.
    """

    folder: Path

    def make(self) -> None:
        """Make the folder; an existing one must be empty or from a benchmark."""
        found = [name for name in ("scores.parquet", "table.md") if (self.folder / name).exists()]
        if found and not (self.folder / _COMMANDS).is_file():
            names = ", ".join(found)
            msg = f"cannot write into {self.folder}: no benchmark wrote its {names}; choose another folder"
            raise OutputError(msg)
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def runs(self) -> Path:
        """Folder of the finished runs."""
        return self.folder / "runs"

    def is_finished(self, run_id: str) -> bool:
        """Say whether a run is finished."""
        return (self.runs / run_id / "run.json").is_file()

    def work(self, run_id: str) -> Path:
        """Make and return the folder of an unfinished run."""
        path = self.folder / "work" / run_id
        path.mkdir(parents=True, exist_ok=True)
        return path

    def finish(
        self,
        run_id: str,
        record: dict[str, Any],
        *,
        pairs: pd.DataFrame,
        scores: pd.DataFrame,
        model: bytes | None = None,
    ) -> None:
        """Write a finished run and remove its working folder."""
        self.runs.mkdir(parents=True, exist_ok=True)
        # If another process finished the same run first, its folder stays.
        with whole(self.runs / run_id, folder=True, keep=True) as part:
            part.mkdir()
            write_table(pairs, part / "pairs.parquet")
            write_table(scores, part / "scores.parquet")
            if model is not None:
                (part / "model.safetensors").write_bytes(model)
            (part / "run.json").write_bytes(_strict(record))
        shutil.rmtree(self.folder / "work" / run_id, ignore_errors=True)
        self._failure(run_id).unlink(missing_ok=True)

    def records(self) -> list[dict[str, Any]]:
        """Read the records of all finished runs, in the order of their ids."""
        return [_read(path) for path in sorted(self.runs.glob("*/run.json"))]

    def pairs(self, run_id: str) -> pd.DataFrame:
        """Read the observed and predicted temperatures of a run."""
        return pd.read_parquet(self.runs / run_id / "pairs.parquet", engine="pyarrow")

    def scores(self, run_id: str) -> pd.DataFrame:
        """Read the scores of a run."""
        return pd.read_parquet(self.runs / run_id / "scores.parquet", engine="pyarrow")

    def fail(self, run_id: str, run: dict[str, Any], error: str, trace: str = "") -> None:
        """Record why a run failed; it is tried again next time."""
        path = self._failure(run_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, _strict({"id": run_id, "run": run, "error": error, "trace": trace}))

    def failures(self) -> list[dict[str, Any]]:
        """Read why runs failed, in the order of their ids."""
        return [_read(path) for path in sorted((self.folder / "failed").glob("*.json"))]

    def note_command(self, command: str) -> None:
        """Record a call that adds runs to this folder, once."""
        known = self.commands()
        if command not in known:
            write_bytes(self.folder / _COMMANDS, _strict([*known, command]))

    def commands(self) -> list[str]:
        """Read the calls that added runs to this folder, the oldest first."""
        path = self.folder / _COMMANDS
        return list(_read(path)) if path.is_file() else []

    def missing(self, run_ids: Iterable[str]) -> list[str]:
        """Return the runs that are not finished, in the order given."""
        return [run_id for run_id in run_ids if not self.is_finished(run_id)]

    def _failure(self, run_id: str) -> Path:
        return self.folder / "failed" / f"{run_id}.json"


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _strict(value: Any) -> bytes:
    """Write standard JSON: numbers that are not finite become null."""
    text = json.dumps(value, default=np.generic.item)
    return json.dumps(json.loads(text, parse_constant=lambda _: None), indent=1).encode()
