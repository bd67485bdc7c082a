"""The limits of the machine, for comparison with the other cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from benchmarks.harness import Group, sized

if TYPE_CHECKING:
    from benchmarks.harness import Runner, Step

PRODUCTS = Group(
    "The machine: products of matrices",
    "Products in single precision by torch, per operation. The large square one is the machine's limit; the "
    "others have the shape of one day of the cell: inputs, a one and hidden state times gates and message.",
)
MEMORY = Group(
    "The machine: memory",
    "Copy (a = b) and triad (a = b + 2 c) by torch over arrays of 1 GiB each, per byte read or written.",
)
SQUARE = sized(2048, 64)
GIBI = sized(2**28, 2**16)  # numbers in an array


def build_product(rows: int, depth: int, columns: int, repeats: int) -> Step:
    """Multiply two matrices repeatedly, long enough to be timed."""
    a, b, out = torch.randn(rows, depth), torch.randn(depth, columns), torch.empty(rows, columns)

    def step() -> torch.Tensor:
        for _ in range(repeats):
            torch.mm(a, b, out=out)
        return out

    return step


def build_sweep(kind: str, numbers: int) -> Step:
    """Read one or two arrays and write one."""
    a, b = torch.zeros(numbers), torch.ones(numbers)
    if kind == "copy":
        return lambda: a.copy_(b)
    c = torch.full((numbers,), 2.0)
    return lambda: torch.add(b, c, alpha=2.0, out=a)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("rows", "depth", "columns"),
    [(SQUARE, SQUARE, SQUARE), (sized(456, 32), 28, 100), (sized(10_000, 48), 28, 100)],
)
def bench_product(case: Runner, rows: int, depth: int, columns: int, threads: int) -> None:
    flops = 2.0 * rows * depth * columns
    repeats = max(1, round(sized(2e9, 1e5) / flops))
    square = rows == SQUARE
    case(
        PRODUCTS,
        f"{rows:,} x {depth:,} x {columns:,}, {threads} thread{'s' * (threads > 1)}",
        build_product,
        {"rows": rows, "depth": depth, "columns": columns, "repeats": repeats},
        threads=threads,
        reference=square and threads == 1,
        rounds=9,
        work=flops * repeats,
        unit="operation",
        machine="flops" if square else None,
    )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", ["copy", "triad"])
def bench_memory(case: Runner, kind: str, threads: int) -> None:
    arrays = {"copy": 2, "triad": 3}[kind]
    case(
        MEMORY,
        f"{kind}, {threads} thread{'s' * (threads > 1)}",
        build_sweep,
        {"kind": kind, "numbers": GIBI},
        threads=threads,
        reference=kind == "copy" and threads == 1,
        rounds=5,
        work=4.0 * arrays * GIBI,
        unit="byte",
        machine="bytes",
    )
