"""The block-hash prefix cache of P: blocks whose contents later prompts may begin with, found by what they hold.

A full block is known by the hash of its tokens and of the block before it, so that one look-up a block finds the longest cached
prefix. Blocks are shared by counting who uses them; one that nobody uses stays until room is needed, and the one unused longest goes
first. A request lets go of its last block first, so that a prefix outlives what continues it.

A block is published by whoever has computed it, and not before: the versions that publish at preallocation (#7364, hazard H-08) call
`publish` with the whole prompt at once, and whoever matches such a block reads what lies in it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from protocol import DefinitionError

from .kv_cache import BlockPool

Digest = bytes


@dataclass
class Lease:
    """What a request holds: its block table, how many of the blocks are published, and the digests of its full blocks."""

    table: list[int]
    cached_tokens: int
    published: int
    digests: list[Digest]


class PrefixCache:
    """Blocks of a pool, shared by requests that begin alike.

    `queries`, `hits`: tokens of prompts that were looked up, and that were found; `evictions`: blocks.
    """

    def __init__(self, pool: BlockPool, block_size: int):
        self._pool, self._block_size = pool, block_size
        self._block_of: dict[Digest, int] = {}
        self._digest_of: dict[int, Digest] = {}
        self._users: dict[int, int] = {}
        self._unused: OrderedDict[int, None] = OrderedDict()
        self._leases: dict[Hashable, Lease] = {}
        self.queries = self.hits = self.evictions = 0

    def __contains__(self, owner: Hashable) -> bool:
        """Whether the owner holds a table."""
        return owner in self._leases

    def __len__(self) -> int:
        """How many hold one."""
        return len(self._leases)

    def lease(self, owner: Hashable) -> Lease:
        """What the owner holds.

        Raises:
            DefinitionError: nothing.
        """
        if owner not in self._leases:
            raise DefinitionError(f"{owner} holds no blocks; take some first")
        return self._leases[owner]

    @property
    def blocks(self) -> int:
        """Blocks of the pool."""
        return self._pool.blocks

    @property
    def free(self) -> int:
        """Blocks that `take` can give: those that nobody holds, and cached ones that nobody uses."""
        return self._pool.free + len(self._unused)

    def match(self, tokens: Sequence[int]) -> list[int]:
        """The blocks of the longest cached prefix, in order. Never the whole prompt: its last token must be computed to choose the next."""
        found = []
        for digest in self._digests(tokens[:-1]):
            if digest not in self._block_of:
                break
            found.append(self._block_of[digest])
        return found

    def needed(self, tokens: Sequence[int], blocks: int) -> int:
        """How many of `free` a table of so many blocks for this prompt takes."""
        matched = self.match(tokens)
        return blocks - len(matched) + sum(block in self._unused for block in matched)

    def take(self, owner: Hashable, tokens: Sequence[int], blocks: int) -> Lease:
        """A table of so many blocks for a prompt: the cached prefix first, then fresh blocks, evicting what is unused longest.

        Raises:
            DefinitionError: there is not enough room (ask `needed` and `free` first), or the owner has a table already.
        """
        if owner in self._leases:
            raise DefinitionError(f"{owner} has a block table already; release it first")
        if self.needed(tokens, blocks) > self.free:
            raise DefinitionError(f"{owner} needs {self.needed(tokens, blocks)} blocks and {self.free} are free; ask `needed` and `free` first")
        matched = self.match(tokens)
        for block in matched:
            self._users[block] += 1
            self._unused.pop(block, None)
        fresh = blocks - len(matched)
        self._evict(fresh - self._pool.free)
        self.queries, self.hits = self.queries + len(tokens), self.hits + len(matched) * self._block_size
        table = [*matched, *self._pool.take(fresh, owner)]
        digests = list(self._digests(tokens))[:blocks]
        self._leases[owner] = Lease(table, len(matched) * self._block_size, len(matched), digests)
        return self._leases[owner]

    def publish(self, owner: Hashable, computed_tokens: int) -> int:
        """The keys and values of the owner's first tokens are there: later prompts may use its full blocks. Returns how many are new.

        A block with the same contents as one that another has published meanwhile stays the owner's own.
        """
        lease, new = self._leases[owner], 0
        for place in range(lease.published, min(computed_tokens // self._block_size, len(lease.digests))):
            block, digest = lease.table[place], lease.digests[place]
            lease.published = place + 1
            if digest in self._block_of:
                continue
            self._pool.hand_over([block], owner, self)
            self._block_of[digest], self._digest_of[block], self._users[block] = block, digest, 1
            new += 1
        return new

    def release(self, owner: Hashable) -> None:
        """The owner is done: its own blocks are free, the cached ones stay for others.

        Raises:
            DefinitionError: it holds nothing.
        """
        if owner not in self._leases:
            raise DefinitionError(f"{owner} holds no blocks; it was released before")
        table = self._leases.pop(owner).table
        self._pool.give_back([block for block in table if block not in self._users], owner)
        self._let_go([block for block in table if block in self._users])

    def clear(self) -> None:
        """Forget all contents (the weights have changed): what is used goes on being used, and nobody finds it any more."""
        self._block_of.clear()
        self._digest_of.clear()
        self._evict(len(self._unused))
        for lease in self._leases.values():
            lease.digests.clear()

    def check(self) -> None:
        """Raise a DefinitionError unless every block is held and counted as often as tables say."""
        self._pool.check()
        used: dict[int, int] = {}
        for lease in self._leases.values():
            for block in lease.table:
                used[block] = used.get(block, 0) + (block in self._users)
        for block, users in self._users.items():
            if users != used.get(block, 0):
                raise DefinitionError(f"cached block {block} counts {users} users, and {used.get(block, 0)} tables have it")
        if {block for block, users in self._users.items() if not users} != set(self._unused):
            raise DefinitionError(f"unused blocks are {sorted(self._unused)}, and the counts say otherwise")
        if sorted(self._users) != self._pool.held_by(self):
            raise DefinitionError(f"the pool says that the cache holds {self._pool.held_by(self)}, and it counts {sorted(self._users)}")

    # -- inside --------------------------------------------------------------------------------------------------------

    def _digests(self, tokens: Sequence[int]) -> Iterable[Digest]:
        """The chained digest of every full block."""
        digest = b""
        for end in range(self._block_size, len(tokens) + 1, self._block_size):
            block = tokens[end - self._block_size : end]
            digest = hashlib.sha256(digest + b"".join(token.to_bytes(4, "little") for token in block)).digest()
            yield digest

    def _let_go(self, blocks: Sequence[int]) -> None:
        """One user less of cached blocks."""
        for block in reversed(blocks):
            self._users[block] -= 1
            if not self._users[block]:
                self._retire(block)

    def _retire(self, block: int) -> None:
        """Nobody uses a cached block any more: keep it while it can be found."""
        if block in self._digest_of:
            self._unused[block] = None
        else:
            self._drop(block)

    def _evict(self, count: int) -> None:
        """Free so many unused blocks, those unused longest first."""
        for _ in range(count):
            block, _ = self._unused.popitem(last=False)
            self.evictions += 1
            self._drop(block)

    def _drop(self, block: int) -> None:
        digest = self._digest_of.pop(block, None)
        if digest is not None:
            del self._block_of[digest]
        del self._users[block]
        self._pool.give_back([block], self)
