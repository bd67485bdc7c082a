"""Getting files: from the cache, else a mirror, else their published address, always checked by hash."""

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
    from collections.abc import Iterator, Sequence

    import pooch
    from tqdm import tqdm

    from xmsgl.util.options import Progress

__all__ = ["Availability", "addresses", "availability", "cache_folder", "fetch", "mirror_root"]

logger = logging.getLogger(__name__)

DIRECTORY_VARIABLE = "XMSGL_DATA_DIR"
MIRROR_VARIABLE = "XMSGL_DATA_MIRROR"
_TIMEOUT = (5.0, 60.0)  # seconds to connect, seconds between two bytes
_PROBE_TIMEOUT = 4.0


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder that keeps fetched files and built datasets.

    Parameters
    ----------
    cache_dir
        The folder. Default None: the option ``data_dir``, else the environment variable
        ``XMSGL_DATA_DIR``, else the cache folder of the operating system.

    Returns
    -------
    pathlib.Path
        The folder; it need not exist yet.

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
    """Return the mirror to try before the published addresses."""
    chosen = get_option("data_mirror") or os.environ.get(MIRROR_VARIABLE)
    return str(chosen) if chosen else None


def addresses(file: RemoteFile, mirror: str | None = None) -> tuple[str, ...]:
    """Decide where to look for a file, best first. Nothing is asked of anybody."""
    published = (BASE_URL + file.path,)
    if not mirror:
        return published
    return (_join(mirror, file.path), *published)


def _join(root: str, path: str) -> str:
    if _is_url(root):
        return f"{root.rstrip('/')}/{path}"
    return str(Path(root).expanduser() / path)


