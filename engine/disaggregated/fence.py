"""The fence around D's memory: it refuses a write whose reservation was given up, as a network card refuses one whose key was revoked.

In the protocol a layer is written in one step, which sees the key (`sender.send_layer` and `open_key`). In shared memory the row commits
first and the copy follows, and in between D may have given the reservation up, and its blocks to another request. So a copy is made
inside `writing`, and blocks are given back behind `revoke`:

- who writes holds the lock of the request's number, together with other writers, and looks at the key under it;
- who revokes takes the lock alone: it waits for the copies that are being made, and later ones find the key gone.

The wait is for one layer of each rank at most: the protocol's key is revoked before, so no row lets another write in. A write that is
refused here came, for everybody else, just before the revocation: nobody reads the blocks of a reservation that is over. The locks are
the kernel's, one byte of a file each, because a process that is killed gives them back; a count of writers would stay up for ever.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ..model.layers import Integers

NO_KEY = 0
"""Keys of requests begin at 1."""


class Fence:
    """The keys of all reservations, by request number.

    Args:
        keys: a cell a number, zero at first, which all processes map. file: whose bytes are the locks, opened for reading and writing;
            None where one thread does everything, and nothing comes between.
        refuses: whether anything is refused at all; an engine that does not fence its writes says no.
    """

    def __init__(self, keys: Integers, file: int | None = None, *, refuses: bool = True):
        self._keys, self._file, self._refuses = keys, file, refuses

    def open(self, number: int, key: int) -> None:
        """From now on the request of that key may be written."""
        with self._locked(number, fcntl.LOCK_EX):
            self._keys[number] = key

    def revoke(self, numbers: Iterable[int]) -> None:
        """Nobody writes for these numbers when this returns, nor later with the keys that they had."""
        for number in numbers:
            self.open(number, NO_KEY)

    def is_open(self, number: int, key: int) -> bool:
        """Whether the reservation of the number is that of the key."""
        return bool(self._keys[number] == key)

    @contextmanager
    def writing(self, number: int, key: int) -> Iterator[bool]:
        """Whether what is done inside may write for that request; it is not revoked meanwhile."""
        with self._locked(number, fcntl.LOCK_SH):
            yield not self._refuses or self.is_open(number, key)

    @contextmanager
    def _locked(self, number: int, kind: int) -> Iterator[None]:
        if self._file is None or not self._refuses:
            yield
            return
        fcntl.lockf(self._file, kind, 1, number)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, number)
