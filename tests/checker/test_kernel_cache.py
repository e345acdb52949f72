"""Where the kernel's compiled code is kept: with the user, or, where nothing can be kept, for as long as the process runs."""

import os
from pathlib import Path

import pytest

from checker import kernel_cache
from checker.kernel_cache import cache_directory, is_damaged, seal

SOURCE = Path(kernel_cache.__file__)


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
