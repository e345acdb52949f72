"""What crews do besides where a rule of the protocol is left out: rows that only such a version has, and slots that it frees elsewhere.

The repaired engine has none of these roles. They do with tensors what the versions of the real system do that lack the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from ..binding import after
from ..generation import PrefixUse
from ..model.kv_cache import BlockPool
from ..model.prefix_cache import Lease, PrefixCache
from ..step import Step
from .decode_engine import DecodeEngine
from .messager import Messager, in_hand
from .plant import Plant
from .prefill_engine import PrefillEngine, PreparingThread
from .rest import WorkerRest
from .router import Line


@dataclass(frozen=True)
class Freed:
    """To P's engine: an abort has freed the slot of a request, with that key."""

    key: int


class LoosePrefillEngine(PrefillEngine):
    """P's engine where a slot may have been freed before the ranks have reported."""

    def let_go(self, key: int) -> None:
        """Once is enough."""
        if key in self.cache:
            super().let_go(key)


class EarlyPrefillEngine(LoosePrefillEngine):
    """Without `publishes_computed`: blocks are found by others as soon as a request has them."""

    def hold(self, q: int) -> PrefixUse | None:
        """Nobody has written them yet."""
        use = super().hold(q)
        self._publish(self.jobs[q], len(self.jobs[q].prompt))
        return use


class UncountedCache(PrefixCache):
    """Without `counts_users`: who finds a block is none of its users, and it is evicted under him."""

    def __init__(self, pool: BlockPool, block_size: int):
        super().__init__(pool, block_size)
        self._found: dict[Hashable, int] = {}

    def take(self, owner: Hashable, tokens: Sequence[int], blocks: int) -> Lease:
        """What was found is as unused as before."""
        lease = super().take(owner, tokens, blocks)
        self._let_go(lease.table[: lease.published])
        self._found[owner] = lease.published
        return lease

    def release(self, owner: Hashable) -> None:
        """What was found is somebody else's by now, perhaps."""
        del self.lease(owner).table[: self._found.pop(owner)]
        super().release(owner)

    def check(self) -> None:
        """Its counts are wrong, and meant to be."""


class CarelessPrefillEngine(LoosePrefillEngine):
    """P's engine over that cache."""

    def __init__(self, plant: Plant):
        super().__init__(plant)
        self.cache = UncountedCache(BlockPool(plant.blocks(0)), plant.shape.block_size)


class FreeAtFirstToken:
    """Without `keeps_until_sent`: the token processor frees slot and blocks."""

    def __init__(self, engine: PrefillEngine):
        self._engine = engine

    @after("token_processor.note_token")
    def free(self, step: Step) -> None:
        """The messagers may still read them."""
        self._engine.let_go(self._engine.jobs[step.chosen["request"]].key)


class IdleRest(WorkerRest):
    """Without `lowers_behind_barrier`: a rank of P lowers the signal after a forward only, so it rests where it sees that there is no batch."""

    @after("worker.see_no_batch", finds=False, rests=True)
    def rest(self, step: Step) -> None:
        """Until a batch is put."""
        super().rest(step)


class FreeAtAbort:
    """Without `drains_before_cancel`: an abort frees slot and blocks, whatever the ranks do with them."""

    def __init__(self, line: Line, post: Callable[[Freed], None]):
        self._line, self._post = line, post

    @after("router.abort_at_prefill")
    def free(self, step: Step) -> None:
        """Only where P held them."""
        if self._line.job is not None and any(variable.name == "slot_of" for variable, _ in step.stored):
            self._post(Freed(self._line.job.key))


class SeeingThread(PreparingThread):
    """Without `takes_once`: a thread sees the head of the intake, and moves on in a second step."""

    @after("prepare.see")
    def see(self, step: Step) -> None:
        """Another thread may see the same."""
        self._engine.take(step.cargo)


class RecallingThread(PreparingThread):
    """Without `leaves_intake`: what an abort has put in front of the cursor again was taken before, and comes without contents."""

    @after("prepare.take")
    def take(self, step: Step) -> None:
        """A new request, or one that P's engine knows."""
        if step.cargo is not None:
            self._engine.take(step.cargo)


class ForgetfulMessager(Messager):
    """Without `reports_last`: a rank that has cleaned up for a request may be told to once more."""

    @after("sender.clean")
    def clean(self, step: Step) -> None:
        """Once is enough."""
        if in_hand(step) in self._tasks:
            super().clean(step)


class LoseStep:
    """Without `credits_singly`: a request that has ended drops the outputs of its whole step, with which the ranks go on."""

    def __init__(self, engine: DecodeEngine):
        self._engine = engine

    @after("decode_worker.drop_token")
    def lose(self, step: Step) -> None:
        """The others' clients never get theirs."""
        self._engine.lose_step()


class ReserveAgain:
    """Without `reserves_once`: D reserves once more for a repeated ask."""

    def __init__(self, engine: DecodeEngine):
        self._engine = engine

    @after("decode_loop.reserve_again")
    def again(self, step: Step) -> None:
        """Nobody gives the first reservation back."""
        q = step.chosen["request"]
        self._engine.reserve_for(q, self._engine.answers[q].job)
