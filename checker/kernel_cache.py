"""Where the kernel's compiled code is kept between processes, that it is whole, and that old versions of it go.

It lies in the user's cache, in a directory named after a hash of the kernel's sources, beside a seal: a digest of all its files. What a full
disk or a lost machine has damaged no longer fits its seal, and is compiled anew; where nothing can be kept it is compiled for each process.
Who loads or compiles shares a lock on the cache, and who removes has it alone, so nobody loses the code that is just being read or written.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from numba import config

SEAL, LOCK = "seal", "kernels.lock"
UNUSED_S = 3 * 24 * 3600
"""A version of the kernel that nobody has loaded for that long is removed when another one is."""


@contextmanager
def kept_code(sources: Sequence[Path]) -> Iterator[None]:
    """While it lasts numba keeps what it compiles where the code of these files is kept; afterwards that is sealed, and old versions go."""
    directory, there = cache_directory(sources)
    with _lock(directory.parent, fcntl.LOCK_SH):
        if not there:
            print("compiling the checker's kernel (once on this machine, a few seconds) ...", file=sys.stderr, flush=True)
        before, config.CACHE_DIR = config.CACHE_DIR, str(directory)  # type: ignore[attr-defined]
        try:
            yield
        finally:
            config.CACHE_DIR = before  # type: ignore[attr-defined]
        seal(directory)
    if directory.parent == _kernels():
        remove_unused(directory)


def cache_directory(sources: Sequence[Path]) -> tuple[Path, bool]:
    """Where the compiled code of source files is kept, and whether there may be some: in the user's cache, or for this process alone."""
    version = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in sources))
    directory = _kernels() / version.hexdigest()[:16]
    with _lock(directory.parent, fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
        if alone and is_damaged(directory):
            shutil.rmtree(directory, ignore_errors=True)
    there = directory.exists()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        writable = os.access(directory, os.W_OK) and not is_damaged(directory)
    except OSError:
        writable = False
    if writable:
        return directory, there
    # A folder that others could foresee might hold their code.
    own = Path(tempfile.mkdtemp(prefix="interlock-"))
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    (own / "kernel").mkdir(mode=0o700)
    return own / "kernel", False


def is_damaged(directory: Path) -> bool:
    """Whether a directory is sealed, and holds something else than when it was."""
    try:
        return (directory / SEAL).exists() and (directory / SEAL).read_text() != _digest(directory)
    except (OSError, UnicodeDecodeError):
        return True


def seal(directory: Path) -> None:
    """Remember what a directory holds, now that everything in it has been compiled or loaded, and that it was used."""
    with suppress(OSError, UnicodeDecodeError):
        digest = _digest(directory)
        if (directory / SEAL).exists() and (directory / SEAL).read_text() == digest:
            os.utime(directory / SEAL)
        else:
            (directory / SEAL).write_text(digest)


def remove_unused(directory: Path) -> None:
    """Remove the versions beside this one that nobody uses any more, unless somebody just loads or compiles one."""
    with _lock(directory.parent, fcntl.LOCK_EX | fcntl.LOCK_NB) as alone, suppress(OSError):
        for other in directory.parent.iterdir() if alone else ():
            if other != directory and re.fullmatch("[0-9a-f]{16}", other.name) and time.time() - _used(other) > UNUSED_S:
                shutil.rmtree(other, ignore_errors=True)


def _kernels() -> Path:
    """The folder of all versions."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "interlock"


def _used(directory: Path) -> float:
    """When the code was last loaded, in seconds since 1970."""
    mark = directory / SEAL
    return (mark if mark.exists() else directory).stat().st_mtime


@contextmanager
def _lock(folder: Path, how: int) -> Iterator[bool]:
    """The lock of a folder of kernels while it lasts; whether it could be had."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        file = (folder / LOCK).open("a")
    except OSError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, how)
        except OSError:
            yield False
            return
        yield True


def _digest(directory: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(directory.rglob("*.nb?")):
        found.update(path.name.encode())
        found.update(path.read_bytes())
    return found.hexdigest()
