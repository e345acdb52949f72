"""The hazards of the layer-wise send: of the group "sending", and those that "layer0-signal" owns."""

from __future__ import annotations

from .hazard import Hazard

LAYER0 = [
    Hazard(
        "H-01",
        "a lost layer-0 signal",
        ("#7724", "#7872"),
        "Without the acknowledgement a request is scheduled while its registration is under way. Its first kv signal reaches a messager "
        "that knows no task and throws it away; later layers only move a mark, no work item is ever queued, and the request is stuck.",
        claim="E1; observed (the motivation of #7872), and found by the mini model in 11 steps. E0, E2, E3 do not lose it.",
        finding="It needs no slow rank: P's half is put, and D's half waits for every rank to have read it. A signal that falls between the "
        "two halves is queued for an unregistered slot instead, which E1 survives by waiting. Had #7724 dropped the discard (Q3), nothing "
        "would be lost.",
    ),
    Hazard(
        "H-03",
        "ranks queue different work",
        ("#7724", "#7872", "#8034"),
        "One rank throws a signal away that another queues (E1), or makes one batch of what another makes two (E2). The barriers pair whatever "
        "comes next: a round of CH4 holds two ids and is read as its first, or the ranks wait for each other for ever.",
        claim="E1 inferred, E2 observed (#8034).",
        finding="As claimed. Besides, P frees the blocks of a request that a rank has yet to send.",
    ),
    Hazard(
        "H-04",
        "ranks send in different orders",
        ("#8034",),
        "Two requests of one step are registered in the other order. A rank that was registered before the signal sends them in slot order, "
        "one that was not in the order of registration. The meetings succeed and pair different requests: one is answered unsent, or never. "
        "With chunks, a rank that has parked two of them makes one item of both (H-04b).",
        claim="E3; inferred. E3 mends the deadlock of E2.",
        finding="Reachable in E3a and in E3b, whichever way late signals are forwarded (Q2). H-04b is a deadlock in E2, E3a and E3b from two "
        "chunks on; it loses no data, because an item covers all that its chunk number says.",
        told_by="layer0-signal-answered-unsent-in-e3a-one-layer",
    ),
    Hazard(
        "H-06",
        "deletion after the report",
        (),
        "The sender reports a request and then deletes the entry of its slot. In between the slot goes to the next request, which is registered "
        "there without the sender's lock; the late deletion takes the new entry away.",
        claim="All epochs; inferred.",
        finding="Reachable in every epoch, also in E0, whose verdicts are otherwise clean. It needs the whole next request between one report and "
        "one deletion.",
    ),
    Hazard(
        "H21",
        "the mapping of a reused slot is deleted",
        ("#7724",),
        "The engine's side of H-06: the engine may finish a request, reuse the slot and register the new task before the messager has deleted "
        "the old mapping. Before #7724 an assertion fails and the task never finishes; after it the wait has no end.",
        claim="All versions with a prefill role; inferred.",
        finding="See H-06: the same interleaving, found from the other side.",
    ),
]

