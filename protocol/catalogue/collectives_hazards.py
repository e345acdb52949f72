"""The hazards of the group "collectives"; its scenarios are in `collectives.py`."""

from __future__ import annotations

from .hazard import Hazard

HAZARDS = [
    Hazard(
        "H3",
        "clear_data leaves the queue's register up",
        ("#7111", "#6680"),
        "An update of weights ends with `clear_data`, which empties the queue and raises the read flags, but before #7111 left the "
        "register that says a batch is there. All ranks go to an empty queue; the first to read is taken for the last and takes the "
        "announcement back.",
        claim="All versions before #7111; observed. In B the assertion kills the worker, in prefill ranks end in different barriers.",
        finding="#7111 does not mend B: rank 0 has announced the batch before the queue was cleared, and B goes on to read in the same "
        "iteration. It takes B' as well, which starts over. A has no assertion, but ends with ranks in two collectives. Nobody needs "
        "the clear at all.",
    ),
    Hazard(
        "H4",
        "clear_data by every rank",
        ("#7111", "#6680"),
        "After an update every rank clears the queue by itself, while the engine goes on. A batch that is put between two clears is "
        "taken away by the second; the engine believes that it was delivered, and its requests run nowhere.",
        claim="A, B, B'; inferred. Expected to be mended by one rank that clears between two barriers, with all signals reset.",
        finding="As claimed, but the mend is not enough: a batch that waited when the update began is cleared away by one rank as well, "
        "and the engine has no word of it. In ours workers never clear the queue. Besides, a rank that copies the status back late "
        "replaces the result of rank 0, unless something inside the update holds the ranks together.",
    ),
    Hazard(
        "H5",
        "one stopped engine stalls all instances",
        ("#6680",),
        "In the prefill role with experts every engine must put a batch for every round. One that is paused, dead, or stuck in a put "
        "leaves the others' ranks at EPB with their signal up and their gates shut. A control request that was sent to some instances "
        "only waits for the rest.",
        claim="B, B'; found by a small search. A pause heals with the resume.",
        finding="As claimed. EPB is also all that keeps the rounds in step: without it, where a forward does not block, one instance "
        "runs on. A stopped engine does not stall A, whose workers run on by themselves; ours takes that over, and the workers answer "
        "for their engine. A control request for some instances only waits in A as well; ours withdraws it after a time-out.",
    ),
    Hazard(
        "H6",
        "the forward signal stays up",
        ("#6680",),
        "Some ways out of an iteration do not lower the signal: the sleeping branch, an exception, the death of a rank, a wait at EPB "
        "that never ends. The engine waits without a time-out; requests pile up and get no answer.",
        claim="B, B'; inferred.",
        finding="The sleeping branch heals: the request to wake is a batch that no gate holds up, and its iteration is executed. A dead "
        "rank shuts the gate of A as well, since the queue is never read by all; so the time-out is needed with and without a signal. "
        "The crash may come anywhere, which covers the exception: it ends the process, too. To start the dead rank again and do no more joins "
        "it with a sibling that is still in the last batch's forward; it takes a generation (`collectives-rejoin-...`).",
    ),
    Hazard(
        "H8",
        "collectives in another order",
        ("#6680",),
        "With legacy weights every iteration begins with a broadcast over the world. A rank that has read its batch waits at EPB in "
        "this iteration; the ranks of another instance, which saw none, are in the broadcast of the next. Each side waits for the "
        "other.",
        claim="B with legacy weights, prefill and experts; found by a small search. A is safe.",
        finding="B' has it, too. The trace is that of the facts. Collectives that only executed iterations enter (load balancing since "
        "#6680, pending controls) are safe; so is any collective in a loop whose every iteration all ranks run.",
    ),
    Hazard(
        "H11",
        "a batch that only stops requests has no output",
        ("#7633", "#7654"),
        "When the only running requests are preempted or aborted, the worker has nothing left to run and skips its forward. Without an "
        "output there is no -9, so their slots are not freed until some other request runs.",
        claim="Before #7633; observed. A pause gives up after 60 s.",
        finding="As claimed; any request that runs, or comes, brings the output. Modelled up to the slot, without the 60 s of the pause.",
    ),
    Hazard(
        "H13",
        "a lock that nobody gives back",
        (),
        "The server's locks are taken and given back by two calls, without try/finally and without regard to who holds them. A client "
        "that raises or dies in between leaves the lock taken for ever.",
        claim="All versions; inferred.",
        finding="As claimed. try/finally is not enough: it does not help against death, and after an exception the read flags are down "
        "with no batch there, so the next put waits for ever. A method must be one call.",
    ),
    Hazard(
        "H24",
        "ranks on a second node",
        ("#6680",),
        "Signals in shared memory are one node's. With tensor parallelism across nodes the ranks of the second node write a copy that "
        "the engine never reads, so the gate does not wait for them.",
        claim="B; inferred. Also, an ipc connection always uses the queue of instance 0.",
        finding="In B and B' it adds nothing to the early zero (H1), which one node has already; it breaks a mend that is right on one "
        "node, the counter. The nnode formula of A and B finds a node too many when ranks fill their nodes exactly, and never too few: "
        "the path through the server costs a call and is otherwise the same. That an ipc connection uses the wrong index is a plain "
        "error, which no interleaving is needed for (group links).",
    ),
    Hazard(
        "H25",
        "a signal made anew after a rank has attached",
        (),
        "The engine unlinks a segment of the same name and makes a new one. A rank that has attached before keeps an orphan: what it "
        "stores nobody reads, what others store it never sees.",
        claim="All versions; inferred.",
        finding="As claimed, for the forward signal and for the announcement; it takes a left-over segment and a rank that does not "
        "wait for its engine.",
    ),
    Hazard(
        "H-34",
        "engine_forward_signal stuck",
        ("#6680",),
        "A rank that crashes or hangs between its one and its zero stops scheduling for ever, since the gate has no time-out.",
        claim="B, B'; inferred. For plain tensor parallelism the word is thought safe: a rank writes 1 only behind the barrier that "
        "every rank reaches after its own 0.",
        finding="As claimed for the crash (the same as H6). That the word is safe holds for a late zero only; the early zero (H1) needs "
        "no second iteration.",
        told_by="collectives-dead-rank-leaves-signal-up-in-b",
    ),
]
