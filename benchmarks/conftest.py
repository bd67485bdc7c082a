"""The fixture ``case``, what the JSON says of the machine, and the summary at the end."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from benchmarks import report
from benchmarks.hardware import describe_machine
from benchmarks.harness import Runner, is_tiny


@pytest.fixture
def case(benchmark: Any) -> Runner:
    """Time one case, see :class:`benchmarks.harness.Runner`."""
    return Runner(benchmark)


def pytest_collection_finish() -> None:
    """Keep what is imported by now out of garbage collection, which comes before every timed call."""
    gc.collect()
    gc.freeze()


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Keep what explains a number; the machine's name does not."""
    machine_info.clear()
    machine_info.update(describe_machine(), size="tiny" if is_tiny() else "full")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print each group: seconds, ratios, memory, bars."""
    session = terminalreporter.config._benchmarksession
    cases = report.read_cases([found.as_dict() for found in session.benchmarks if not found.has_error])
    for line in report.summary(cases):
        terminalreporter.write_line(line)
