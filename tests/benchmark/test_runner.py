"""Running: finished runs stay, interrupted ones resume bit for bit, failures are reported."""

from __future__ import annotations

import json
import logging
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from xmsgl import benchmark
from xmsgl.benchmark.plan import make_plan
from xmsgl.benchmark.runner import do_runs
from xmsgl.benchmark.runs import Run
from xmsgl.benchmark.store import Store
from xmsgl.errors import DivergenceError, InvalidArgumentError, MissingDependencyError
from xmsgl.models.file.model import load_model
from xmsgl.training import members as fit_members
from xmsgl.training import spread

QUICK = {"hidden": 4, "window": 400, "warmup": 5, "epochs": 4, "features": ["air_temperature", "slope"]}
MSGL = Run("tiny", "temporal", "msgl", 0.5, 1, 2, QUICK)
CLIMATOLOGY = Run("tiny", "temporal", "climatology", 0.5, 0, 2)


@pytest.fixture
def store(tmp_path, tiny):
    return Store(tmp_path / "out")


@pytest.fixture
def stop_after(monkeypatch):
    """Make training stop with an error after some epochs."""
    real = fit_members.write_checkpoint

    def arm(epochs, error):
        def write(path, progress, settings, finished, training):
            real(path, progress, settings, finished, training)
            if progress.epoch == epochs:
                raise error

        monkeypatch.setattr(fit_members, "write_checkpoint", write)

    return arm


def test_a_run_writes_all_its_files(store):
    assert do_runs([MSGL, CLIMATOLOGY], store) == []
    record, _ = (json.loads((store.runs / run.id / "run.json").read_text()) for run in (MSGL, CLIMATOLOGY))
    assert Run(**record["run"]) == MSGL
    assert record["id"] == MSGL.id
    assert record["wall_s"] > 0
    assert record["versions"]["torch"] == torch.__version__
    assert len(record["epoch_seconds"]) == len(record["history"]["epoch"]) == 4
    assert record["hardware"]["threads"] == torch.get_num_threads()
    pairs = store.pairs(MSGL.id)
    assert record["n"] == len(pairs) > 40
    assert list(pairs.columns) == ["reach", "day", "observed", "predicted", "stream_order", "segment"]
    assert load_model(store.runs / MSGL.id / "model.safetensors").sha256 == record["sha256"]
    assert record["labels"] == {
        "fine": pytest.approx(0.5 * 876, abs=50),
        "coarse": pytest.approx(2190, abs=100),
    }
    assert not (store.folder / "work" / MSGL.id).exists()


def test_finished_runs_are_not_done_again(store, monkeypatch):
    do_runs([CLIMATOLOGY], store)
    before = (store.runs / CLIMATOLOGY.id / "run.json").stat().st_mtime_ns
    monkeypatch.setattr("xmsgl.benchmark.runner.execute", None)
    assert do_runs([CLIMATOLOGY], store) == []
    assert (store.runs / CLIMATOLOGY.id / "run.json").stat().st_mtime_ns == before


