"""Files and folders written whole or not at all: errors, kills, links, and what may not be written over."""

from __future__ import annotations

import os
import pickle
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from xmsgl.errors import InvalidArgumentError, OutputError
from xmsgl.util.writing import check_target, whole, write_bytes

# Writes half of a file or a folder, says so, and waits.
WRITER = """
import signal, sys
from pathlib import Path
from xmsgl.util.writing import whole
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts deaf to it
with whole(sys.argv[1], folder=sys.argv[2] == "folder") as part:
    if sys.argv[2] == "folder":
        part.mkdir()
        part = part / "half"
    part.write_text("half")
    print("here", flush=True)
    sys.stdin.read()
"""

# Is killed when the old folder is moved aside and the new one has no name yet.
SWAPPER = """
import os, sys
from pathlib import Path
from xmsgl.util.writing import whole
rename, calls = Path.rename, []
def once(path, target):
    if calls:
        os.kill(os.getpid(), 9)
    calls.append(path)
    return rename(path, target)
Path.rename = once
with whole(sys.argv[1], folder=True) as part:
    part.mkdir()
    (part / "value").write_text("new")
"""


def make(path: Path, value: str, kind: str) -> None:
    with whole(path, folder=kind == "folder") as part:
        if kind == "folder":
            part.mkdir()
            part = part / "value"
        part.write_text(value)


