"""Fetch files from the cache, a mirror or their published address; hashes are always checked."""

from __future__ import annotations

import logging
import os
import threading
import time
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from xmsgl.datasets.registry import BASE_URL, LIBRARIES, RemoteFile, dataset_files
from xmsgl.errors import DataUnavailableError, OutputError
from xmsgl.util.arguments import checked
from xmsgl.util.cache import ANOTHER_CACHE, DIRECTORY_VARIABLE, cache_folder
from xmsgl.util.options import get_option
from xmsgl.util.progress import progress_bar
from xmsgl.util.writing import make_folder, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tqdm import tqdm

    from xmsgl.util.options import Progress

__all__ = ["Availability", "addresses", "availability", "cache_folder", "fetch", "mirror_root"]

logger = logging.getLogger(__name__)

MIRROR_VARIABLE = "XMSGL_DATA_MIRROR"
_TIMEOUT = (5.0, 60.0)  # seconds to connect, seconds between two bytes
_PROBE_TIMEOUT = 4.0
_PATIENCE, _SLOWEST = 60.0, 20_000.0  # seconds for any file, and bytes in each second more
_BLOCK = 2**14  # bytes
_PLAIN = {"Accept-Encoding": "identity"}  # sizes are those of the plain files
_DOWNLOADS = "downloads"  # in the cache folder

_T = TypeVar("_T")


def mirror_root() -> str | None:
    """Return the mirror to try before the published addresses, if any."""
    chosen = get_option("data_mirror") or os.environ.get(MIRROR_VARIABLE)
    return str(chosen) if chosen else None


def addresses(file: RemoteFile, mirror: str | None = None) -> tuple[str, ...]:
    """Return the addresses of a file in the order in which they are tried."""
    published = BASE_URL + file.path
    if not mirror:
        return (published,)
    if _is_url(mirror):
        return f"{mirror.rstrip('/')}/{file.path}", published
    return str(Path(mirror).expanduser() / file.path), published


def _is_url(address: str) -> bool:
    return address.startswith(("http://", "https://"))


@checked
def fetch(
    name: str,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    retries: int = 2,
) -> dict[str, Path]:
    """Fetch the files of a dataset into the cache.

    A file is taken from the cache, the mirror or the published address, whichever first has it with the
    correct hash, and appears in the cache only when complete. An address that sends more than the registered
    size, or takes longer than a minute and a second for each 20 kB, is left.

    Parameters
    ----------
    name
        The dataset, for example ``"delaware"``.
    cache_dir
        Folder of the cache. Default None: see :func:`xmsgl.datasets.download.cache_folder`.
    progress
        Whether to draw a progress bar. Default None: the option ``progress``.
    retries
        Repetitions of a failed attempt at each address, unless the file does not exist there.

    Returns
    -------
    dict of str to pathlib.Path
        Paths of the files by their short names in the registry.

    Raises
    ------
    UnknownNameError
        No dataset has that name.
    DataUnavailableError
        A file is not available with the correct hash from any address.
    OutputError
        The cache folder cannot be written, for example because the disk is full.

    Examples
    --------
    >>> paths = fetch("delaware")  # doctest: +SKIP
    >>> paths["tmax"].is_file()  # doctest: +SKIP
    True
    """
    wanted = dataset_files(name)
    folder = cache_folder(cache_dir)
    mirror = mirror_root()
    paths = {}
    total = sum(file.size for file in wanted)
    with progress_bar(
        total, f"files of {name}", unit="B", draw=progress, unit_scale=True, leave=False
    ) as bar:
        for before, file in zip(accumulate((file.size for file in wanted), initial=0), wanted, strict=False):
            paths[file.key] = _fetch_one(file, folder, mirror, retries, bar)
            bar.update(before + file.size - bar.n)
    return paths


