"""Writing a file or a folder whole or not at all, and never over what is being read.

What is written lies in a hidden folder beside its target until it is complete. A lock in that folder
says that somebody is at work in it; the operating system lifts it however the process ends.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from xmsgl.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["check_target", "whole", "write_bytes"]

_PREFIX, _SUFFIX, _DEAD = ".xmsgl-", ".part", ".dead"
_LOCK, _NEW, _OLD = "lock", "new", "old"  # in the hidden folder: its lock, what is written, what is replaced


def check_target(
    path: str | os.PathLike[str], *, folder: bool = False, reads: Iterable[str | os.PathLike[str]] = ()
) -> Path:
    """Check, before any work, that a result can be written."""
    target, given = Path(os.path.realpath(path)), Path(path)
    if fault := _fault(target, given, folder) or _clash(target, reads):
        msg = f"cannot write {given}: {fault}"
        raise OutputError(msg)
    return target


def _fault(target: Path, given: Path, folder: bool) -> str:
    """Say why nothing can be written there; empty where it can."""
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
    """Say which of the files that are read writing would touch; empty where it touches none."""
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
    """Compare as the file system does, for names may differ and mean the same file."""
    return path.exists() and any(other.exists() and other.samefile(path) for other in others)


@contextmanager
def whole(path: str | os.PathLike[str], *, folder: bool = False, keep: bool = False) -> Iterator[Path]:
    """Give a place to write to; what lies there in the end becomes the target in one step.

    An error or Ctrl-C leaves the target as it was, and nothing beside it. A process killed on the way leaves
    the target as it was, and a hidden folder that the next write into the same folder removes. A folder
    that is replaced is moved aside first; killed in that moment, the next write puts it back.
    """
    target = check_target(path, folder=folder)
    with _workplace(target.parent) as place:
        new = place / _NEW / target.name
        yield new
        _sync(new)
        _move(new, target, place / _OLD, keep=keep)


def write_bytes(path: str | os.PathLike[str], payload: bytes) -> Path:
    """Write a file whole or not at all."""
    with whole(path) as part:
        part.write_bytes(payload)
    return Path(path)


@contextmanager
def _workplace(parent: Path) -> Iterator[Path]:
    """Make a hidden folder that others can tell is in use, and remove it in the end."""
    from filelock import FileLock

    _sweep(parent)
    place = parent / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
    place.mkdir()
    lock = FileLock(place / _LOCK)
    try:
        lock.acquire()
        (place / _NEW).mkdir()  # from now on a sweep looks at the lock
        yield place
    finally:
        try:
            _restore(place)
        finally:
            lock.release()
        _discard(place)


def _sweep(parent: Path) -> None:
    """Remove what killed processes have left, and put back what they had moved aside."""
    from filelock import FileLock

    for new in parent.glob(f"{_PREFIX}*{_SUFFIX}/{_NEW}"):
        place = new.parent
        with suppress(OSError):  # locked, or somebody else's, or swept by another process as well
            with FileLock(place / _LOCK, timeout=0):
                _restore(place)
            _discard(place)
    for dead in parent.glob(f"{_PREFIX}*{_DEAD}"):
        shutil.rmtree(dead, ignore_errors=True)


def _restore(place: Path) -> None:
    """Put back what was moved aside, unless what replaces it has its name already."""
    for old in (place / _OLD).glob("*"):
        if not os.path.lexists(place.parent / old.name):
            old.rename(place.parent / old.name)


def _discard(place: Path) -> None:
    """Remove a hidden folder under another name, so that nobody takes up what is half removed."""
    dead = place.with_name(f"{_PREFIX}{secrets.token_hex(8)}{_DEAD}")
    with suppress(OSError):  # another process was faster
        place.rename(dead)
        shutil.rmtree(dead, ignore_errors=True)


def _sync(path: Path) -> None:
    """Bring files to the disk before they get the name that says they are complete."""
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file():
            with file.open("rb+") as stream:
                os.fsync(stream.fileno())


def _move(new: Path, target: Path, aside: Path, *, keep: bool) -> None:
    """Give what was written its name. A folder cannot be replaced in one step, so it is moved aside."""
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
