"""The card of a model in Markdown: what it is, its training data, skill and limits.

Everything except scores, limits of the data and credit is read from the model's file.

References
----------
.. [1] Mitchell et al., Model cards for model reporting, FAT* 2019, doi:10.1145/3287560.3287596.
"""

from __future__ import annotations

import json
import math
import re
from html import escape
from typing import TYPE_CHECKING, Any

from xmsgl.errors import InvalidArgumentError
from xmsgl.models.file.packaged import packaged_names
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from xmsgl.models.file.model import Model

__all__ = ["model_card", "model_facts", "packaged_models"]

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MARKUP = re.compile(r"[\\`*]|(?<=\])\(")  # the last makes a link

_USE = """\
```python
# needs the files: a basin with the features below, see the data model
import xarray as xr
import xmsgl

ds = xr.open_dataset("basin.nc")
temperature = ds.msgl.downscale("{name}")
```

```sh
xmsgl downscale basin.nc -m {name} -o temperature.nc
```"""


@checked
def model_facts(model: Model) -> dict[str, str]:
    """Describe a model, with one line per fact.

    Parameters
    ----------
    model
        A trained model.

    Returns
    -------
    dict
        Name of the fact -> text, in the order of display.

    Examples
    --------
    >>> model_facts(model)["method"]  # doctest: +SKIP
    'async-msgl'
    """
    spec, training = model.spec, model.spec.training
    versions = sorted(training.get("versions", {}).items())
    return {
        **model.facts(),
        "members": str(model.members),
        "dataset": str(training.get("dataset") or "not named"),
        "fingerprint": str(training.get("fingerprint", ""))[:12],
        "validation": _validation(model),
        "seed": ", ".join(map(str, training.get("seeds", [training.get("seed", "?")]))),
        "identities": f"{len(spec.segments):,} segments" if spec.segments else "none",
        "architecture": _architecture(model),
        "graph": _settings(spec.graph),
        "versions": ", ".join(f"{name} {version}" for name, version in versions),
        "size": f"{len(model.payload) / 1e6:.2f} MB",
    }


def _validation(model: Model) -> str:
    """Write the error of the best epoch, of several trainings the mean and the range."""
    best = []
    for part in model.parts:
        for k in range(part.members):
            scores = part.member(k).history.get("validation", [])
            best += sorted(score for score in scores if not math.isnan(score))[:1]
    if len(best) < 2:
        return f"{best[0]:.3f} degC in the best epoch" if best else "none"
    which = "folds" if model.folds == len(best) else "trainings"
    spread = f"{min(best):.3f} to {max(best):.3f}"
    return f"{sum(best) / len(best):.3f} degC in the best epoch, mean of {len(best)} {which} ({spread})"


def _architecture(model: Model) -> str:
    """Write the settings of the network, or those of each method of a stack."""
    parts = model.spec.parts or (model.spec,)
    found = dict.fromkeys((part.method, _settings(part.architecture)) for part in parts)
    if len(found) == 1:
        return "".join(text for _, text in found)
    return "; ".join(f"{method}: {text}" for method, text in found)


def _settings(values: Mapping[str, Any]) -> str:
    """Write the settings that are not None."""
    given = {name: json.dumps(value) for name, value in sorted(values.items()) if value is not None}
    return ", ".join(f"{name}={value}" for name, value in given.items()) or "defaults"


@checked
def model_card(
    model: Model,
    name: str,
    *,
    about: str = "",
    scores: Sequence[Mapping[str, Any]] = (),
    limits: Iterable[str] = (),
    credit: str = "",
) -> str:
    """Write the card of a model.

    Parameters
    ----------
    model
        A trained model.
    name
        Name or path by which users load the model.
    about
        Purpose of the model, one paragraph.
    scores
        Rows of a table, all with the same columns, including ``"n"``, the number of scored values.
    limits
        Further limits, for example of the data.
    credit
        Licences of model and data, and their sources, in Markdown.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    InvalidArgumentError
        Rows of `scores` have different columns, or no ``"n"``.

    Examples
    --------
    >>> scores = [{"protocol": "temporal", "RMSE [degC]": 1.31, "n": 85463}]
    >>> print(model_card(model, "river.safetensors", scores=scores))  # doctest: +SKIP
    """
    lead = (
        about or f"A model of the method `{model.method}`: daily water temperature of every reach, in degC."
    )
    facts = model_facts(model)
    del facts["features"]  # shown in a separate table
    sections = {
        "How to use it": _USE.format(name=name),
        "What it is": _table(["", ""], ([fact, _plain(text)] for fact, text in facts.items())),
        "Features": _features(model),
        "Scores": _scores(scores),
        "Limits": "\n".join(f"- {limit}" for limit in (*_own_limits(model), *limits)),
        "Licence and credit": credit or "Not stated.",
    }
    parts = (f"## {heading}\n\n{body}" for heading, body in sections.items())
    return "\n\n".join([f"# {name}", lead, *parts]) + "\n"


