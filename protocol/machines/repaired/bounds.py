"""What the repaired protocol does, and how large it is: its rules and its bounds.

A *rule* is a field of `Rules`: what the repaired protocol does where some version of the real one does something else.
`build(without="...")` leaves one out, and the hazard that it removes comes back; no machine asks for a version.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from ...errors import DefinitionError


@dataclass(frozen=True)
class Rules:
    """What the repaired protocol does; every rule is one field, and all hold unless one is left out.

    Args:
        lowers_behind_barrier: rank 0 alone stores the forward signal, and lowers it behind the barrier at the top of the loop.
        meets_at_top: the ranks meet at the top of the loop, so that none looks for a batch while another is in the last iteration.
        parks_early_signals: a layer-0 signal of a request that is not registered yet waits for the registration.
        sends_computed: a layer is sent when the rank's own signals say that it is written, for this request.
        names_requests: a signal names its requests, not the rows of the batch in which they are.
        cleans_first: a rank cleans its tables before it reports.
        leaves_intake: an abort leaves the intake as it is; who takes the request from there skips it.
        reports_last: a rank that fails to write says so at the request's last item, not at once.
        counts_reports: a request is sent when every rank has reported this very request.
        drains_before_cancel: an abort is a state on which the owner of the stage acts; P gives nothing back, here or on D, before
            every rank has reported.
        keeps_until_sent: P keeps slot and blocks until the cache is sent, not until the first token.
        takes_once: a prepare thread reads the head of the intake and takes it out in one critical section.
        asks_first: P takes its own slot only when D has reserved.
        reserves_once: D answers a repeated ask with the reservation that it has.
        reserves_posted: D reserves only for a request that the router has posted and that is not closed yet.
        sends_again: a message is sent again until it is answered.
        fences_writes: a write names the key of its reservation, which D revokes when it gives the reservation up.
        dies_whole: when a rank dies, the supervisor ends all of P.
        names_turns: a message says to which turn of its request it belongs, and is dropped in another.
        names_lives: what the router sends to P names the life of P in which it has posted the request.
        owns_signals: a signal queue belongs to a rank of one P.
        speaks_in_stream: where forwards are only launched, the device says that one is over, and who is withdrawn, behind its kernels.
        ends_steps: D frees a reservation when no decode step of its own works on it.
        credits_singly: D credits the tokens of a step one by one; who has ended meanwhile loses its own, and nobody else.
        drains_before_pause: the operator is told of a pause when everything that was posted is over.
        holds_posts: while there is a pause, the router posts nothing.
        publishes_computed: a block is found by others when the forward that computed it is known to be over.
        counts_users: a cached block counts who uses it, and what has users is not evicted.
        forgets_with_weights: new weights empty P's prefix cache.
    """

    lowers_behind_barrier: bool = True
    meets_at_top: bool = True
    parks_early_signals: bool = True
    sends_computed: bool = True
    names_requests: bool = True
    cleans_first: bool = True
    leaves_intake: bool = True
    reports_last: bool = True
    counts_reports: bool = True
    drains_before_cancel: bool = True
    keeps_until_sent: bool = True
    takes_once: bool = True
    asks_first: bool = True
    reserves_once: bool = True
    reserves_posted: bool = True
    sends_again: bool = True
    fences_writes: bool = True
    dies_whole: bool = True
    names_turns: bool = True
    names_lives: bool = True
    owns_signals: bool = True
    speaks_in_stream: bool = True
    ends_steps: bool = True
    credits_singly: bool = True
    drains_before_pause: bool = True
    holds_posts: bool = True
    publishes_computed: bool = True
    counts_users: bool = True
    forgets_with_weights: bool = True

    @classmethod
    def all_but(cls, without: str | None) -> Rules:
        """All rules, or all but one.

        Raises:
            DefinitionError: no such rule.
        """
        known = [f.name for f in fields(cls)]
        if without is not None and without not in known:
            raise DefinitionError(f"without={without!r}: choose one of {', '.join(known)}")
        return cls() if without is None else cls(**{without: False})


@dataclass(frozen=True)
class Homes:
    """Where requests go, by their numbers: to one P after another, and the requests of a P to one D after another."""

    prefills: int
    decodes: int

    def prefill_of(self, request: int) -> int:
        """The number of its P."""
        return request % self.prefills

    def decode_of(self, request: int) -> int:
        """The number of its D."""
        return request // self.prefills % self.decodes


CRASHES = ("none", "prefill", "rank", "decode", "any")


@dataclass(frozen=True)
class Bounds:
    """How large, and what may go wrong.

    Args:
        requests, turns: request numbers; how often each is used. ranks, slots: tensor-parallel degree; P's slots.
        layers, chunks: KV layers; the most chunks of a prompt, which may have fewer.
        decodes: D instances. room: reservations that a D takes. full: D number 0 takes none at all.
        threads: prepare threads. copies: equal messages under way at once.
        aborts: clients may give up. deadlines: P may give up waiting. repeats: P may say again what has not been answered.
        losses: messages may be lost.
        errors: any write of a layer may fail.
        suspicions: D may take a living P for dead, for any request at any time.
        crash: "none"; "prefill" (all of P at once), "rank" (the engine process, a worker or a messager of P alone), "decode" (a D), "any" (P at
            once, or a D).
        lives: how many each of them has; P may start again, a D does.
        drafts: D's steps may accept more than one token of a request.
        asynchronous: the ranks launch their forwards and go on (EW-ASYNC); else they wait for the kernels (EW-SYNC).
        control: an operator may pause, resume, and give all ranks new weights.
        prefills: P instances, with ranks, slots and threads each; they share the D instances. mortals: how many of them may
            die, the first ones; None: each, where `crash` lets any. troubled: to the requests of how many of them faults may happen, aborts and
            lost messages and all but crashes, the first ones; None: of all.
        prefixes: with how many different beginnings prompts come, which P's prefix cache keeps, a chunk a block; 0: P has none.
        blocks: P's blocks, with a cache; 0: as many as its slots need.
        shares_experts: the D's run their forwards together, so that they die and come back together.
        knows_dead: the router knows which P is dead, and posts nothing there; else it may do so, because such news take their time.
        reports: that a decode step is over is a row of D's worker; else it is part of crediting the step's first token.
        decode_ranks: a decode step is a forward of D's ranks, as many as P has, behind a gate, and they report it; else it is one thing.
        balances: experts move between the ranks of D's that share them, which meet behind every forward.
    """

    requests: int
    turns: int
    ranks: int
    slots: int
    layers: int
    chunks: int
    decodes: int
    room: int
    full: bool
    threads: int
    copies: int
    aborts: bool
    deadlines: bool
    repeats: bool
    losses: bool
    errors: bool
    suspicions: bool
    crash: str
    lives: int
    drafts: bool = False
    control: bool = False
    prefills: int = 1
    asynchronous: bool = False
    mortals: int | None = None
    prefixes: int = 0
    blocks: int = 0
    shares_experts: bool = False
    troubled: int | None = None
    knows_dead: bool = False
    reports: bool = False
    decode_ranks: bool = False
    balances: bool = False

    @property
    def all_blocks(self) -> int:
        """P's blocks."""
        return self.blocks or self.slots * self.chunks

    @property
    def hears_reports(self) -> bool:
        """D's worker hears that a step is over."""
        return self.reports or self.decode_ranks

    @property
    def spoils_only_by_death(self) -> bool:
        """Nothing may happen that keeps a request from being decoded, but that a process dies."""
        return not (self.aborts or self.deadlines or self.errors or self.suspicions or self.full)

    @property
    def spoils_nothing(self) -> bool:
        """Nothing may happen that keeps a request from being decoded."""
        return self.spoils_only_by_death and self.crash == "none"

    def validate(self) -> None:
        """Raise a DefinitionError for a bound outside its choices."""
        if self.mortals is not None and self.crash not in ("prefill", "rank", "any"):
            raise DefinitionError(f"mortals = {self.mortals}: no P dies; set crash to prefill, rank or any")
        if self.troubled is not None and self.prefills == 1:
            raise DefinitionError(f"troubled = {self.troubled}: it tells prefill instances apart, and there is one; set prefills to 2 or more")
        for name in ("requests", "turns", "ranks", "slots", "layers", "chunks", "decodes", "room", "threads", "copies", "lives", "prefills"):
            value = getattr(self, name)
            if value < 1:
                raise DefinitionError(f"{name} = {value}: give at least 1")
        if self.prefixes and self.chunks < 2:
            raise DefinitionError(f"prefixes = {self.prefixes}: a prompt of one chunk has no beginning to share; set chunks to 2 or more")
        if self.blocks and not self.prefixes:
            raise DefinitionError(f"blocks = {self.blocks}: blocks are counted with a prefix cache; set prefixes to 1 or more")
        if self.blocks and self.blocks < self.chunks:
            raise DefinitionError(f"blocks = {self.blocks}: a prompt of {self.chunks} chunks would wait for ever; give at least as many")
        if self.balances and not (self.decode_ranks and self.shares_experts):
            raise DefinitionError("balances: experts move between ranks of D's that share them; set decode_ranks and shares_experts")
        if self.crash not in CRASHES:
            raise DefinitionError(f"crash={self.crash!r}: choose one of {', '.join(CRASHES)}")
        if (self.losses or self.crash in ("decode", "any")) and not self.repeats:
            raise DefinitionError("a message may be lost, or heard by a D that crashes: set repeats=true, or P waits for ever")