SENDING = [
    Hazard(
        "H20",
        "layer-0 signals dropped or matched with the wrong request",
        ("#7724", "#7944", "#8034"),
        "Since #7724 a forward may start before the messager has the request's cache task. The signal is dropped (a), finds the slot's previous "
        "request (b), or makes the sender wait with every other request behind it (c); the first mend made ranks build different batches (d).",
        claim="R; observed (#7944, #8034).",
        finding="(a) is H-01, (b) is H-05, (c) is H-02, (d) is H-03. In E0 (b) cannot be: the next occupant overwrites the task before it may run.",
        told_by="layer0-signal-dropped-in-e1",
    ),
    Hazard(
        "H-02",
        "an unregistered slot takes its batch along",
        ("#7724",),
        "A signal of two requests comes when one of them is registered. With the assertion the whole batch is dropped; with the wait of #7724 the "
        "sender stands still until the other task is there, and for ever if it was lost.",
        claim="E0 impossible, E1; observed and inferred.",
        finding="As claimed. The wait alone loses nothing: what never ends in E1 is a signal that was thrown away (H-01).",
        told_by="sending-registered-request-waits-for-another-in-e1",
    ),
    Hazard(
        "H-05",
        "tables by slot: the last request's task serves the next",
        ("#7724", "#7872"),
        "A request that is aborted after its registration leaves its task in its slot, because the messager is never told. The next occupant's "
        "signal, if it comes before its own registration, drives the old task: blocks of others are sent into memory of others.",
        claim="All epochs; the acknowledgement keeps E0 from it. Inferred.",
        finding="Reachable in E1 and E2 with one abort, in 13 steps. Naming the request ends the mix-up, but the aborted task stays for ever "
        "unless it is withdrawn behind its signals.",
    ),
    Hazard(
        "H-14",
        "a worker's row is taken for an engine's slot",
        (),
        "A kv signal carries the row in the worker's batch; the messager reads it as the slot. When rows are swapped to condense the batch, one "
        "request's progress is credited to another.",
        claim="Inferred; only where rows are reordered on P.",
        finding="Reachable in 5 steps as soon as rows are swapped, and not before.",
    ),
    Hazard(
        "H-15",
        "a failing head poisons its batch",
        (),
        "The head of a batch steers it. If its link fails, its record is not counted on; the others get ahead of it, the next pass sends their "
        "layers again, an assertion fails, and the batch is abandoned without a report.",
        claim="All epochs; read in the source.",
        finding="As claimed, with one rank and two requests. It needs a pass that ends between two layers.",
    ),
    Hazard(
        "H-16",
        "an error before the last chunk",
        (),
        "A request whose link fails in a chunk that is not its last is reported and unregistered at the end of that pass. The next chunk's "
        "signal finds nothing (a); a rank without the error waits at another barrier (b); a second failing request waits for room in CH4 with "
        "the messager's lock held, which nobody can end (c).",
        claim="All epochs; read in the source and inferred.",
        finding="All three are reachable in E0; (c) needs more signals to come than the kernel's queue holds: three chunks of two layers. "
        "Reporting at once is not safe in ours either: a failure is kept until the last chunk, and until the "
        "worker has written its last layer.",
    ),
    Hazard(
        "H-17",
        "the messager's lock is held across barriers",
        (),
        "The sender holds `engine_cache_task_thread_lock` from the finish barrier to the last deletion. Meanwhile the rank's signals are not "
        "consumed; the kernel's queue holds two, then the stream stops.",
        claim="All epochs; read in the source. Benign alone.",
        finding="As claimed: as long as every rank gets on the signals are consumed; when one rank stalls, the other rank's worker stops too.",
    ),
    Hazard(
        "H-18",
        "an empty last range never finishes",
        (),
        "A pass without blocks to send counts its layers but never sets finished. If D's list is longer than P's, the range begins at a negative "
        "offset, which counts from the end of the list.",
        claim="Read in the source; unreachable while D never has a prefix of its own, and while both sides reserve alike.",
        finding="As claimed: with lists of equal length neither can be.",
    ),
    Hazard(
        "H-25",
        "the kv signal's struct is rewritten under the stream",
        (),
        "The host fills the struct for the next forward while callbacks of the last one still read it: signals carry the wrong rows and layer.",
        claim="Inferred. On CUDA the copy of the lengths orders the two; pinned memory, overlap, or XPU's thread do not.",
        finding="As claimed, both ways.",
    ),
    Hazard(
        "H-26",
        "signals of an earlier life",
        ("#7872",),
        "The System V queue outlives the process. A signal of the last life that is parked is forwarded when a new request registers in that slot, "
        "and layers are sent that nobody has written.",
        claim="Inferred; E0 and E1 absorb such signals by their discard.",
        finding="E1 does not absorb them all: one that is read after the new registration is queued. A test of the length (one answer to Q1) does "
        "not "
        "help. Emptying the queue at start does, if nothing reads it before.",
    ),
    Hazard(
        "H-30",
        "the token processor waits for one request",
        (),
        "P's token processor waits for one request's report without an end. Every later first token waits behind it.",
        claim="All epochs; read in the source.",
        finding="As claimed; the engine's side is H28.",
    ),
    Hazard(
        "H-32",
        "completions of parallel sends are fungible",
        ("#7931",),
        "Threads that share a connection take the next completion, whoever posted the write: a call may return before its own data has "
        "arrived, and an error is charged to another request.",
        claim="Inferred; safe only if the pass waits for all its calls.",
        finding="Waiting for all calls mends the early finish and not the wrong charge.",
    ),
    Hazard(
        "H-35",
        "the V0 messager reads a torn pair",
        (),
        "Layer and step lie in two words. An old layer beside a new step makes the messager send layers that the new step has not written; the "
        "second look covers the last layer only.",
        claim="V0; inferred from the source.",
        finding="As claimed, with two layers and two steps. Reading step, layer and step again suffices.",
    ),
    Hazard(
        "H-39",
        "a forward without prompts signals all the same",
        ("#6680",),
        "An idle step of expert parallelism, or a batch of preemptions only, emits its signals with no rows. A rank that knows a task queues an "
        "empty batch, one that knows none drops it: they meet over different work, and the empty batch fails.",
        claim="Inferred; all epochs up to the split of #7872.",
        finding="Reachable in E0 as well: the acknowledgement orders a request's own signals, and not those of nobody. A dummy run, which does not "
        "set the struct back, signals a layer after the last one with the rows of the last forward, and then fails the producer's assertion; where "
        "the messager waits for a layer that nobody runs (Q5), that signal reports the request.",
    ),
    Hazard(
        "H-43",
        "the waiting token processor stops the worker",
        (),
        "While the token processor waits for one request it reads no tokens. The queue of outputs is bounded; when it is full the worker stands "
        "still in the middle of a step.",
        claim="Inferred.",
        finding="As claimed, when a report is lost (H-01) and two further steps end.",
    ),
]
