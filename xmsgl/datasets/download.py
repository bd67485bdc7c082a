"""Fetch files from the cache, a mirror or their published address; hashes are always checked."""

from __future__ import annotations

import logging
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmsgl.datasets.registry import BASE_URL, LIBRARIES, RemoteFile, dataset_files
from xmsgl.errors import DataUnavailableError
from xmsgl.util.options import get_option
from xmsgl.util.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pooch
    from tqdm import tqdm

    from xmsgl.util.options import Progress

__all__ = ["Availability", "addresses", "availability", "cache_folder", "fetch", "mirror_root"]

logger = logging.getLogger(__name__)

DIRECTORY_VARIABLE = "XMSGL_DATA_DIR"
MIRROR_VARIABLE = "XMSGL_DATA_MIRROR"
_TIMEOUT = (5.0, 60.0)  # seconds to connect, seconds between two bytes
_PROBE_TIMEOUT = 4.0
_DOWNLOADS = "downloads"  # in the cache folder


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of fetched files and built datasets.

    Parameters
    ----------
    cache_dir
        The folder. Default None: the option ``data_dir``, otherwise the environment variable
        ``XMSGL_DATA_DIR``, otherwise the cache folder of the operating system.

    Returns
    -------
    pathlib.Path
        The folder, which may not exist yet.

    Examples
    --------
    >>> cache_folder("/tmp/rivers").name
    'rivers'
    """
    chosen = cache_dir or get_option("data_dir") or os.environ.get(DIRECTORY_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("xmsgl"))


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


def fetch(
    name: str,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    retries: int = 2,
) -> dict[str, Path]:
    """Fetch the files of a dataset into the cache.

    A file is taken from the cache, the mirror or the published address, whichever first has it with the
    correct hash, and appears in the cache only when complete.

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
        A file is not available from any address, or has a wrong hash.

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
            paths[file.key] = _fetch_one(file, folder, mirror, retries, _Share(bar, before))
            bar.update(before + file.size - bar.n)
    return paths


class _Share:
    """One file's part of the bar of all files, with the methods that pooch expects of a bar."""

    total: float = 0.0  # set by pooch

    def __init__(self, bar: tqdm[Any], start: float) -> None:
        self._bar, self._start = bar, start  # bytes of the files before this one

    def update(self, size: float) -> None:
        """Advance by a number of bytes."""
        self._bar.update(size)

    def reset(self) -> None:
        """Return to the start of the file, before another attempt or when it is complete."""
        self._bar.update(self._start - self._bar.n)

    def close(self) -> None:
        """Keep the bar for the files that follow."""


def _fetch_one(file: RemoteFile, folder: Path, mirror: str | None, retries: int, share: _Share) -> Path:
    import pooch

    downloads = folder / _DOWNLOADS
    target = downloads / file.path
    if target.is_file() and pooch.file_hash(str(target), alg="sha256") == file.sha256:
        logger.debug("%s is in the cache, %s", file.key, target)
        return target
    reasons = []
    for address in addresses(file, mirror):
        reason = _attempts(file, downloads, address, retries, share)
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


def _attempts(file: RemoteFile, downloads: Path, address: str, retries: int, share: _Share) -> str | None:
    """Try one address up to `retries` + 1 times; return None on success, otherwise the reason."""
    reason = "not tried"
    for attempt in range(retries + 1):
        if attempt:
            time.sleep(min(0.5 * 2**attempt, 8.0))
        share.reset()
        failure = _attempt(file, downloads, address, share)
        if failure is None:
            return None
        reason, again = failure
        if not again:
            break
    return reason


def _attempt(file: RemoteFile, downloads: Path, address: str, share: _Share) -> tuple[str, bool] | None:
    """Fetch a file from one address; return None, or the reason of the failure and whether to try again."""
    import pooch
    import requests

    store = pooch.create(
        path=downloads,
        base_url=BASE_URL,
        registry={file.path: f"sha256:{file.sha256}"},
        urls={file.path: address},
    )
    downloader = pooch.HTTPDownloader(progressbar=share, timeout=_TIMEOUT) if _is_url(address) else _copy
    try:
        with _quiet(pooch.get_logger()):
            store.fetch(file.path, downloader=downloader)
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        return f"HTTP status {status}", status >= 500 or status == 429
    except requests.ConnectionError as error:
        return f"no connection ({type(error).__name__})", True
    except requests.RequestException as error:
        return f"{type(error).__name__}: {error}", True
    except FileNotFoundError:
        return "no such file", False
    except ValueError:  # raised by pooch for a wrong hash, after it has removed the file
        msg = (
            f"{address} has a wrong sha256 (expected {file.sha256}), and was not kept in the cache folder "
            f"{downloads.parent}. If this is a mirror, repair it or unset {MIRROR_VARIABLE}."
        )
        raise DataUnavailableError(msg) from None
    return None


def _copy(address: str, output_file: str, store: pooch.Pooch) -> None:  # noqa: ARG001 - pooch's signature
    shutil.copyfile(address, output_file)


@contextmanager
def _quiet(other: logging.Logger) -> Iterator[None]:
    """Mute pooch's own messages, which repeat ours."""
    level = other.level
    other.setLevel(logging.WARNING)
    try:
        yield
    finally:
        other.setLevel(level)


@dataclass(frozen=True)
class Availability:
    """Whether the files of a dataset are available, and from where."""

    origin: str  # "cache", "mirror", "network" or "none": the source of the missing files
    where: str  # the folder or address that has them, or that was tried first
    reason: str  # one sentence for a log

    def __bool__(self) -> bool:
        return self.origin != "none"


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
    return path.is_file() and path.stat().st_size == size


def _probe(address: str, size: int) -> str | None:
    """Return None if the address has the file, otherwise the reason why not."""
    if not _is_url(address):
        return None if _has_size(Path(address), size) else "no such file there"
    import requests

    try:
        answer = requests.head(address, timeout=_PROBE_TIMEOUT, allow_redirects=True)
    except requests.RequestException as error:
        return f"no connection ({type(error).__name__})"
    return None if answer.ok else f"HTTP status {answer.status_code}"
