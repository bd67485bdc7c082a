"""Write the card of a packaged model as a page: ``python -m benchmarks.card NAME``.

What is not in the model (scores, purpose, limits, credit of its data) is read from
``docs/models/NAME.json``::

    {
      "about": "Its purpose.",
      "data": "delaware",
      "scores": [{"protocol": "temporal", "RMSE [degC]": 1.31, "n": 85463}],
      "limits": ["One sentence or more."]
    }

``data`` names the dataset of :mod:`xmsgl.datasets` whose sources are credited, ``without`` files of it that
the model was not trained on. The page is ``docs/models/NAME.md``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from xmsgl.datasets.registry import dataset_files
from xmsgl.models.file.card import model_card
from xmsgl.models.file.model import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["credit", "main", "page"]

PAGES = Path(__file__).parents[1] / "docs" / "models"


def credit(dataset: str, without: Sequence[str] = ()) -> str:
    """Return the licence of the model, and licence and credit of the files it was trained on."""
    files = [file for file in dataset_files(dataset) if file.key not in without]
    sources = {file.repository: file.source for file in files}
    rows = [f"| {name} | {source.licence} | {source.credit} |" for name, source in sources.items()]
    lead = (
        "The weights are under the package's licence, MIT. They were trained on these public files, which "
        "are not part of them:"
    )
    return "\n".join([lead, "", "| files | licence | credit |", "| --- | --- | --- |", *rows])


def page(name: str, folder: Path = PAGES) -> str:
    """Return the page of a packaged model, from its file and its facts."""
    facts = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    source = credit(facts.pop("data"), facts.pop("without", ()))
    return model_card(load_model(name), name, credit=source, **facts)


def main(arguments: Sequence[str], folder: Path = PAGES) -> None:
    """Write the pages of some packaged models."""
    for name in arguments:
        (folder / f"{name}.md").write_text(page(name, folder), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
