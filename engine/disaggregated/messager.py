"""The messager of a rank: copies KV blocks of P's rank into D's, layer by layer."""

from __future__ import annotations

from protocol.machines.repaired.bounds import Homes

from ..binding import after
from ..model.kv_cache import KvCache
from ..step import Step
from .fence import Fence
from .job import CacheTask, Shape


class Messager:
    """Handlers of the registrar and the sender of one rank.

    Args:
        homes: where requests go. source: the cache of P's rank. targets: the caches of the same rank of every D instance. fence: around
            the latter.
    """

    def __init__(self, shape: Shape, homes: Homes, source: KvCache, targets: list[KvCache], fence: Fence):
        self._shape, self._homes, self._source, self._targets, self._fence = shape, homes, source, targets, fence
        self._tasks: dict[int, CacheTask] = {}

    @after("registrar.fetch_task")
    def fetch(self, step: Step) -> None:
        """A cache task from the mailbox."""
        self._tasks[step.cargo.number] = step.cargo

    @after("sender.send_layer", "sender.send_last_layer", finds=False)
    def send(self, step: Step) -> None:
        """The row has written a layer of the chunk that is sent now."""
        q = in_hand(step)
        self.write(self._tasks[q], 1 + step.saw("chunks_sent", *step.copy, q), step.saw("sender_layer", *step.copy))

    def write(self, task: CacheTask, chunk: int, layer: int) -> None:
        """Write one layer of one chunk into D's blocks, if they are the request's still; the next row finds out that they are not."""
        span, target = self._shape.block_span(task.job.prompt, chunk), self._targets[self._homes.decode_of(task.number)]
        with self._fence.writing(task.number, task.job.key) as is_let_in:
            if is_let_in:
                target.copy_blocks(layer, self._source, task.source[span], task.target[span])

    @after("sender.clean", finds=False)
    def clean(self, step: Step) -> None:
        """The rank is through with the request."""
        del self._tasks[in_hand(step)]


def in_hand(step: Step) -> int:
    """The request that the sender had in hand."""
    q = step.saw("sender_hand", *step.copy)
    assert isinstance(q, int)
    return q
