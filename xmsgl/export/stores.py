"""Zarr stores that grow in pieces: in a folder of this machine, or at a URL.

Both grow beside their target and get its name when they are complete. A folder is renamed. Object stores
cannot rename: there the chunks are copied on the server, and last the metadata that make them a store.
"""

from __future__ import annotations

import shutil
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import xarray as xr

from xmsgl.errors import OutputError
from xmsgl.util.remote import Location, Remote
from xmsgl.util.writing import check_target, sync, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

__all__ = ["Place", "RemoteStore", "Store", "store_at"]

Place: TypeAlias = tuple[int, ...]  # of a chunk, by dimension


class Store(Protocol):
    """A place for a Zarr store. `earlier` and `target` are stores of the same class."""

    def unfinished(self) -> Store:
        """Return the store that grows beside this one."""

    def exists(self) -> bool:
        """Whether there is a store."""

    def zarr(self) -> Any:
        """Return what zarr writes to."""

    def opened(self) -> xr.Dataset:
        """Open the dataset, lazily and without dask."""

    def written(self, name: str) -> set[Place]:
        """List the chunks of a variable that are there."""

    def begin(self, made: xr.Dataset, encoding: Mapping[str, Any], earlier: Any, keep: set[str]) -> None:
        """Write metadata and coordinates, with files kept of an earlier store."""

    def finish(self, target: Any) -> None:
        """Move the complete store to its target."""

    def alone(self) -> AbstractContextManager[None]:
        """Refuse to write a store that another process is writing, where that can be known."""


@dataclass(frozen=True)
class _Folder:
    """A store in a folder of this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def unfinished(self) -> _Folder:
        """Return the store that grows beside this one."""
        return _Folder(self.path.with_name(f"{self.path.name}.unfinished"))

    def exists(self) -> bool:
        return self.path.exists()

    def zarr(self) -> Any:
        """Return what zarr writes to."""
        return str(self.path)

    def opened(self) -> xr.Dataset:
        """Open the dataset, lazily and without dask."""
        ds: xr.Dataset = xr.open_zarr(self.path, consolidated=False, chunks=None)
        return ds

    def written(self, name: str) -> set[Place]:
        """List the chunks of a variable that are there."""
        root = self.path / name / "c"
        return _places(str(each.relative_to(root).as_posix()) for each in root.rglob("*") if each.is_file())

    def begin(self, made: xr.Dataset, encoding: Mapping[str, Any], earlier: _Folder, keep: set[str]) -> None:
        """Write metadata and coordinates, with files kept of an earlier store."""
        with whole(self.path, folder=True) as new:
            _write_metadata(made, new, encoding)
            for name in keep:
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(earlier.path / name, new / name)

    def finish(self, target: _Folder) -> None:
        """Remove what killed writes left, and give the store its name.

        A process that is killed here leaves the unfinished store or the finished one, with all chunks.
        """
        for left in self.path.rglob("*.partial"):
            left.unlink()
        _consolidate(self)
        sync(self.path)
        aside = target.path.with_name(f"{target.path.name}.replaced")
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)  # left by a process killed below
            target.path.rename(aside)
        self.path.rename(target.path)
        shutil.rmtree(aside, ignore_errors=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Refuse to write a store that another process is writing."""
        from filelock import FileLock, Timeout

        lock = self.path.with_name(f"{self.path.name}.lock")
        try:
            with FileLock(lock).acquire(timeout=0):
                try:
                    yield
                finally:
                    lock.unlink(missing_ok=True)
        except Timeout as error:
            msg = f"another process is writing {self}; wait for it, or choose another name"
            raise OutputError(msg) from error


@dataclass(frozen=True)
class RemoteStore:
    """A store at a URL of fsspec."""

    place: Remote

    def __str__(self) -> str:
        return str(self.place)

    def unfinished(self) -> RemoteStore:
        """Return the store that grows beside this one."""
        return RemoteStore(self.place.with_ending(".unfinished"))

    def exists(self) -> bool:
        """Whether there is a store; a process killed while it removed or moved one leaves chunks alone."""
        return "zarr.json" in self.place.files()

    def zarr(self) -> Any:
        """Return what zarr writes to."""
        from xmsgl.util.remote_store import store_at_url

        return store_at_url(self.place, write=True)

    def opened(self) -> xr.Dataset:
        """Open the dataset, lazily and without dask."""
        from xmsgl.util.remote_store import store_at_url

        ds: xr.Dataset = xr.open_zarr(store_at_url(self.place), consolidated=False, chunks=None)
        return ds

    def written(self, name: str) -> set[Place]:
        """List the chunks of a variable that are there."""
        root = f"{name}/c/"
        return _places(each[len(root) :] for each in self.place.files() if each.startswith(root))

    def begin(
        self, made: xr.Dataset, encoding: Mapping[str, Any], earlier: RemoteStore, keep: set[str]
    ) -> None:
        """Write metadata and coordinates, with files kept of an earlier store."""
        self.place.remove()  # what a killed process left
        fresh = RemoteStore(self.place.with_ending(".new"))
        fresh.place.remove()
        _write_metadata(made, fresh.zarr(), encoding)
        earlier.place.copy(keep, fresh.place)
        fresh.place.become(self.place)

    def finish(self, target: RemoteStore) -> None:
        """Move the store to its target; a process that is killed here leaves the unfinished one, whole."""
        _consolidate(self)
        self.place.become(target.place)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Do nothing: object stores have no locks. Two equal jobs write equal chunks."""
        yield


def store_at(place: Location) -> Store:
    """Return the store at a path or URL, after a check that it can be written."""
    if isinstance(place, Remote):
        return RemoteStore(place)
    return _Folder(check_target(place, folder=True))


def _write_metadata(made: xr.Dataset, store: Any, encoding: Mapping[str, Any]) -> None:
    made.to_zarr(store, mode="w-", compute=False, encoding=encoding, zarr_format=3, consolidated=False)


def _consolidate(store: Store) -> None:
    """Collect the metadata of all arrays in one place, where xarray looks for them first."""
    import zarr

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(store.zarr(), zarr_format=3)


def _places(names: Iterable[str]) -> set[Place]:
    parts = (name.split("/") for name in names)
    return {tuple(map(int, each)) for each in parts if all(part.isdigit() for part in each)}
