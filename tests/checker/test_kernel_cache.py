"""Where the kernel's compiled code is kept: with the user, or, where nothing can be kept, for as long as the process runs."""

import fcntl
import importlib
import os
import time
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

from checker import kernel_cache
from checker.kernel_cache import LOCK, SEAL, cache_directory, is_damaged, kept_code, seal

SOURCE = [Path(kernel_cache.__file__)]
DAYS_AGO = time.time() - 3 * kernel_cache.UNUSED_S


def test_compiled_code_is_kept_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (first, there), (second, there_again) = cache_directory(SOURCE), cache_directory(SOURCE)
    assert first == second and first.parent == tmp_path / "interlock"
    assert (there, there_again) == (False, True)


def test_a_user_without_a_cache_can_check_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that is no directory, as in a container with a user of its own."""
    (tmp_path / "home").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    own, there = cache_directory(SOURCE)
    assert os.access(own, os.W_OK) and own.stat().st_mode & 0o077 == 0 and not there


def test_damaged_code_is_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    directory, _ = cache_directory(SOURCE)
    code = directory / "kernel.find.1.nbc"
    code.write_bytes(b"whole")
    seal(directory)
    assert not is_damaged(directory) and cache_directory(SOURCE) == (directory, True)
    code.write_bytes(b"who")
    assert is_damaged(directory)
    assert cache_directory(SOURCE) == (directory, False) and not code.exists()


def kernels(folder: Path) -> tuple[Path, Path]:
    """The code of two versions, sealed: one that was used long ago, one that was then compiled and used today."""
    versions = folder / "interlock" / "0123456789abcdef", folder / "interlock" / "fedcba9876543210"
    for version in versions:
        version.mkdir(parents=True)
        (version / "kernel.find.1.nbc").write_bytes(b"code")
        seal(version)
        os.utime(version / SEAL, (DAYS_AGO, DAYS_AGO))
    seal(versions[1])  # as loading does
    return versions


def test_a_version_that_nobody_uses_goes_when_another_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What else lies in the cache stays, as does a version that another checkout still loads."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    unused, used = kernels(tmp_path)
    model = tmp_path / "interlock" / "smollm2"
    model.mkdir()
    os.utime(model, (DAYS_AGO, DAYS_AGO))
    with kept_code(SOURCE):
        assert unused.exists()
    assert not unused.exists() and used.exists() and model.exists() and cache_directory(SOURCE)[1]


def test_nothing_goes_while_another_process_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an old version nor a damaged one: it may be one that is just being written."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    unused, _ = kernels(tmp_path)
    directory, _ = cache_directory(SOURCE)
    seal(directory)
    (directory / "kernel.find.2.nbc").write_bytes(b"more")
    with (tmp_path / "interlock" / LOCK).open("a") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        with kept_code(SOURCE):
            pass
        assert unused.exists() and is_damaged(directory)
        own, there = cache_directory(SOURCE)
        assert own.parent.parent != tmp_path and not there
    assert cache_directory(SOURCE) == (directory, False) and not is_damaged(directory)


@pytest.mark.parametrize("module", ["liveness", "fairness", "threads"])
def test_compiled_code_outside_the_kernel_calls_none_of_another_file(module: str) -> None:
    """numba keeps it beside its file, and does not compile it anew when a callee in another file has been edited."""
    known = vars(importlib.import_module(f"checker.{module}"))
    compiled = {name: f for name, f in known.items() if isinstance(f, Dispatcher)}
    for function in compiled.values():
        called = {name for name in function.py_func.__code__.co_names if name in compiled}
        assert all(compiled[name].py_func.__module__ == function.py_func.__module__ for name in called)
