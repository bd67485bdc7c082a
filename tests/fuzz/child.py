"""Try inputs in a child process with limits of memory and time, and compare the files before and after."""

from __future__ import annotations

import gc
import hashlib
import os
import resource
import signal
import sys
import traceback
import warnings
from multiprocessing import Pipe
from typing import TYPE_CHECKING

from benchmarks.hardware import status_bytes
from xmsgl.errors import XMSGLError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GIB = 2**30
SECONDS = 20  # of computing; an input that is read takes less than two
WALL = 200  # seconds, for a child that waits for itself
INPUTS = 25  # for one child

OUTCOMES = ACCEPTED, REFUSED, LONG = "accepted", "refused", "long"


def digests(folder: Path) -> dict[str, str]:
    """The content of all files in a folder, by their paths in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class Reader:
    """Reads the files of a folder again and again, in a child that is replaced now and then.

    `writes`: new files are allowed; `may_last`: the time is the user's choice; `foreign`: exceptions that
    this library raises, and that do not pass through the package, are refusals, too.
    """

    def __init__(
        self, work: Callable[[], object], *, writes: bool = False, may_last: bool = False, foreign: str = ""
    ) -> None:
        self.work, self.writes, self.may_last, self.foreign = work, writes, may_last, foreign
        self.child = self.left = 0

    def outcome(self, folder: Path) -> str:
        """Return one of OUTCOMES, or what went wrong: another exception, a crash, changed files."""
        before = digests(folder)
        found = self._read(folder)
        after = digests(folder)
        if ({name: after.get(name) for name in before} if self.writes else after) != before:
            return f"files were changed: {sorted(set(before.items()) ^ set(after.items()))}"
        return f"more than {SECONDS} s of computing" if found == LONG and not self.may_last else found

    def stop(self) -> int:
        """End the child and return its status."""
        if not self.child:
            return 0
        self.pipe.close()
        child, self.child = self.child, 0
        return os.waitpid(child, 0)[1]

    def _read(self, folder: Path) -> str:
        if not self.left or not self.child:
            self.stop()
            self._fork()
        self.left -= 1
        try:
            self.pipe.send_bytes(os.fsencode(folder))
            if not self.pipe.poll(WALL):
                os.kill(self.child, signal.SIGKILL)
                self.stop()
                return f"not read after {WALL} s of waiting"
            return self.pipe.recv_bytes().decode()
        except (EOFError, OSError):
            status = self.stop()
            late = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
            return LONG if late else f"crashed: wait status {status}"

    def _fork(self) -> None:
        sys.stdout.flush()
        gc.collect()
        gc.freeze()  # the child shares this memory
        self.pipe, theirs = Pipe()
        self.child, self.left = os.fork(), INPUTS
        if self.child:
            theirs.close()
            return
        self.pipe.close()
        silent = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(silent, stream)
        warnings.simplefilter("ignore")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (status_bytes("VmSize") + GIB,) * 2)
        try:
            while True:
                os.chdir(os.fsdecode(theirs.recv_bytes()))
                used = resource.getrusage(resource.RUSAGE_SELF)
                limit = int(used.ru_utime + used.ru_stime) + SECONDS
                resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
                theirs.send_bytes(self._tried()[-60_000:].encode(errors="replace"))
        finally:  # the parent has closed the pipe
            os._exit(0)

    def _tried(self) -> str:
        try:
            self.work()
        except XMSGLError:
            return REFUSED
        except BaseException as error:  # noqa: BLE001 - reported to the parent
            files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
            outside = not any("/xmsgl/" in name for name in files)
            known = self.foreign and any(f"/{self.foreign}/" in name for name in files)
            return REFUSED if outside and known else traceback.format_exc()
        return ACCEPTED
