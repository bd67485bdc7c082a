"""The fixture ``case``, the machine in the JSON, and the summary at the end."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from benchmarks import report
from benchmarks.hardware import busy_share, describe_machine
from benchmarks.harness import Runner, is_tiny
from xmsgl.util.options import set_options

set_options(process_tuning=True)  # as the command does


@pytest.fixture
def case(benchmark: Any) -> Runner:
    """Time one case, see :class:`benchmarks.harness.Runner`."""
    return Runner(benchmark)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put downscaling last, because the threads of dask that it leaves running hold threads of OpenMP.

    With more of those than cores, OpenMP no longer waits actively, and later cases are up to 50 % slower.
    """
    items.sort(key=lambda item: item.path.stem == "bench_downscale")


_busy: list[float] = []


def _check_whether_busy() -> None:
    share = busy_share(0.1 if is_tiny() else 1.0)
    if share is not None:
        _busy.append(round(share, 2))


def pytest_collection_finish() -> None:
    """Check whether other processes use the machine, and keep imported modules out of garbage collection.

    Garbage is collected before every timed call.
    """
    _check_whether_busy()
    gc.collect()
    gc.freeze()


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Store what explains the times, but not the machine's name."""
    _check_whether_busy()
    machine_info.clear()
    machine_info.update(
        describe_machine(), size="tiny" if is_tiny() else "full", busy=max(_busy, default=None)
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print each group: seconds, ratios, memory, bars."""
    session = terminalreporter.config._benchmarksession
    cases = report.read_cases([found.as_dict() for found in session.benchmarks if not found.has_error])
    for line in report.summary(cases, max(_busy, default=None)):
        terminalreporter.write_line(line)
