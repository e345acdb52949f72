"""Where the kernel's compiled code is kept: with the user, or, where nothing can be kept, for as long as the process runs."""

import os
from pathlib import Path

import pytest

from checker.kernel import cache_directory


def test_compiled_code_is_kept_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (first, there), (second, there_again) = cache_directory(), cache_directory()
    assert first == second and first.parent == tmp_path / "interlock"
    assert (there, there_again) == (False, True)


def test_a_user_without_a_cache_can_check_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that is no directory, as in a container with a user of its own."""
    (tmp_path / "home").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    own, there = cache_directory()
    assert os.access(own, os.W_OK) and own.stat().st_mode & 0o077 == 0 and not there
