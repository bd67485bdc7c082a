"""Models from addresses, fetched once and known by their digest."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import Any

from xmsgl.errors import CheckpointError, DataUnavailableError, InvalidArgumentError
from xmsgl.util.address import without_secrets
from xmsgl.util.cache import cache_folder

__all__ = ["fetch_model"]


def fetch_model(url: str, sha256: str | None) -> Path:
    """Return the file of a model from the cache, or fetch it; its digest must be the one given.

    Without `sha256` it is taken from the end of the URL: ``#sha256=...``.
    """
    import pooch

    url, sha256 = _with_digest(url, sha256)
    shown = without_secrets(url)
    if not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        msg = f"sha256 must be 64 hexadecimal digits, as Model.sha256 has them, not {sha256!r:.80}"
        raise InvalidArgumentError(msg)
    # The names of other schemes are those of fsspec. Pooch logs the address, which may hold a password.
    downloader = None if url.startswith(("http://", "https://")) else _copy
    logger: logging.Logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        return Path(
            pooch.retrieve(
                url,
                f"sha256:{sha256.lower()}",
                fname=f"{sha256.lower()}.safetensors",
                path=cache_folder() / "models",
                downloader=downloader,
            )
        )
    except ValueError as error:
        if "hash" not in str(error):
            raise DataUnavailableError(_unavailable(shown, error)) from None
        msg = f"the file at {shown} has another sha256 than {sha256.lower()[:12]}...; check both"
        raise CheckpointError(msg) from None
    except Exception as error:  # noqa: BLE001 - each scheme has errors of its own
        raise DataUnavailableError(_unavailable(shown, error)) from None
    finally:
        logger.setLevel(level)


def _with_digest(url: str, sha256: str | None) -> tuple[str, str]:
    plain, _, digest = url.partition("#sha256=")
    if sha256 is None and not digest:
        msg = (
            "a model from a URL needs its digest: load_model(url, sha256=...), or #sha256=... at the end of "
            "the URL; Model.sha256 has it"
        )
        raise InvalidArgumentError(msg)
    return plain, sha256 or digest


def _unavailable(shown: str, error: Exception) -> str:
    # The error itself may contain the address with its credentials.
    hint = f": {error}" if isinstance(error, ImportError) else ""
    return f"cannot fetch {shown}: {type(error).__name__}{hint}; check the address and your access to it"


def _copy(url: str, output: str, _: Any) -> None:
    import fsspec

    with fsspec.open(url, "rb") as source, Path(output).open("wb") as target:
        shutil.copyfileobj(source, target)
