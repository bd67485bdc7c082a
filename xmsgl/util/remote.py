"""Files and Zarr stores at URLs of fsspec, with the part of pathlib that the package needs.

What is written becomes visible in one step: a file is put as a whole, and a store gets the metadata that make
it one after all its chunks. Messages show a URL without its user, password and query.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, overload

from xmsgl.errors import DataUnavailableError, OutputError
from xmsgl.util.address import CACHES, is_url, without_secrets
from xmsgl.util.writing import check_target, whole, write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "Location",
    "Remote",
    "address_of",
    "check_file",
    "located",
    "read_file",
    "uncached",
    "whole_file",
    "write_file",
]

_ROOT = ("zarr.json", ".zmetadata", ".zgroup", ".zattrs")  # make a folder a store
_LOCAL = ("file://", "local://")


@dataclass(frozen=True, repr=False)
class Remote:
    """A file or a Zarr store at a URL."""

    url: str

    def __str__(self) -> str:
        return without_secrets(self.url)

    __repr__ = __str__

    @property
    def name(self) -> str:
        """Last part of the path, without a query."""
        return PurePosixPath(self.url.split("?")[0]).name

    @property
    def suffix(self) -> str:
        """Ending of the name, with its dot."""
        return PurePosixPath(self.name).suffix

    def with_ending(self, ending: str) -> Remote:
        """Return the place beside this one whose name has an ending added."""
        return Remote(self.url.rstrip("/") + ending)

    def same_as(self, other: Remote) -> bool:
        """Whether one of two places is the other one, or lies in it; caches make no difference."""
        one, two = (f"{uncached(each.url).rstrip('/')}/" for each in (self, other))
        return one.startswith(two) or two.startswith(one)

    def exists(self) -> bool:
        """Whether there is a file or a folder with a file."""
        with self._explained("read"):
            fs, path = self._opened()
            return bool(fs.exists(path))

    def read_bytes(self) -> bytes:
        """Read a file."""
        with self._explained("read"):
            fs, path = self._opened()
            return bytes(fs.cat_file(path))

    def write_bytes(self, payload: bytes) -> None:
        """Write a file, whole or not at all."""
        with self._explained("write"):
            fs, path = self._opened(write=True)
            fs.pipe_file(path, payload)

    def fetched(self) -> Path:
        """Return a copy of a file that lasts until the process ends, fetched again if the file has changed.

        Prefixes such as ``simplecache::`` keep their own copies.
        """
        import fsspec

        with self._explained("read"):
            if self.url.startswith(tuple(f"{each}::" for each in CACHES)):
                return Path(fsspec.open_local(self.url))
            fs, path = self._opened()
            digest = hashlib.sha256(f"{self.url} {fs.ukey(path)}".encode()).hexdigest()
            copy = Path(_copies(os.getpid()).name, digest[:32] + self.suffix)
            if not copy.exists():
                with whole(copy) as part:
                    fs.get_file(path, str(part))
            return copy

    def put(self, file: Path) -> None:
        """Write a file from one on this machine; if that fails, the error says where it was kept."""
        try:
            with self._explained("write"):
                fs, path = self._opened(write=True)
                fs.put_file(str(file), path)
        except OutputError as error:
            kept = Path(tempfile.mkdtemp(prefix="xmsgl-"), file.name)
            shutil.move(file, kept)
            msg = f"{error}; the result was kept in {kept}"
            raise OutputError(msg) from None

    def files(self) -> set[str]:
        """List the files in a folder by their paths in it; none if there is no folder."""
        with self._explained("read"):
            fs, path = self._opened()
            root = str(path).rstrip("/")
            try:
                return {each[len(root) + 1 :] for each in fs.find(root)} - {""}
            except FileNotFoundError:
                return set()

    def copy(self, names: Iterable[str], target: Remote) -> None:
        """Copy files of this folder into another one, on the server where it can."""
        names = sorted(names)
        if not names:
            return
        with target._explained("write"):
            fs, path = self._opened()
            _, other = target._opened(write=True)
            fs.copy([f"{path}/{name}" for name in names], [f"{other}/{name}" for name in names])

    def remove(self) -> None:
        """Remove a store with all its files; first what makes it a store."""
        names = self.files()
        with self._explained("write"):
            fs, path = self._opened(write=True)
            for some in (names & set(_ROOT), names - set(_ROOT)):
                if some:
                    fs.rm([f"{path}/{name}" for name in sorted(some)])

    def become(self, target: Remote) -> None:
        """Move a store to another place, whose files are removed.

        A process that is killed here leaves this store whole, and at the target a store that is whole or
        cannot be opened.
        """
        target.remove()
        names = self.files()
        self.copy(names - set(_ROOT), target)
        if lost := names - set(_ROOT) - target.files():
            msg = f"cannot write {target}: {len(lost)} of {len(names)} files were not copied from {self}"
            raise OutputError(msg)
        self.copy(names & set(_ROOT), target)
        self.remove()

    def _opened(self, *, write: bool = False) -> tuple[Any, str]:
        """Return the file system, which forgets its listings, and the path on it."""
        from fsspec.core import url_to_fs

        url = uncached(self.url)
        if write and "::" in url:
            msg = f"cannot write {self}: it lies in another file; give a URL without ::"
            raise OutputError(msg)
        fs, path = url_to_fs(url)
        fs.invalidate_cache()
        return fs, str(path).rstrip("/")

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        """Turn what a scheme raises into an error of the package in one line."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - each scheme has errors of its own
            self.refuse(verb, error)

    def refuse(self, verb: str, error: Exception) -> NoReturn:
        """Raise the error of the package for one of a scheme, which may contain the URL with its secrets."""
        if isinstance(error, OutputError | DataUnavailableError):  # explained already
            raise error
        msg = f"cannot {verb} {self}: {_cause(error)}"
        raise (OutputError if verb == "write" else DataUnavailableError)(msg) from None