def read(path: Path, kind: str) -> str:
    return (path / "value" if kind == "folder" else path).read_text()


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@contextmanager
def writing(path: Path, kind: str):
    """A process that has written half of its target and waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stdout.readline() == b"here\n"
        yield process
    finally:
        process.kill()
        process.communicate()


KINDS = pytest.mark.parametrize("kind", ["file", "folder"])


@KINDS
def test_what_is_written_replaces_what_was_there(tmp_path, kind):
    for value in ("one", "two"):
        make(tmp_path / "x", value, kind)
        assert read(tmp_path / "x", kind) == value
        assert names(tmp_path) == ["x"]


def test_a_file_may_be_read_by_whoever_may_read_files(tmp_path):
    former = os.umask(0o022)
    try:
        path = write_bytes(str(tmp_path / "w"), b"payload")
    finally:
        os.umask(former)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert path.read_bytes() == b"payload"


@pytest.mark.parametrize("fails", ["write", "fsync", "replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_file_that_fails_leaves_the_old_one_and_nothing_beside(tmp_path, monkeypatch, fails, error):
    (tmp_path / "w").write_bytes(b"old")

    def die(*_):
        raise error

    owner = {"write": Path, "fsync": os, "replace": Path}[fails]
    monkeypatch.setattr(owner, {"write": "write_bytes"}.get(fails, fails), die)
    with pytest.raises(error):
        write_bytes(tmp_path / "w", b"new")
    assert (tmp_path / "w").read_bytes() == b"old"
    assert names(tmp_path) == ["w"]


@pytest.mark.parametrize("failing", [1, 2], ids=["moving the old one", "moving the new one"])
def test_a_folder_that_cannot_be_moved_leaves_the_old_one(tmp_path, monkeypatch, failing):
    make(tmp_path / "x", "old", "folder")
    rename, calls = Path.rename, []

    def sometimes(path, target):
        calls.append(path)
        if len(calls) == failing:
            raise PermissionError("not now")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", sometimes)
    with pytest.raises(PermissionError, match="not now"):
        make(tmp_path / "x", "new", "folder")
    assert read(tmp_path / "x", "folder") == "old"
    assert names(tmp_path) == ["x"]


def test_a_folder_that_cannot_be_put_back_at_once_is_not_lost(tmp_path, monkeypatch):
    make(tmp_path / "x", "old", "folder")
    rename, calls = Path.rename, []

    def once(path, target):
        calls.append(path)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", once)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "x", "new", "folder")
    monkeypatch.undo()
    assert not (tmp_path / "x").exists()
    write_bytes(tmp_path / "another", b"")
    assert read(tmp_path / "x", "folder") == "old"
    assert names(tmp_path) == ["another", "x"]


# ------------------------------------------------------------------------ kills


@KINDS
@pytest.mark.parametrize("before", [True, False], ids=["over an old one", "a new one"])
def test_a_killed_process_leaves_the_old_one_and_the_next_write_cleans_up(tmp_path, kind, before):
    path = tmp_path / "x"
    if before:
        make(path, "old", kind)
    with writing(path, kind) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(names(tmp_path)) == 1 + before
    assert not before or read(path, kind) == "old"
    assert path.exists() == before
    make(path, "new", kind)
    assert read(path, kind) == "new"
    assert names(tmp_path) == ["x"]


@KINDS
def test_an_interrupted_process_leaves_the_old_one_and_nothing_beside(tmp_path, kind):
    make(tmp_path / "x", "old", kind)
    with writing(tmp_path / "x", kind) as process:
        process.send_signal(signal.SIGINT)
        process.wait()
    assert read(tmp_path / "x", kind) == "old"
    assert names(tmp_path) == ["x"]


@KINDS
def test_who_is_still_writing_is_left_alone(tmp_path, kind):
    with writing(tmp_path / "x", kind) as process:
        make(tmp_path / "x", "mine", kind)
        assert len(names(tmp_path)) == 2
        process.communicate()  # ends what it waits for
        assert process.returncode == 0
    assert names(tmp_path) == ["x"]
    left = tmp_path / "x" / "half" if kind == "folder" else tmp_path / "x"
    assert left.read_text() == "half"  # the last to finish


def test_a_process_killed_between_the_two_moves_loses_no_folder(tmp_path):
    make(tmp_path / "x", "old", "folder")
    killed = subprocess.run(
        [sys.executable, "-c", SWAPPER, str(tmp_path / "x")],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "x").exists()
    write_bytes(tmp_path / "another", b"")
    assert read(tmp_path / "x", "folder") == "old"
    assert names(tmp_path) == ["another", "x"]


def test_of_two_that_write_the_same_the_first_wins_where_asked(tmp_path):
    with whole(tmp_path / "x", folder=True, keep=True) as part:
        part.mkdir()
        (part / "value").write_text("slow")
        make(tmp_path / "x", "quick", "folder")
    assert read(tmp_path / "x", "folder") == "quick"
    assert names(tmp_path) == ["x"]


# ------------------------------------------------------------ where it may be written


def test_a_link_stays_one_and_what_it_points_to_is_written(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far" / "file")
    for value in ("one", "two"):
        make(tmp_path / "link", value, "file")
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "far" / "file").read_text() == value
    assert names(tmp_path / "far") == ["file"]


@pytest.mark.parametrize(
    ("name", "folder", "message"),
    [
        ("nowhere/x", False, "the folder .*nowhere does not exist; make it first"),
        ("file/x", False, "the folder .*file is not a folder"),
        ("folder", False, "there is a folder of that name; choose another name"),
        ("file", True, "there is a file of that name; choose another name"),
        ("lost", False, "the folder .*nowhere does not exist; make it first"),
    ],
)
def test_what_cannot_be_written_is_named_before_any_work(tmp_path, name, folder, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").write_text("kept")
    (tmp_path / "file").write_text("kept")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere" / "x")
    for call in (check_target, lambda *given, **options: whole(*given, **options).__enter__()):
        with pytest.raises(OutputError, match=f"^cannot write .*{name}: {message}$"):
            call(tmp_path / name, folder=folder)
    assert (tmp_path / "folder" / "kept").read_text() == (tmp_path / "file").read_text() == "kept"
    assert names(tmp_path) == ["file", "folder", "lost"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_device_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="there is a device of that name"):
        write_bytes(tmp_path / "pipe", b"")
    assert (tmp_path / "pipe").is_fifo()


def test_a_folder_without_the_right_to_write_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # whoever runs the tests may be root
    with pytest.raises(OutputError, match=r"the folder .* is not writable; choose another one"):
        check_target(tmp_path / "x")


@pytest.mark.parametrize(
    ("output", "source", "message"),
    [
        ("basin.nc", "basin.nc", "it is .*basin.nc, which is read"),
        ("link.nc", "basin.nc", "it is .*basin.nc, which is read"),
        ("basin.nc", "link.nc", "it is .*link.nc, which is read"),
        ("hard.nc", "basin.nc", "it is .*basin.nc, which is read"),
        ("x.zarr", "x.zarr", "it is .*x.zarr, which is read"),
        ("other/../x.zarr", "x.zarr", "it is .*x.zarr, which is read"),
        ("x.zarr/out.nc", "x.zarr", "it would lie in .*x.zarr, which is read"),
        ("y.zarr/a/out.nc", "x.zarr", "it would lie in .*x.zarr, which is read"),
        ("x.zarr", "x.zarr/a/basin.nc", "it holds .*basin.nc, which is read"),
    ],
)
def test_what_is_read_is_not_written_over(tmp_path, output, source, message):
    (tmp_path / "basin.nc").write_text("kept")
    (tmp_path / "hard.nc").hardlink_to(tmp_path / "basin.nc")
    (tmp_path / "link.nc").symlink_to(tmp_path / "basin.nc")
    (tmp_path / "x.zarr" / "a").mkdir(parents=True)
    (tmp_path / "x.zarr" / "a" / "basin.nc").write_text("kept")
    (tmp_path / "y.zarr").symlink_to(tmp_path / "x.zarr")
    (tmp_path / "other").mkdir()
    with pytest.raises(OutputError, match=message):
        check_target(tmp_path / output, folder=output.endswith("zarr"), reads=[tmp_path / source])


def test_what_lies_beside_the_input_may_be_written(tmp_path):
    (tmp_path / "x.zarr").mkdir()
    (tmp_path / "basin.nc").write_text("kept")
    reads = [tmp_path / "x.zarr", tmp_path / "basin.nc", tmp_path / "absent.nc"]
    assert check_target(tmp_path / "out.nc", reads=reads).name == "out.nc"
    assert check_target(tmp_path / "out.zarr", folder=True, reads=reads).name == "out.zarr"


def test_the_error_is_the_builtin_ones_too_and_survives_pickle(tmp_path):
    with pytest.raises(OutputError) as caught:
        write_bytes(tmp_path / "nowhere" / "x", b"")
    assert isinstance(caught.value, InvalidArgumentError)
    assert isinstance(caught.value, OSError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
