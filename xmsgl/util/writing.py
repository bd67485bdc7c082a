"""Write a file or a folder completely or not at all, and never over the files being read.

Output is written to a hidden folder beside its target and moved when complete. A lock in that folder marks
it as in use; the operating system releases it however the process ends.
"""

from __future__ import annotations

import os
import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from xmsgl.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["check_target", "discard", "make_folder", "own_threads", "sync", "whole", "write_bytes"]

_PREFIX, _SUFFIX, _DEAD = ".xmsgl-", ".part", ".dead"
_LOCK, _NEW, _OLD = "lock", "new", "old"  # in the hidden folder: its lock, the new version, the old one


def check_target(
    path: str | os.PathLike[str], *, folder: bool = False, reads: Iterable[str | os.PathLike[str]] = ()
) -> Path:
    """Check before any work that a result can be written, and return its real path."""
    target, given = Path(os.path.realpath(path)), Path(path)
    if fault := _fault(target, given, folder) or _clash(target, reads):
        msg = f"cannot write {given}: {fault}"
        raise OutputError(msg)
    return target


def make_folder(path: Path) -> Path:
    """Make a folder and those above it, if they do not exist."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"cannot make the folder {path}: {error.strerror or error}; choose another one"
        raise OutputError(msg) from error
    return path


def _fault(target: Path, given: Path, folder: bool) -> str:
    """Return why the target cannot be written, or an empty text."""
    parent = target.parent if given.is_symlink() else given.parent
    if not parent.is_dir():
        missing = "is not a folder" if parent.exists() else "does not exist; make it first"
        return f"the folder {parent} {missing}"
    if not os.access(parent, os.W_OK | os.X_OK):
        return f"the folder {parent} is not writable; choose another one"
    if target.is_dir() and not folder:
        return "there is a folder of that name; choose another name"
    if target.exists() and not target.is_dir() and (folder or not target.is_file()):
        return f"there is {'a file' if target.is_file() else 'a device'} of that name; choose another name"
    return ""


def _clash(target: Path, reads: Iterable[str | os.PathLike[str]]) -> str:
    """Return which file being read would be overwritten, or an empty text."""
    for each in reads:
        source = Path(os.path.realpath(each))
        if _is_one_of(source, [target]):
            return f"it is {each}, which is read; choose another name"
        if _is_one_of(source, target.parents):
            return f"it would lie in {each}, which is read; choose another folder"
        if _is_one_of(target, source.parents):
            return f"it holds {each}, which is read; choose another name"
    return ""


def _is_one_of(path: Path, others: Iterable[Path]) -> bool:
    """Compare as the file system does, because different names can mean the same file."""
    return path.exists() and any(other.exists() and other.samefile(path) for other in others)


@contextmanager
def whole(path: str | os.PathLike[str], *, folder: bool = False, keep: bool = False) -> Iterator[Path]:
    """Yield a temporary path; what is written there replaces the target in one step at the end.

    After an error or Ctrl-C the target is unchanged and nothing else is left. After a killed process, or if
    threads write on after an error, the target is unchanged, and the next write into the same folder removes
    the hidden folder; if a folder was just being replaced, the next write restores it. With `keep`, an
    existing folder is not replaced.
    """
    target = check_target(path, folder=folder)
    with _workplace(target.parent) as place:
        new = place / _NEW / target.name
        yield new
        sync(new)
        _move(new, target, place / _OLD, keep=keep)


def write_bytes(path: str | os.PathLike[str], payload: bytes) -> Path:
    """Write a file completely or not at all."""
    with whole(path) as part:
        part.write_bytes(payload)
    return Path(path)


@contextmanager
def _workplace(parent: Path) -> Iterator[Path]:
    """Make a hidden, locked folder, and remove it at the end."""
    from filelock import FileLock

    _sweep(parent)
    place = parent / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
    place.mkdir()
    lock = FileLock(place / _LOCK)
    try:
        lock.acquire()
        (place / _NEW).mkdir()  # from now on a sweep checks the lock
        yield place
    finally:
        try:
            _restore(place)
        finally:
            lock.release()
        discard(place)


def _sweep(parent: Path) -> None:
    """Remove what killed processes have left, after restoring what they had moved aside."""
    from filelock import FileLock

    for new in parent.glob(f"{_PREFIX}*{_SUFFIX}/{_NEW}"):
        place = new.parent
        with suppress(OSError):  # locked, owned by another user, or swept by another process
            with FileLock(place / _LOCK, timeout=0):
                _restore(place)
            discard(place)
    for dead in parent.glob(f"{_PREFIX}*{_DEAD}"):
        shutil.rmtree(dead, ignore_errors=True)


def _restore(place: Path) -> None:
    """Move a replaced folder back, unless the new one already has its name."""
    for old in (place / _OLD).glob("*"):
        if not os.path.lexists(place.parent / old.name):
            old.rename(place.parent / old.name)


def discard(place: Path) -> None:
    """Rename a hidden folder and remove it, so that no process uses a half-removed one."""
    dead = place.with_name(f"{_PREFIX}{secrets.token_hex(8)}{_DEAD}")
    with suppress(OSError):  # another process was faster
        place.rename(dead)
        shutil.rmtree(dead, ignore_errors=True)


def sync(path: Path) -> None:
    """Flush files to the disk before they get their final names."""
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file():
            with file.open("rb+") as stream:
                os.fsync(stream.fileno())


def _move(new: Path, target: Path, aside: Path, *, keep: bool) -> None:
    """Move the new version to its target; a folder cannot be replaced in one step, so it is moved aside."""
    if keep:
        try:
            new.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    elif new.is_file() or not target.is_dir():
        new.replace(target)
    else:
        aside.mkdir()
        target.rename(aside / target.name)
        new.rename(target)


@contextmanager
def own_threads() -> Iterator[None]:
    """Let dask compute in threads that end with the block, so that none writes on after Ctrl-C.

    Not for two threads at once: dask's settings are those of the process.
    """
    import dask
    from dask.system import CPU_COUNT

    pool = ThreadPoolExecutor(dask.config.get("num_workers", None) or CPU_COUNT)
    try:
        with dask.config.set(pool=pool):
            yield
    finally:
        pool.shutdown(cancel_futures=True)
