"""A Zarr store on a file system of fsspec whose errors name what could not be read or written.

Imported where a store is opened, because it needs zarr.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fsspec.core import url_to_fs
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
from zarr.storage import FsspecStore

from xmsgl.util.remote import Remote, uncached

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

__all__ = ["ExplainedStore", "store_at_url"]


class ExplainedStore(FsspecStore):
    """A store whose errors are those of the package, in one line and without secrets."""

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read a value, or a part of it; None if there is none."""
        try:
            return await super().get(key, prototype, byte_range)
        except Exception as error:  # noqa: BLE001 - each scheme has errors of its own
            self._at(key).refuse("read", error)

    async def set(self, key: str, value: Buffer, byte_range: tuple[int, int] | None = None) -> None:
        """Write a value."""
        try:
            await super().set(key, value, byte_range)
        except Exception as error:  # noqa: BLE001 - each scheme has errors of its own
            self._at(key).refuse("write", error)

    def _at(self, key: str) -> Remote:
        if "://" in self.path:  # as the file systems of the web have it
            return Remote(f"{self.path}/{key}")
        scheme = self.fs.protocol if isinstance(self.fs.protocol, str) else self.fs.protocol[0]
        return Remote(f"{scheme}://{self.path.lstrip('/')}/{key}")


def store_at_url(place: Remote, *, write: bool = False) -> Any:
    """Return the Zarr store of a place."""
    url = uncached(place.url) if write else place.url
    if "::" not in url:
        return ExplainedStore.from_url(url, read_only=not write)
    # A cache calls itself asynchronous, but its file system belongs to another event loop than zarr's.
    fs, path = url_to_fs(url)
    return ExplainedStore(AsyncFileSystemWrapper(fs, asynchronous=True), path=path, read_only=not write)