def _fetch_one(file: RemoteFile, folder: Path, mirror: str | None, retries: int, bar: tqdm[Any]) -> Path:
    import pooch

    target = folder / _DOWNLOADS / file.path
    if _has_size(target, file.size) and pooch.file_hash(str(target), alg="sha256") == file.sha256:
        logger.debug("%s is in the cache, %s", file.key, target)
        return target
    reasons = []
    for address in addresses(file, mirror):
        reason = _attempts(file, target, address, retries, bar)
        if reason is None:
            logger.info("fetched %s (%d bytes) from %s", file.key, file.size, address)
            return target
        logger.info("%s is not available from %s: %s", file.key, address, reason)
        reasons.append(f"  - {address}: {reason}\n")
    msg = (
        f"the file {target.name!r} ({file.size} bytes) is not available. Tried:\n{''.join(reasons)}"
        f"Cache folder: {folder}\n"
        f"Set {MIRROR_VARIABLE} to a folder or URL that contains {file.path}, "
        f"or {DIRECTORY_VARIABLE} to a cache folder that was filled with 'xmsgl fetch'."
    )
    raise DataUnavailableError(msg)


def _attempts(file: RemoteFile, target: Path, address: str, retries: int, bar: tqdm[Any]) -> str | None:
    """Try one address up to `retries` + 1 times; return None on success, otherwise the reason."""
    start, reason = bar.n, "not tried"
    for attempt in range(retries + 1):
        if attempt:
            time.sleep(min(0.5 * 2**attempt, 8.0))
        try:
            _attempt(file, target, address, bar)
        except _FetchError as failure:
            bar.update(start - bar.n)
            reason = str(failure)
            if not isinstance(failure, _PassingError):
                break
        else:
            return None
    return reason


class _FetchError(Exception):
    """A file cannot be had from an address."""


class _PassingError(_FetchError):
    """Another attempt may succeed."""


def _attempt(file: RemoteFile, target: Path, address: str, bar: tqdm[Any]) -> None:
    """Fetch a file from one address, whole and with its hash, or raise the reason of the failure."""
    import pooch

    late = threading.Event()
    seconds = _PATIENCE + file.size / _SLOWEST

    def receive(url: str, output_file: str, _: object) -> None:
        _within(seconds, lambda: _receive(file, url, Path(output_file), bar, late))

    try:
        make_folder(target.parent)
        # In a folder of its own, so that what a killed process leaves of it is removed.
        with whole(target) as part, _quiet(pooch.get_logger()):
            pooch.retrieve(
                address, f"sha256:{file.sha256}", fname=part.name, path=part.parent, downloader=receive
            )
    except TimeoutError:
        reason = f"not complete after {seconds:.0f} s"
        raise _FetchError(reason) from None
    except OutputError as error:
        raise OutputError(f"{error}; {ANOTHER_CACHE}") from error
    except ValueError:  # raised by pooch, after it has removed the file
        reason = (
            f"wrong sha256 (expected {file.sha256}), not kept in the cache folder. If this is a mirror, "
            f"repair it or unset {MIRROR_VARIABLE}"
        )
        raise _FetchError(reason) from None
    except OSError as error:
        msg = (
            f"cannot write {target}: {error.strerror or error}; make room in the cache folder, or "
            f"{ANOTHER_CACHE}"
        )
        raise OutputError(msg) from error
    finally:
        late.set()


