"""Write the results of the speed benchmarks as a page: ``python -m benchmarks.report IN.json OUT.md``."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.results import (
    Case,
    Fit,
    Verdict,
    fit_exponents,
    grouped,
    judge,
    machine_limits,
    read_cases,
    roofline,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["main", "page", "read_cases", "summary"]

KINDS = {
    "ratio": "times faster",
    "rate": "rate",
    "seconds": "time",
    "memory": "memory",
    "process": "whole process",
    "exponent": "exponent",
}
#: Fraction of the processor used by other processes above which no bar is judged.
QUIET = 0.15

STATES = {"aim": "aim reached", "reached": "reached", "missed": "**missed**"}


def seconds(value: float) -> str:
    """Write a time with three digits and a suitable unit."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns")):
        if value * factor >= 1:
            return f"{digits(value * factor)} {unit}"
    return f"{digits(value * 1e12)} ps"


def digits(value: float) -> str:
    """Write a number with three digits, without a power of ten."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def amount(value: float, unit: str) -> str:
    """Write a large number with a prefix, for example bytes or operations a second."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{digits(value / factor)} {prefix}{unit}"
    return f"{digits(value)} {unit}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Write a Markdown table whose first column is text."""
    marks = ["---", *["--:"] * (len(heads) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (heads, marks, *rows)]


def written(kind: str, value: float, unit: str = "unit") -> str:
    """Write the value of a bar in the form of its kind."""
    return {
        "ratio": f"{digits(value)}x",
        "rate": f"{amount(value, unit)}/s",
        "seconds": seconds(value),
        "memory": amount(value, "B"),
        "process": amount(value, "B"),
        "exponent": f"{value:.2f}",
    }[kind]


def bar_rows(cases: Sequence[Case], busy: float | None = None) -> list[list[str]]:
    """Return the table of bars: what, got, must, aim, state."""
    units = {(case.group, case.name): case.unit for case in cases}
    rows = []
    for verdict in judge(cases):
        unit = units.get((verdict.group, verdict.name), "unit")
        rows.append(
            [
                f"{verdict.group}: {verdict.name}",
                KINDS[verdict.kind],
                written(verdict.kind, verdict.value, unit),
                written(verdict.kind, verdict.must, unit),
                "" if verdict.aim is None else written(verdict.kind, verdict.aim, unit),
                state(verdict, cases, busy),
            ]
        )
    return rows


def state(verdict: Verdict, cases: Sequence[Case], busy: float | None) -> str:
    """Return the verdict in words; none at tiny size or while other processes use the machine."""
    judged = not is_busy(busy) and not any(case.tiny for case in cases)
    return STATES[verdict.state] if judged else "not judged"


def is_busy(share: float | None) -> bool:
    """Return whether other processes used too much of the processor for reliable times."""
    return share is not None and share > QUIET


def case_rows(cases: Sequence[Case]) -> list[list[str]]:
    """Return a row for each case of a group."""
    return [
        [
            case.name,
            str(case.threads),
            seconds(case.median),
            str(case.rounds),
            *([] if case.unit == "call" else [seconds(case.per_unit), amount(1 / case.per_unit, "").strip()]),
            "" if case.ratio is None else "1 (reference)" if case.reference else f"{digits(case.ratio)}x",
            "" if case.above is None else amount(case.above, "B"),
            "" if case.peak is None else amount(case.peak, "B"),
        ]
        for case in cases
    ]


def case_heads(cases: Sequence[Case]) -> list[str]:
    """Return the heads of :func:`case_rows`."""
    unit = cases[0].unit
    rates = [] if unit == "call" else [f"per {unit}", "a second"]
    return ["case", "threads", "median", "n", *rates, "times faster", "memory", "whole process"]


def summary(cases: Sequence[Case], busy: float | None = None) -> list[str]:
    """Return lines for the terminal: the groups, bars and exponents."""
    lines = []
    for name, members in grouped(cases).items():
        lines += ["", name, *_columns([case_heads(members), *case_rows(members)])]
    bars, fits = bar_rows(cases, busy), fit_exponents(cases)
    if bars:
        heads = ["bar", "on", "got", "must", "aim", ""]
        lines += ["", *_columns([heads, *bars])]
    if fits:
        lines += ["", *_columns([FIT_HEADS, *map(fit_row, fits)])]
    if is_busy(busy):
        lines += ["", wrapped(BUSY.format(100 * (busy or 0)))]
    return lines


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


FIT_HEADS = ["series", "against", "sizes", "seconds", "exponent", "farthest point"]


def fit_row(fit: Fit) -> list[str]:
    """Return a row of the table of exponents."""
    return [
        fit.name,
        fit.variable,
        ", ".join(f"{size:,.0f}" for size, _ in fit.points),
        ", ".join(seconds(cost) for _, cost in fit.points),
        f"{fit.exponent:.2f}",
        f"{100 * (fit.worst - 1):.0f} %",
    ]


def page(found: dict[str, Any]) -> str:
    """Write the whole page.

    Parameters
    ----------
    found
        The JSON of pytest-benchmark.

    Returns
    -------
    str
        Markdown.
    """
    cases = read_cases(found["benchmarks"])
    lines = [
        "# Speed",
        "",
        "## In short",
        "",
        *_short(cases),
        "",
        "## The run",
        "",
        *_head(found),
        "",
        "## Bars",
        "",
    ]
    lines += table(
        ["what", "on", "got", "must", "aim", "verdict"], bar_rows(cases, found["machine_info"]["busy"])
    )
    for name, members in grouped(cases).items():
        lines += ["", f"## {name}", "", wrapped(members[0].about), ""]
        lines += table(case_heads(members), case_rows(members))
    lines += ["", "## Cost against size", "", wrapped(FIT_TEXT), ""]
    lines += table(FIT_HEADS, map(fit_row, fit_exponents(cases)))
    lines += ["", "## Distance from the machine's limits", "", *_roofline(cases)]
    lines += ["", "## What is not measured", "", *(f"- {text}" for text in NOT_MEASURED)]
    return "\n".join(lines) + "\n"


# Cases of the first table: group, case, what it is, what it is compared with.
SHORT = (
    ("Cell, 456 segments", "numba", "recurrent cell, 456 segments, 1 thread", "dense loop through autograd"),
    ("Cell, 10,000 reaches", "numba, 365 days", "recurrent cell, 10,000 reaches, 2 threads", "the same"),
    (
        "Training step",
        "xmsgl",
        "training step of three tasks, basin of the Delaware's size",
        "published scheme",
    ),
    (
        "Graph building",
        "xmsgl, 2,700,000 reaches",
        "graph of 2.7 million reaches",
        "networkx, 20,000 reaches",
    ),
    (
        "Downscaling, throughput",
        "xmsgl, 100,000 reaches",
        "a year of 100,000 reaches",
        "plain loop, 3,182 reaches",
    ),
)


def _short(cases: Sequence[Case]) -> list[str]:
    by_name = {(case.group, case.name): case for case in cases}
    rows = []
    for group, name, what, compared in SHORT:
        case = by_name.get((group, name))
        if case is not None:
            took = seconds(case.median if case.unit == "call" else case.per_unit)
            ratio = "" if case.ratio is None else f"{digits(case.ratio)}x"
            rows.append([what, took if case.unit == "call" else f"{took} per {case.unit}", compared, ratio])
    return table(["what", "time", "compared with", "times faster"], rows)


FIT_TEXT = """
Seconds (per day or per call) grow as size to the power of the exponent: a straight line through the
logarithms, by least squares. The last column is the largest distance of a point from the line.
"""

NOT_MEASURED = (
    "Other processors: all numbers are from the machine above. Compare ratios, not seconds.",
    "The first call, in which Numba compiles its code or loads it: every case is called once before timing.",
    "Graphics processors.",
)

HEAD = """
Written by `make bench`, which runs `benchmarks/bench_*.py`. The cases of a table were timed in one run, one
after the other, with their threads pinned: the median of n calls after a warm-up. *Times faster* compares
with the table's reference, per unit of work. *Memory* is the peak of resident memory during one call in its
own process, minus the resident memory when the call began, which includes its inputs; *whole process* is the
peak itself, libraries included.
"""

BUSY = """
**Other processes used {:.0f} % of the processor when this run began or ended. Its numbers are rough, and no
bar is judged.**
"""

ROOF_TEXT = """
The machine's limits are the best rates in this run: products of matrices, and sweeps over arrays that do not
fit the cache. A case needs at least the time of its operations at the one rate or of its bytes at the other,
whichever is longer; *share* is this time over the measured time. Operations and bytes are counted by formula:
the least necessary, each array once.
"""


def wrapped(text: str) -> str:
    """Break a paragraph into lines."""
    return textwrap.fill(" ".join(text.split()), 118, break_on_hyphens=False, break_long_words=False)


def _head(found: dict[str, Any]) -> list[str]:
    machine = found["machine_info"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    facts = [
        ["date", found["datetime"][:10]],
        ["processor", f"{machine['processor']}, {machine['vectors']}, cache {machine['cache']}"],
        ["cores, memory", f"{machine['cores']}, {machine['memory_GB']} GB"],
        ["system", f"{machine['system']}, Python {machine['python']}"],
        ["versions", versions],
        ["size", machine["size"]],
        ["used by others", "unknown" if machine["busy"] is None else f"{100 * machine['busy']:.0f} %"],
    ]
    busy = machine["busy"]
    warning = [wrapped(BUSY.format(100 * busy)), ""] if is_busy(busy) else []
    return [wrapped(HEAD), "", *warning, *table(["run", ""], facts)]


def _roofline(cases: Sequence[Case]) -> list[str]:
    limits = machine_limits(cases)
    lines = [wrapped(ROOF_TEXT), ""]
    lines += table(
        ["threads", "operations", "bytes"],
        [
            [str(threads), amount(limit.get("flops", 0), "flop/s"), amount(limit.get("bytes", 0), "B/s")]
            for threads, limit in sorted(limits.items())
        ],
    )
    rows = [
        [
            f"{roof.case.group}: {roof.case.name}",
            str(roof.case.threads),
            amount(roof.case.flops or 0, "flop"),
            amount(roof.case.moved or 0, "B"),
            digits(roof.intensity),
            roof.bound,
            seconds(roof.least),
            seconds(roof.case.median),
            f"{100 * roof.share:.0f} %",
        ]
        for roof in roofline(cases)
    ]
    heads = ["case", "threads", "operations", "bytes", "per byte", "bound by", "least", "measured", "share"]
    return [*lines, "", *table(heads, rows)]


def main(arguments: Sequence[str]) -> None:
    """Read the JSON and write the page."""
    source, target = map(Path, arguments)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(json.loads(source.read_text())), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