def _is_url(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _download_folder(folder: Path) -> Path:
    return folder / "downloads"


def fetch(
    name: str,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    retries: int = 2,
) -> dict[str, Path]:
    """Bring the files of a dataset into the cache and return where they lie.

    A file already there with the right hash is used as it is. Otherwise the mirror is asked first, then
    the published address. A file is kept only if its hash is right, and appears under its name only when
    complete, so that an interrupted download leaves nothing broken.

    Parameters
    ----------
    name
        The dataset, for example ``"delaware"``.
    cache_dir
        Folder of the cache. Default None: see :func:`xmsgl.datasets.download.cache_folder`.
    progress
        Whether to draw a progress bar. Default None: the option ``progress``.
    retries
        How often a failed attempt is repeated at each address. A file that is not there is not asked for
        twice.

    Returns
    -------
    dict of str to pathlib.Path
        Path of each file by its short name in the registry.

    Raises
    ------
    UnknownNameError
        No dataset has that name.
    DataUnavailableError
        A file can be had from nowhere, or comes with a wrong hash.
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
    """The part of a bar that is one file's: what pooch takes for a bar of its own.

    Parameters
    ----------
    bar
        Of all files.
    start
        Bytes of the files before this one.
    """

    total: float = 0.0  # pooch sets it

    def __init__(self, bar: tqdm[Any], start: float) -> None:
        self._bar, self._start = bar, start

    def update(self, size: float) -> None:
        """Move on by so many bytes."""
        self._bar.update(size)

    def reset(self) -> None:
        """Go back to the start of the file, which is asked for again or was found to be whole."""
        self._bar.update(self._start - self._bar.n)

    def close(self) -> None:
        """Stay, for other files follow."""


def _fetch_one(file: RemoteFile, folder: Path, mirror: str | None, retries: int, share: _Share) -> Path:
    import pooch

    downloads = _download_folder(folder)
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
        logger.info("%s can not be had from %s: %s", file.key, address, reason)
        reasons.append(f"  - {address}: {reason}")
    raise DataUnavailableError(_unavailable(file, reasons, folder))


def _unavailable(file: RemoteFile, reasons: Sequence[str], folder: Path) -> str:
    tried = "\n".join(reasons)
    return (
        f"the file {file.path.rsplit('/', 1)[-1]!r} ({file.size} bytes) can not be had. Tried:\n{tried}\n"
        f"Cache folder: {folder}\n"
        f"Set {MIRROR_VARIABLE} to a folder or URL that holds {file.path}, "
        f"or {DIRECTORY_VARIABLE} to a cache folder that was filled with 'xmsgl fetch'."
    )


def _attempts(file: RemoteFile, downloads: Path, address: str, retries: int, share: _Share) -> str | None:
    """Try one address up to `retries` + 1 times; return None, or why it did not work."""
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
    """Fetch a file from one address; return None, or the reason and whether to try again."""
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
    except ValueError:  # how pooch reports a wrong hash; the file is gone by then
        msg = (
            f"{address} serves {file.path.rsplit('/', 1)[-1]!r} with a wrong sha256 (expected "
            f"{file.sha256}); nothing was kept. Cache folder: {downloads.parent}. If this is a mirror, "
            f"repair it or unset {MIRROR_VARIABLE}."
        )
        raise DataUnavailableError(msg) from None
    return None


def _copy(address: str, output_file: str, store: pooch.Pooch) -> None:  # noqa: ARG001 - pooch's signature
    shutil.copyfile(address, output_file)


@contextmanager
def _quiet(other: logging.Logger) -> Iterator[None]:
    """Mute pooch's own messages: the progress bar, the log and the errors here say it all."""
    level = other.level
    other.setLevel(logging.WARNING)
    try:
        yield
    finally:
        other.setLevel(level)


@dataclass(frozen=True)
class Availability:
    """Whether the files of a dataset can be had, and from where.

    Attributes
    ----------
    origin
        ``"cache"``, ``"mirror"``, ``"network"`` or ``"none"``: the source of the files still missing.
    where
        The folder or address that was found, or was asked in vain.
    reason
        One sentence for a log.
    """

    origin: str
    where: str
    reason: str

    def __bool__(self) -> bool:
        return self.origin != "none"


def availability(name: str, *, cache_dir: str | os.PathLike[str] | None = None) -> Availability:
    """Ask cheaply whether a dataset can be had, and from where its files would come.

    Nothing is fetched, no hash computed and no library imported: files in the cache are known by their
    size, and a server is asked for the headers of one missing file only.

    Parameters
    ----------
    name
        The dataset, for example ``"delaware"``.
    cache_dir
        Folder of the cache. Default None: see :func:`xmsgl.datasets.download.cache_folder`.

    Returns
    -------
    Availability
        True where the files can be had.

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
        reason = f'{name} is built with {", ".join(lacking)}, not installed: pip install "xmsgl[data]"'
        return Availability("none", str(folder), reason)
    downloads = _download_folder(folder)
    missing = [file for file in dataset_files(name) if not _has_size(downloads / file.path, file.size)]
    if not missing:
        return Availability("cache", str(folder), f"all files of {name} are in {folder}")
    probes = []
    mirror = mirror_root()
    if mirror:
        probes.append(("mirror", mirror, addresses(missing[0], mirror)[0]))
    probes.append(("network", BASE_URL, missing[0].url))
    failures = []
    for origin, root, address in probes:
        failure = _probe(address, missing[0].size)
        if failure is None:
            reason = f"{len(missing)} files of {name} are not in {folder} and can be had from {root}"
            return Availability(origin, root, reason)
        failures.append(f"{root}: {failure}")
    reason = (
        f"{len(missing)} files of {name} are not in the cache folder {folder}, and neither of these has "
        f"them: {'; '.join(failures)}. Set {MIRROR_VARIABLE} or {DIRECTORY_VARIABLE}"
    )
    return Availability("none", probes[0][1], reason)


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _probe(address: str, size: int) -> str | None:
    """Return None if the address has the file, else why not."""
    if not _is_url(address):
        return None if _has_size(Path(address), size) else "no such file there"
    import requests

    try:
        answer = requests.head(address, timeout=_PROBE_TIMEOUT, allow_redirects=True)
    except requests.RequestException as error:
        return f"no connection ({type(error).__name__})"
    return None if answer.ok else f"HTTP status {answer.status_code}"
