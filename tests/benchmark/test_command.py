"""``xmsgl benchmark``: from the command line to table and figures, and resumed."""

from __future__ import annotations

import pandas as pd
import pytest
from click.shell_completion import get_completion_class
from click.testing import CliRunner

from xmsgl import benchmark, datasets
from xmsgl.cli.main import main

BASIN = ["--data", "n_coarse=3", "reaches_per_segment=2", "years=3"]
QUICK = ["--set", "epochs=2", "hidden=4", "window=400", "warmup=0", 'features=["air_temperature"]']


@pytest.fixture
def call():
    def run(*arguments):
        return CliRunner().invoke(main, ["--quiet", "benchmark", *map(str, arguments)])

    return run


def test_from_the_command_line_to_the_files(call, tmp_path):
    arguments = [
        "simulated",
        *BASIN,
        *QUICK,
        "--methods",
        "climatology",
        "msgl",
        "msgl:hops=1",
        "--fractions",
        0.1,
    ]
    arguments += ["--seeds", 1, "--out", tmp_path]
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "table.md").read_text().rstrip() == result.stdout.rstrip()
    assert "xmsgl benchmark simulated --data n_coarse=3 reaches_per_segment=2" in result.stdout
    assert "| msgl:hops=1 |" in result.stdout
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    overall = scores.query("group == 'all' and metric == 'rmse'")
    assert sorted(overall["label"]) == ["climatology", "msgl", "msgl:hops=1"]
    assert (overall["n"] == 366 * 6).all()  # the truth of every reach on every test day
    drawn = {path.stem.rpartition("-")[2] for path in (tmp_path / "figures").iterdir()}
    assert {"convergence", "month", "order", "hops", "climatology"} <= drawn
    listed = call(*arguments[:-4], "--seeds", 2, "--out", tmp_path, "--list")
    lines = listed.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["done"] * 3 + ["todo"] * 3
    assert "6 runs, 3 to do" in listed.stderr


def test_the_command_is_the_call(call, tmp_path):
    """Command and function plan the same runs."""
    call(
        "simulated",
        *BASIN,
        "--protocol",
        "spatial",
        "--methods",
        "regression",
        "--seeds",
        2,
        "--out",
        tmp_path,
        "--degrade",
        "none",
        "noise=1",
        "--fractions",
        "0.1",
        "--no-figures",
    )
    basin = {"n_coarse": 3, "reaches_per_segment": 2, "years": 3}
    ds = datasets.simulated(**basin)
    scores = benchmark.run(
        "simulated",
        out=tmp_path,
        protocol="spatial",
        methods=["regression"],
        seeds=[0, 1],
        degrade=[{}, {"noise": 1}],
        fractions=[0.1],
        data=basin,
        figures=False,
    )
    assert scores["run"].nunique() == 4
    assert len(list((tmp_path / "runs").iterdir())) == 4
    assert not (tmp_path / "figures").exists()
    overall = scores.query("group == 'all' and metric == 'rmse'")
    # The reaches of one segment in three, on every day; another one with the other seed.
    assert all(0 < n < ds.sizes["fine"] * 1096 and n % 1096 == 0 for n in overall["n"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["simulated", "--methods", "oracle"], 1, "unknown method 'oracle'"),
        (["simulated", "--set", "epochs"], 1, "is not a valid setting"),
        (["simulated", "--fractions", "2"], 2, "2.0 is not in the range"),
        (["rhine"], 2, "unknown dataset 'rhine'; known: delaware, simulated, willamette, yakima"),
    ],
)
def test_errors_are_reported_in_one_line(call, tmp_path, arguments, code, words):
    result = call(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == code
    assert words in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_registered_source_is_listed(call, tiny, tmp_path):
    words = ["tiny", "--methods", "climatology", "--fractions", 0.1, "--list", "--out", tmp_path]
    result = call(*words, "--seeds", 1)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("todo  tiny-temporal-climatology")
    assert "known: delaware, simulated, tiny, willamette, yakima" in call("rhine").stderr
    asked = get_completion_class("bash")(main, {}, "xmsgl", "_XMSGL_COMPLETE")
    for unfinished, names in (
        ("ti", ["tiny"]),
        ("", ["delaware", "simulated", "tiny", "willamette", "yakima"]),
    ):
        assert [item.value for item in asked.get_completions(["benchmark"], unfinished)] == names


def test_ctrl_c_prints_the_command_to_resume(call, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("xmsgl.benchmark.runner.execute", interrupt)
    result = call("simulated", "--methods", "climatology", "--out", tmp_path)
    assert result.exit_code == 1
    assert f"to continue: xmsgl benchmark simulated --methods climatology --out {tmp_path}" in result.stderr
