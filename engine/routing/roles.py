"""Handlers of who writes a routing file and who clears it away, for every version of the protocol. A row is one system call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from protocol.system import System

from ..binding import after
from ..step import Step
from .file import RoutingFile


class FileClearer:
    """`clear_store`, for one file."""

    def __init__(self, file: RoutingFile):
        self._file = file

    @after("clearer.unlink")
    def unlink(self, step: Step) -> None:
        """What an earlier run has left."""
        self._file.path.unlink(missing_ok=True)
        self._file.temporary.unlink(missing_ok=True)

    @after("clearer.remove_directory")
    def remove_directory(self, step: Step) -> None:
        """The rollout's folder, if nothing is in it."""
        folder = self._file.path.parent
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


class FileWriter:
    """Who fills the file where it lies: the published way."""

    def __init__(self, file: RoutingFile, content: bytes):
        self._file, self._content = file, content
        self._open: BinaryIO | None = None

    @property
    def target(self) -> Path:
        """What is filled."""
        return self._file.path

    def close(self) -> None:
        """Let go of the file, wherever the writing has ended."""
        if self._open is not None:
            self._open.close()

    @after("writer.make_directory")
    def make_directory(self, step: Step) -> None:
        """The rollout's folder."""
        self.target.parent.mkdir(parents=True, exist_ok=True)

    @after("writer.open_path")
    def open_path(self, step: Step) -> None:
        """An empty file."""
        self._open = self.target.open("wb")

    @after("writer.write_part", "writer.write_rest")
    def write(self, step: Step) -> None:
        """A half of it; it is on the disk after the second, if the file has not been unlinked meanwhile."""
        assert self._open is not None
        half = len(self._content) // 2
        self._open.write(self._content[:half] if step.name == "writer.write_part" else self._content[half:])
        self._open.flush()
        if step.name == "writer.write_rest":
            os.fsync(self._open.fileno())
            self._open.close()


class RenamingWriter(FileWriter):
    """Who fills another file and renames it: absent to complete in one step."""

    @property
    def target(self) -> Path:
        """Beside it."""
        return self._file.temporary

    @after("writer.rename")
    def rename(self, step: Step) -> None:
        """Move it into place."""
        os.replace(self.target, self._file.path)


def writer_of(system: System, file: RoutingFile, content: bytes) -> FileWriter:
    """The writer of a version of the protocol."""
    renames = any(action.name == "writer.rename" for action in system.actions)
    return RenamingWriter(file, content) if renames else FileWriter(file, content)