def test_an_interrupted_run_resumes_bit_for_bit(store, stop_after, tmp_path, monkeypatch):
    whole = Store(tmp_path / "whole")
    do_runs([MSGL], whole)
    stop_after(2, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        do_runs([MSGL], store)
    assert store.missing([MSGL.id]) == [MSGL.id]
    assert (store.work(MSGL.id) / "training.ckpt").is_file()
    monkeypatch.undo()
    epochs = []
    monkeypatch.setattr(spread, "run", _counting(spread.run, epochs))
    do_runs([MSGL], store)
    assert epochs == [2]
    pd.testing.assert_frame_equal(store.pairs(MSGL.id), whole.pairs(MSGL.id), check_exact=True)
    (one,), (two,) = store.records(), whole.records()
    assert one["resumed"]
    assert not two["resumed"]
    assert one["sha256"] == two["sha256"]
    assert one["history"] == two["history"]
    assert sum(one["epoch_seconds"][:2]) < one["wall_s"]


def _counting(real, epochs):
    def call(module, source, settings, *, resume=None, **options):
        epochs.append(0 if resume is None else resume.epoch)
        return real(module, source, settings, resume=resume, **options)

    return call


def test_a_checkpoint_of_other_settings_is_not_used(store, stop_after, monkeypatch, caplog):
    stop_after(2, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        do_runs([MSGL], store)
    monkeypatch.undo()
    work = store.work(MSGL.id) / "training.ckpt"
    work.write_bytes(b"half a file")
    with caplog.at_level(logging.WARNING, "xmsgl"):
        assert do_runs([MSGL], store) == []
    assert "training starts again" in caplog.text
    (record,) = store.records()
    assert not record["resumed"]


def test_a_failure_is_reported_and_does_not_stop_other_runs(store, stop_after, monkeypatch, caplog):
    stop_after(1, DivergenceError("the loss is not finite"))
    with caplog.at_level(logging.WARNING, "xmsgl"):
        assert do_runs([MSGL, CLIMATOLOGY], store) == [MSGL.id]
    assert store.is_finished(CLIMATOLOGY.id)
    (failure,) = store.failures()
    assert failure["id"] == MSGL.id
    assert failure["error"] == "DivergenceError: the loss is not finite"
    assert "Traceback" in failure["trace"]
    assert MSGL.id in caplog.text
    monkeypatch.undo()
    assert do_runs([MSGL, CLIMATOLOGY], store) == []
    assert store.failures() == []


def test_partly_written_results_do_not_count_as_finished(store, monkeypatch):
    real = pd.DataFrame.to_parquet
    written = []

    def once(self, path, **options):
        real(self, path, **options)
        written.append(path)
        if len(written) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_parquet", once)
    with pytest.raises(KeyboardInterrupt):
        do_runs([CLIMATOLOGY], store)
    assert len(written) == 1
    assert list(store.runs.iterdir()) == []
    assert not store.is_finished(CLIMATOLOGY.id)
    assert store.records() == []
    do_runs([CLIMATOLOGY], store)
    assert len(store.pairs(CLIMATOLOGY.id)) > 40
    assert not (store.folder / "work" / CLIMATOLOGY.id).exists()


def test_a_folder_without_its_record_is_not_a_run(store):
    (store.runs / CLIMATOLOGY.id).mkdir(parents=True)
    assert not store.is_finished(CLIMATOLOGY.id)


def test_two_processes_with_the_same_run_do_not_clash(store):
    do_runs([CLIMATOLOGY], store)
    pairs, scores = store.pairs(CLIMATOLOGY.id), store.scores(CLIMATOLOGY.id)
    store.finish(CLIMATOLOGY.id, {"id": "late"}, pairs=pairs, scores=scores)
    assert store.records()[0]["id"] == CLIMATOLOGY.id


def test_ctrl_c_says_how_to_resume(tiny, stop_after, tmp_path, caplog):
    stop_after(2, KeyboardInterrupt)
    call = {
        "methods": ["climatology", "msgl"],
        "fractions": [0.5],
        "seeds": 1,
        "settings": QUICK,
        "figures": False,
    }
    with caplog.at_level(logging.WARNING, "xmsgl"), pytest.raises(KeyboardInterrupt):
        benchmark.run("tiny", out=tmp_path, **call)
    assert "1 of 2 runs are left" in caplog.text
    assert "climatology" in (tmp_path / "table.md").read_text()


def test_parallel_processes_give_the_same_scores(store, tmp_path):
    """A failing run, here because its source is registered in this process only, fails alone."""
    basin = {"n_coarse": 3, "reaches_per_segment": 2, "years": 3}
    (run,) = make_plan("simulated", methods=["regression"], fractions=[0.1], seeds=1, data=basin)
    alone = Store(tmp_path / "alone")
    assert do_runs([run], alone) == []
    assert do_runs([run, CLIMATOLOGY], store, jobs=2) == [CLIMATOLOGY.id]
    pd.testing.assert_frame_equal(alone.pairs(run.id), store.pairs(run.id))
    assert [record["hardware"]["threads"] for record in store.records()] == [1]
    assert "unknown dataset 'tiny'" in store.failures()[0]["error"]


def test_zero_processes_are_refused(store):
    with pytest.raises(InvalidArgumentError, match="jobs"):
        do_runs([CLIMATOLOGY], store, jobs=0)


def test_a_missing_library_is_named(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    do_runs([CLIMATOLOGY], store)
    assert "pip install" in store.failures()[0]["error"]
    assert MissingDependencyError.__name__ in store.failures()[0]["error"]


def test_numbers_that_are_not_finite_become_null_in_json(store):
    store.fail("x", {"value": np.float32("nan"), "list": [np.int64(3), float("inf")]}, "why")
    assert store.failures()[0]["run"] == {"value": None, "list": [3, None]}
