"""Where the kernel's compiled code is kept between processes, and that it is whole.

It lies in the user's cache, in a directory named after a hash of the kernel's source, beside a seal: a digest of all its files. What a full
disk or a lost machine has damaged no longer fits its seal, and is compiled anew; where nothing can be kept it is compiled for each process.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

SEAL = "seal"


def cache_directory(source: Path) -> tuple[Path, bool]:
    """Where the compiled code of a source file is kept, and whether there may be some: in the user's cache, or for this process alone."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = base / "interlock" / hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    if is_damaged(directory):
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
    own = tempfile.mkdtemp(prefix="interlock-")
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    return Path(own), False


def is_damaged(directory: Path) -> bool:
    """Whether a directory is sealed, and holds something else than when it was."""
    try:
        return (directory / SEAL).exists() and (directory / SEAL).read_text() != _digest(directory)
    except (OSError, UnicodeDecodeError):
        return True


def seal(directory: Path) -> None:
    """Remember what a directory holds, now that everything in it has been compiled or loaded."""
    digest = _digest(directory)
    with suppress(OSError, UnicodeDecodeError):
        if not (directory / SEAL).exists() or (directory / SEAL).read_text() != digest:
            (directory / SEAL).write_text(digest)


def _digest(directory: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(directory.rglob("*.nb?")):
        found.update(path.name.encode())
        found.update(path.read_bytes())
    return found.hexdigest()
