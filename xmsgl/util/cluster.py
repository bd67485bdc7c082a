"""The connection to a Dask cluster, on whose workers everything lazy is computed while it lasts."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from xmsgl.errors import ProcessError
from xmsgl.util.optional import require

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["connected", "is_connected", "of_a_cluster"]

logger = logging.getLogger(__name__)

_PATIENCE = 5  # seconds until a scheduler must have answered


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Yield a client of a scheduler, which dask uses for all that is computed in the block."""
    distributed = require("distributed", "computing on a cluster", extra="cluster")
    theirs = logging.getLogger("distributed")
    level = theirs.level
    theirs.setLevel(logging.CRITICAL)  # what it logs of a failed attempt is in the error, too
    try:
        distributed.comm.resolve_address(address)  # a client of a wrong one could not be closed
        # A default client that fails would remain that of dask, therefore the first is not made that.
        distributed.Client(address, timeout=_PATIENCE, set_as_default=False).close()
        client = distributed.Client(address, timeout=_PATIENCE, name="xmsgl")
    except Exception as error:  # a wrong address, or none that answers: of many kinds
        msg = (
            f"no Dask scheduler answers at {address!r} within {_PATIENCE} s ({type(error).__name__}); "
            "start one with `dask scheduler` and workers with `dask worker ADDRESS`, or check the address"
        )
        raise ProcessError(msg) from error
    finally:
        theirs.setLevel(level)
    with client:
        _await_worker(client, address)
        yield client


def _await_worker(client: Any, address: str) -> None:
    """Wait a little for a worker, and say that nothing is computed before there is one."""
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:
        logger.warning(
            "the scheduler at %s has no workers, and nothing is computed before there is one; start one with "
            "`dask worker %s`",
            address,
            address,
        )


def is_connected() -> bool:
    """Return whether dask computes on a cluster."""
    library = sys.modules.get("distributed")  # a client has always imported it
    if library is None:
        return False
    try:
        library.Client.current()
    except ValueError:
        return False
    return True


def of_a_cluster(error: Exception) -> bool:
    """Whether an error is about the workers or the scheduler, such as a worker that was killed."""
    return type(error).__module__.partition(".")[0] == "distributed"