def _features(model: Model) -> str:
    """List the features that a dataset must have, and their ranges in the training data."""
    spec = model.spec
    scalings = {(each.mean, each.deviation): scale for scale, each in reversed(spec.scaling.items())}
    ranges = [(scale if len(scalings) > 1 else "", *moments) for moments, scale in scalings.items()]
    heads = ["feature", "units", "kind", "transform"]
    heads += [f"training mean ± deviation{f', {scale}' if scale else ''}" for scale, _, _ in ranges]
    rows = []
    for number, feature in enumerate(spec.features):
        kind = "daily" if feature.dynamic else "static"
        name = _CONTROLS.sub(" ", feature.name).replace("`", "'")  # nothing else ends a code span
        row = [f"`{name}`", _plain(feature.units), kind, feature.transform]
        if feature.days > 1:
            row[2] = f"mean over {feature.days} days"
        rows.append(row + [f"{mean[number]:.4g} ± {spread[number]:.4g}" for _, mean, spread in ranges])
    text = (
        "Found by name, `NAME_coarse` (and `NAME_fine` where reaches have their own values), in these "
        "units; the order does not matter. Mean and deviation refer to transformed values"
        f"{f' of the first of {model.folds} folds' if model.folds else ''}."
    )
    return f"{text}\n\n{_table(heads, rows)}"


def _scores(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "This model has not been scored."
    heads = list(rows[0])
    for row in rows:
        if list(row) != heads or "n" not in row:
            msg = f"rows of scores must have the same columns, including n, got {heads} and {list(row)}"
            raise InvalidArgumentError(msg)
    return _table(heads, ([_written(value) for value in row.values()] for row in rows))


def _written(value: Any) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _own_limits(model: Model) -> list[str]:
    """State the limits that follow from the model's training."""
    spec = model.spec
    limits = [
        f"It was trained on one dataset ({_plain(spec.training.get('dataset') or 'not named')}). Its error "
        "elsewhere is unknown: compare it with observations there, or train a model on them.",
        "A warning names attributes, and drivers of the first window, that are more than 6 standard "
        "deviations from the mean above.",
        "It predicts no temperature below 0 degC.",
        _intervals(model),
    ]
    if model.members > 1:
        limits.append(
            f"Its prediction is the mean of {model.members} members and takes {model.members} times as long "
            "as that of one. The intervals are not wider where the members disagree."
        )
    if spec.segments:
        limits.append(
            f"It has learned identities of {len(spec.segments):,} segments. Segments are recognised by id, "
            "length and downstream link; all others have an identity of zeros, for which hiding segments at "
            "random prepares the model in training."
        )
    else:
        limits.append("It has no segment identities: equal attributes and weather give equal temperatures.")
    return limits


def _intervals(model: Model) -> str:
    table = model.spec.intervals
    if table is None:
        return "It has no calibrated intervals: `quantiles=` is refused."
    short = "" if table.scale == "fine" else " They omit the error of the step from segments to reaches."
    days = "on the validation days of its training"
    where = "at the segments that each fold left out" if model.folds else days
    return (
        f"Its intervals (`quantiles=`) are calibrated on {table.n:,} residuals of {table.scale} labels "
        f"{where}. They are not wider in another basin or climate.{short}"
    )


def _plain(text: str) -> str:
    """Escape text of a file, so that Markdown shows it as it is."""
    return _MARKUP.sub(r"\\\g<0>", escape(_CONTROLS.sub(" ", text), quote=False))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    marks = ["---"] * len(heads)
    cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, marks, *cells))


def packaged_models() -> dict[str, str]:
    """Describe the packaged models, each in one line from its file.

    Returns
    -------
    dict
        Name -> method, dataset and training period.

    Raises
    ------
    CheckpointError
        A packaged file is damaged. Install the package again.

    Examples
    --------
    >>> models = packaged_models()
    >>> all(isinstance(line, str) for line in models.values())
    True
    """
    from xmsgl.models.file.model import load_model  # brings torch

    described = {}
    for name in packaged_names():
        spec = load_model(name).spec
        training = spec.training
        period = f"{training.get('start', '?')} to {training.get('stop', '?')}"
        described[name] = f"{spec.method}, trained on {training.get('dataset') or 'a dataset'}, {period}"
    return described