def _within(seconds: float, work: Callable[[], _T]) -> _T:
    """Return the result of some work; TimeoutError if it takes longer, and the work is left to end."""
    outcome: Future[_T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised by result()
            outcome.set_exception(error)

    # A timeout of the connection alone would not end one that sends a byte now and then.
    threading.Thread(target=run, daemon=True).start()
    return outcome.result(seconds)


def _receive(file: RemoteFile, address: str, part: Path, bar: tqdm[Any], late: threading.Event) -> None:
    """Write a file as far as its registered size."""
    size = 0
    blocks = _from_server(address) if _is_url(address) else _from_folder(Path(address))
    with closing(blocks), part.open("wb") as stream:
        for block in blocks:
            size += len(block)
            if late.is_set() or size > file.size:
                reason = f"it is longer than the registered {file.size} bytes"
                raise _FetchError(reason)
            stream.write(block)
            bar.update(len(block))
    if size < file.size:
        reason = f"it ends after {size} of {file.size} bytes"
        raise _PassingError(reason)


@contextmanager
def _quiet(other: logging.Logger) -> Iterator[None]:
    """Mute pooch's own messages, which repeat ours."""
    level = other.level
    other.setLevel(logging.WARNING)
    try:
        yield
    finally:
        other.setLevel(level)


def _from_server(address: str) -> Generator[bytes]:
    import requests

    try:
        with requests.get(address, stream=True, timeout=_TIMEOUT, headers=_PLAIN) as answer:
            status = answer.status_code
            if not answer.ok:
                reason = f"HTTP status {status}"
                raise (_PassingError if status >= 500 or status == 429 else _FetchError)(reason)
            yield from answer.iter_content(_BLOCK)
    except requests.RequestException as error:
        lost = isinstance(error, requests.ConnectionError)
        reason = f"no connection ({type(error).__name__})" if lost else f"{type(error).__name__}: {error}"
        raise _PassingError(reason) from error


def _from_folder(path: Path) -> Generator[bytes]:
    try:
        if not path.is_file():  # a pipe or a device would never end
            reason = "not a regular file" if os.path.lexists(path) else "no such file"
            raise _FetchError(reason)
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                yield block
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        raise _FetchError(reason) from error


@dataclass(frozen=True)
class Availability:
    """Whether the files of a dataset are available, and from where."""

    origin: str  # "cache", "mirror", "network" or "none": the source of the missing files
    where: str  # the folder or address that has them, or that was tried first
    reason: str  # one sentence for a log

    def __bool__(self) -> bool:
        return self.origin != "none"


@checked
def availability(name: str, *, cache_dir: str | os.PathLike[str] | None = None) -> Availability:
    """Find out quickly whether a dataset is available, and from where its files would come.

    Files in the cache are recognised by their size, and a server is asked only for the headers of one
    missing file.

    Parameters
    ----------
    name
        The dataset, for example ``"delaware"``.
    cache_dir
        Folder of the cache. Default None: see :func:`xmsgl.datasets.download.cache_folder`.

    Returns
    -------
    Availability
        True if the files are available; ``origin``, ``where`` and ``reason`` tell more.

    Raises
    ------
    UnknownNameError
        No dataset has that name.

    Examples
    --------
    >>> found = availability("delaware")
    >>> found.origin in {"cache", "mirror", "network", "none"}
    True
    """
    folder = cache_folder(cache_dir)
    lacking = [library for library in LIBRARIES.get(name, ()) if find_spec(library) is None]
    if lacking:
        reason = f'{name} needs {", ".join(lacking)}, not installed: pip install "xmsgl[data]"'
        return Availability("none", str(folder), reason)
    downloads = folder / _DOWNLOADS
    missing = [file for file in dataset_files(name) if not _has_size(downloads / file.path, file.size)]
    if not missing:
        return Availability("cache", str(folder), f"all files of {name} are in {folder}")
    probes = [("network", BASE_URL, missing[0].url)]
    if mirror := mirror_root():
        probes.insert(0, ("mirror", mirror, addresses(missing[0], mirror)[0]))
    failures = []
    for origin, root, address in probes:
        failure = _probe(address, missing[0].size)
        if failure is None:
            reason = f"{len(missing)} files of {name} are not in {folder} but available from {root}"
            return Availability(origin, root, reason)
        failures.append(f"{root}: {failure}")
    reason = (
        f"{len(missing)} files of {name} are not in the cache folder {folder} and not available from "
        f"{'; '.join(failures)}. Set {MIRROR_VARIABLE} or {DIRECTORY_VARIABLE}"
    )
    return Availability("none", probes[0][1], reason)


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.is_file() and path.stat().st_size == size
    except OSError:
        return False


def _probe(address: str, size: int) -> str | None:
    """Return None if the address has the file, otherwise the reason why not."""
    if not _is_url(address):
        return None if _has_size(Path(address), size) else "no such file there"
    import requests

    try:
        answer = _within(
            2 * _PROBE_TIMEOUT, lambda: requests.head(address, timeout=_PROBE_TIMEOUT, allow_redirects=True)
        )
    except (TimeoutError, requests.RequestException) as error:
        return f"no connection ({type(error).__name__})"
    return None if answer.ok else f"HTTP status {answer.status_code}"
