"""Benchmarks are run by hand; here, that they still run and that the page says what was measured."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

import xmsgl
from benchmarks import gpu, larger, report, results, transfer
from benchmarks.bench_cell import build_gather
from benchmarks.hardware import busy_share, cores
from benchmarks.harness import memory_of
from benchmarks.rivers import make_river

ROOT = Path(__file__).parents[1]
SUITES = {path.name for path in (ROOT / "benchmarks").glob("bench_*.py")}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The JSON of a run of all suites at tiny size."""
    out = tmp_path_factory.mktemp("speed") / "speed.json"
    command = [sys.executable, "-m", "pytest", "-c", "benchmarks/pytest.ini", "benchmarks"]
    # Of its own: pytest-benchmark would take a worker of ours for its own and warn.
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [*command, f"--benchmark-json={out}", "-W", "error::pytest.PytestWarning"],
        cwd=ROOT,
        env={**ours, "XMSGL_BENCH": "tiny", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    read: dict[str, Any] = json.loads(out.read_text())
    return read


@pytest.fixture(scope="module")
def groups(found: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    members: dict[str, list[dict[str, Any]]] = {}
    for entry in found["benchmarks"]:
        members.setdefault(entry["group"], []).append(entry)
    return members


@pytest.fixture
def page(found: dict[str, Any], tmp_path: Path) -> str:
    source, target = tmp_path / "in.json", tmp_path / "folder" / "speed.md"
    source.write_text(json.dumps(found))
    report.main([str(source), str(target)])
    return target.read_text()


def rows(page: str, title: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    section = page.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.slow
def test_every_suite_runs_and_every_group_has_one_reference(found, groups):
    assert {"bench_cell.py", "bench_train.py", "bench_graph.py", "bench_downscale.py"} <= SUITES
    assert {entry["fullname"].split("::")[0].split("/")[-1] for entry in found["benchmarks"]} == SUITES
    for title, members in groups.items():
        assert sum(member["extra_info"]["reference"] for member in members) == 1, title
        assert len(members) > 1, title
        names = [member["extra_info"]["case"] for member in members]
        assert len(set(names)) == len(names), title


@pytest.mark.slow
def test_page_has_the_ratios_of_the_json(groups, page):
    for title, members in groups.items():
        (base,) = [member for member in members if member["extra_info"]["reference"]]
        written = rows(page, title)
        assert [row[0] for row in written] == [member["extra_info"]["case"] for member in members]
        for row, member in zip(written, members, strict=True):
            if member is base:
                assert "1 (reference)" in row
                continue
            (shown,) = [cell for cell in row if re.fullmatch(r"[\d.,]+x", cell)]
            times = [np.median(entry["stats"]["data"]) for entry in (base, member)]
            works = [entry["extra_info"]["work"] for entry in (base, member)]
            wanted = times[0] * works[1] / (times[1] * works[0])
            assert float(shown.rstrip("x").replace(",", "")) == pytest.approx(wanted, rel=6e-3, abs=6e-3)


@pytest.mark.slow
def test_page_says_on_what_it_was_run_and_not_where(found, page):
    head = dict(rows(page, "The run"))
    assert head["size"] == "tiny"
    assert f"numpy {np.__version__}" in head["versions"]
    assert "node" not in found["machine_info"]
    assert str(ROOT) not in page
    assert all(row[-1] == "not judged" for row in rows(page, "Bars"))


def entry(name: str, seconds: float, **info: Any) -> dict[str, Any]:
    """A timed case as pytest-benchmark stores it."""
    whole = {
        "case": name, "about": "", "unit": "day", "threads": 1, "work": 1.0, "sizes": {}, "memory": None,
        "reference": False, "bars": [], "flops": None, "bytes": None, "series": None, "machine": None,
        "tiny": False,
    }  # fmt: skip
    return {
        "group": "group",
        "stats": {"median": seconds, "min": seconds, "rounds": 3},
        "extra_info": {**whole, **info},
    }


def test_bars_are_judged():
    bars = [
        {"kind": "ratio", "must": 4, "aim": 8},
        {"kind": "rate", "must": 20, "aim": 21},
        {"kind": "seconds", "must": 0.4, "aim": 0.1},
        {"kind": "memory", "must": 200, "aim": 100},
        {"kind": "process", "must": 200, "aim": None},
    ]
    cases = results.read_cases(
        [
            entry("plain", 6.0, reference=True, work=12.0),  # half a second a day
            entry("fast", 0.5, work=10.0, bars=bars, memory={"before": 150, "peak": 250}),  # 0.05
        ]
    )
    verdicts = {verdict.kind: (verdict.value, verdict.state) for verdict in results.judge(cases)}
    assert verdicts == {
        "ratio": (pytest.approx(10), "aim"),
        "rate": (20, "reached"),
        "seconds": (0.5, "missed"),
        "memory": (100, "aim"),
        "process": (250, "missed"),
    }
    assert [row[-1] for row in report.bar_rows(cases)] == [
        "aim reached", "reached", "**missed**", "aim reached", "**missed**",
    ]  # fmt: skip


def test_nothing_is_judged_on_a_busy_machine():
    bars = [{"kind": "seconds", "must": 1.0, "aim": None}]
    cases = results.read_cases([entry("plain", 0.5, reference=True, bars=bars), entry("other", 0.5)])
    states = [report.bar_rows(cases, busy)[0][-1] for busy in (None, 0.01, 0.8)]
    assert states == ["reached", "reached", "not judged"]
    printed = ["\n".join(report.summary(cases, busy)) for busy in (0.01, 0.8)]
    assert ["80 % of the processor" in text for text in printed] == [False, True]


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="only Linux tells")
def test_work_of_others_is_seen():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        share = busy_share(0.5)
        other.kill()
    assert share is not None
    assert 0.5 / cores() < share <= 1.0


def test_exponents_are_fitted():
    series = {"name": "cell", "variable": "N", "per": 2.0, "most": 1.1}
    cases = results.read_cases(
        [entry(f"{n}", 3e-6 * n**1.25, series={**series, "value": n}) for n in (456, 3_182, 16_033)]
    )
    (fit,) = results.fit_exponents(cases)
    assert fit.exponent == pytest.approx(1.25)
    assert fit.worst == pytest.approx(1.0)
    assert fit.points[0] == (456, pytest.approx(1.5e-6 * 456**1.25))
    (verdict,) = results.judge(cases)
    assert (verdict.kind, verdict.state) == ("exponent", "missed")


def test_roofline_takes_the_limit_that_costs_more():
    machine = [
        entry("product", 2.0, work=200.0, machine="flops"),  # 100 a second
        entry("copy", 1.0, work=5.0, machine="bytes"),
        entry("triad", 1.0, work=10.0, machine="bytes"),  # 10 a second
    ]
    kernels = [
        entry("computes", 10.0, flops=500.0, bytes=1.0),
        entry("moves", 10.0, flops=100.0, bytes=20.0),
        entry("two threads, whose limits are not known", 10.0, flops=1.0, bytes=1.0, threads=2),
    ]
    first, second = results.roofline(results.read_cases([*machine, *kernels]))
    assert (first.bound, first.least, first.share) == ("operations", 5.0, 0.5)
    assert (second.bound, second.least, second.share, second.intensity) == ("memory", 2.0, 0.2, 5.0)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_pinned_from_the_first_case_on(threads):
    """In a fresh process, as Numba's pool, when it starts, sets the threads of torch."""
    code = (
        "import torch; from benchmarks.harness import pinned; before = torch.get_num_threads()\n"
        f"with pinned({threads}): first = torch.get_num_threads()\n"
        f"with pinned({threads}): second = torch.get_num_threads()\n"
        "print(first, second, torch.get_num_threads() - before)"
    )
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": str(3 - threads)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == [str(threads), str(threads), "0"], done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak of the whole process is all there is")
def test_memory_of_a_step_is_what_it_takes():
    sizes = {"nodes": 20_000, "days": 300}
    measured = memory_of(build_gather, sizes, {"nodes": 20, "days": 2}, threads=1)
    gathered = 20_000 * 300 * 7 * 4
    assert measured["peak"] - measured["before"] == pytest.approx(gathered, rel=0.1)


def test_rivers_branch_like_rivers():
    river = make_river(30_000, seed=3)
    assert river.downstream.size == 30_000
    graph = nx.DiGraph()
    graph.add_nodes_from(range(30_000))
    graph.add_edges_from((i, int(j)) for i, j in enumerate(river.downstream) if j >= 0)
    assert nx.is_directed_acyclic_graph(graph)
    assert max(dict(graph.in_degree).values()) == 2
    named = dict(zip(river.ids.tolist(), river.downstream_ids.tolist(), strict=True))
    for i in range(0, 30_000, 997):
        j = int(river.downstream[i])
        assert named[int(river.ids[i])] == (river.ids[j] if j >= 0 else 0)
    order: dict[int, int] = {}
    streams: dict[int, int] = {}
    for node in nx.topological_sort(graph):
        above = sorted((order[i] for i in graph.predecessors(node)), reverse=True)
        order[node] = 1 if not above else above[0] + (above[1:2] == above[:1])
        if order[node] not in above:  # a stream of this order begins here
            streams[order[node]] = streams.get(order[node], 0) + 1
    ratios = [streams[k] / streams[k + 1] for k in (1, 2, 3)]
    assert all(3.3 < ratio < 4.8 for ratio in ratios)
    np.testing.assert_array_equal(make_river(30_000, seed=3).downstream, river.downstream)


def test_segments_of_random_rivers_are_connected():
    river = make_river(3_000, seed=1)
    leaves = (river.downstream < 0) | (river.segment[river.downstream] != river.segment)
    assert np.bincount(river.segment[leaves], minlength=river.n_segments).tolist() == [1] * river.n_segments


def test_transfer_scores_the_last_water_year_alone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = ["--seeds", "0", "--epochs", "2", "--segments", "5", "--years", "3"]
    transfer.main(["--out", str(tmp_path), *given])
    first, _, header, _, row, mean = capsys.readouterr().out.strip().splitlines()
    names = [cell.strip() for cell in header.strip("|").split("|")]
    cells = dict(zip(names, row.strip("|").split("|"), strict=True))
    assert cells.pop("seed").strip() == "0"
    assert mean.split("|")[2:] == row.split("|")[2:]  # of one seed
    for name in transfer.OTHERS:
        gain = 1 - float(cells["msgl"]) / float(cells[name])
        assert float(cells[f"below {name}"].strip(" %")) / 100 == pytest.approx(gain, abs=2e-3)

    # The same by hand, from the calendar: three water years, one each for training, validation and test.
    ds = xmsgl.datasets.simulated(seed=0, n_coarse=5, years=3)
    years = ds["time"].dt.year + (ds["time"].dt.month >= 10)
    test = years == years.max()
    assert f"n = {int(test.sum()) * ds.sizes['fine']:,} " in first
    learned = ds.assign({name: ds[name].where(~test) for name in ds if str(name).startswith("water_temp")})
    middle = ds["time"].values[years == years.max() - 1]
    model = learned.msgl.train(
        "remap", identity=8, epochs=2, window=90, warmup=30, seed=0, validation=[slice(middle[0], middle[-1])]
    )
    error = (learned.msgl.downscale(model) - ds["true_temperature_fine"]).where(test)
    assert float(cells["remap, identities"]) == pytest.approx(float((error**2).mean() ** 0.5), abs=6e-4)


def test_a_training_with_drivers_on_disk_is_compared_with_one_in_memory(tmp_path: Path) -> None:
    store, note = tmp_path / "basin.zarr", tmp_path / "note.json"
    larger.make_store(store, n_coarse=3, years=1, drivers=2)
    found = []
    for limit in ("1 GiB", "10 kB"):
        larger.train_step(str(store), "fine-only", limit, 1, str(note))()
        found.append(json.loads(note.read_text())["sha256"])
    assert found[0] == found[1]


def test_without_a_gpu_one_line_says_so_and_fails():
    words = [sys.executable, "-m", "benchmarks.gpu"]
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(words, cwd=ROOT, env=hidden, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == gpu.NO_GPU + "\n"
    recipe = (ROOT / "Makefile").read_text().split("\ngpu:")[1].split("\n\n")[0].splitlines()[1:]
    assert recipe[0].endswith("-m benchmarks.gpu")  # before the tests, which would be skipped
    assert recipe[1].endswith("pytest -m gpu")


def test_the_page_of_the_gpu_has_all_backends(monkeypatch):
    """On the processor, where `triton` does not run."""
    found = gpu.rows(20, 4, ["cpu"], rounds=1)
    assert [row[0] for row in found] == ["numba, cpu", "reference, cpu", "torch, cpu"]
    page = gpu.page({(20, 4): found}, "a GPU")
    assert [row[:2] for row in rows(page, "20 reaches, 4 days")] == [row[:2] for row in found]
    forward = gpu.RecurrentGraphCell.forward
    monkeypatch.setattr(gpu.RecurrentGraphCell, "forward", lambda *a: (forward(*a)[0] * 1.1, None))
    wrong = gpu.prepare("torch", "cpu", 20, 4)()
    monkeypatch.undo()
    monkeypatch.setattr(
        gpu, "prepare", lambda *a, real=gpu.prepare: real(*a) if a[0] != "torch" else lambda: wrong
    )
    with pytest.raises(AssertionError, match="not close"):
        gpu.rows(20, 4, ["cpu"], rounds=1)