Location: TypeAlias = Path | Remote


def located(place: str | os.PathLike[str] | Remote) -> Location:
    """Return a path, also for a URL of this machine, or the place of a URL."""
    if isinstance(place, Remote):
        return place
    if not isinstance(place, str) or not is_url(place):
        return Path(place)
    if not place.startswith(_LOCAL):
        return Remote(place)
    from fsspec.core import url_to_fs

    return Path(url_to_fs(place)[1])


@overload
def address_of(place: Location) -> Path | str: ...
@overload
def address_of(place: None) -> None: ...
def address_of(place: Location | None) -> Path | str | None:
    """Return a path or URL as the methods of datasets and models take it."""
    return place.url if isinstance(place, Remote) else place


def check_file(path: str | os.PathLike[str]) -> None:
    """Check before any work that a file can be written; at a URL, that its server answers."""
    target = located(path)
    if isinstance(target, Remote):
        target.exists()
    else:
        check_target(target)


def read_file(path: str | os.PathLike[str]) -> bytes | None:
    """Read a file or a URL; None if there is no file at the path."""
    source = located(path)
    if isinstance(source, Remote):
        return source.read_bytes()
    return source.read_bytes() if source.is_file() else None


def write_file(path: str | os.PathLike[str], payload: bytes) -> Path | str:
    """Write a file completely or not at all, and return where; a URL as it was given."""
    target = located(path)
    if isinstance(target, Path):
        return write_bytes(target, payload)
    target.write_bytes(payload)
    return target.url


@contextmanager
def whole_file(target: Location) -> Iterator[Path]:
    """Yield a temporary path; the file written there gets to the target in one step at the end."""
    if isinstance(target, Path):
        with whole(target) as part:
            yield part
        return
    with tempfile.TemporaryDirectory(prefix="xmsgl-") as folder:
        part = Path(folder, target.name)
        yield part
        target.put(part)


def uncached(url: str) -> str:
    """Return a URL without the caches before it."""
    while url.startswith(tuple(f"{each}::" for each in CACHES)):
        url = url.split("::", 1)[1]
    return url


@cache
def _copies(process: int) -> tempfile.TemporaryDirectory[str]:  # noqa: ARG001 - a fork has its own
    return tempfile.TemporaryDirectory(prefix="xmsgl-")


def _cause(error: Exception) -> str:
    """Say in words that hold no secret what went wrong."""
    kind = type(error).__name__
    if isinstance(error, ImportError):
        return f"{kind}: {error}"
    if isinstance(error, PermissionError) or "Credentials" in kind:
        return f"access was denied ({kind}); check your credentials and their rights"
    if isinstance(error, FileNotFoundError) or "NotFound" in kind:
        return f"there is nothing of that name ({kind}); check the address"
    if isinstance(error, ConnectionError | TimeoutError) or "Connect" in kind or "Timeout" in kind:
        return f"the server does not answer ({kind}); check the address and your access to it"
    return f"{kind}; check the address and your access to it"
