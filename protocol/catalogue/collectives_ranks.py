"""Scenarios of the group "collectives": a lock that is kept, a step without output, ranks on other nodes and in other lives.

A group of its own for each system, so that every one of them has its pages: `lock_holder.py`, `silent_batch.py`, `placement.py`, `rejoin.py`.
"""

from __future__ import annotations

from functools import partial

from ..machines.collectives.lock_holder import build as build_lock
from ..machines.collectives.placement import build as build_placement
from ..machines.collectives.rejoin import build as build_rejoin
from ..machines.collectives.silent_batch import build as build_silent
from . import variant_scenario

NO_SCHEDULE, OPENS, READ = "no_schedule_during_forward", "gate_opens", "batch_is_read"
JOINED, ANSWERED, NEXT, ONE = "no_mismatched_forward", "batches_answered", "batches_put", "no_second_answer"
_lock = partial(variant_scenario, "collectives-lock", build_lock)
_silent = partial(variant_scenario, "collectives-silence", build_silent)
_placed = partial(variant_scenario, "collectives-placement", build_placement)
_rejoin = partial(variant_scenario, "collectives-rejoin", build_rejoin)

# fmt: off
NO_FINALLY = "An exception between the two calls leaves the server's lock taken: every later call of the engine and of the ranks waits for ever."
KILLED = "A rank dies between the two calls that take the lock and give it back; the server does not know, and nobody else ever gets it."
ONE_CALL = "A method is one remote call, inside which the server takes its lock and gives it back; a batch is pickled before."
SILENT = (
    "The only running request is stopped. The worker inserts that, has nothing left to run, and skips its forward; so there is no output, no -9, and "
    "the slot is never freed."
)
ONE_NODE = {"layout": "one_node"}
TWO_NODES = {"layout": "two_nodes"}
LEFT_OVER = {"layout": "left_over", "flag": "shared_memory"}
ORPHAN = (
    "A rank attaches to a segment that an earlier engine has left; the engine unlinks that and makes a new one. What the rank stores nobody "
    "reads: the signal seems down during the forward."
)
GENERATION = "The segment's name carries the engine's generation, so a rank waits until the right one is there."
OWN_NODE = "Rank 0, on the engine's node, speaks for all behind a barrier that spans the nodes."
REJOINED = (
    "For every exit the group gets a number before the rank is started again. Batches and collectives are of one number, the queue is emptied with "
    "the raise, and the engine answers what it had put before."
)

RANKS = [
    # -- H13 -------------------------------------------------------------------------------------------------------------------
    _lock("kept-by-exception", "engine_reaches_the_queue", "violated", 237, 5, ("#6680", "H13"), NO_FINALLY, "all", fault="raise"),
    _lock("kept-by-dead-rank", "engine_reaches_the_queue", "violated", 296, 11, ("H13",), KILLED, "all", fault="kill"),
    _lock("freed-by-finally", "engine_reaches_the_queue", "holds", 283, None, ("H13",),
          "With try/finally an exception gives the lock back.", "finally", fault="raise"),
    _lock("put-waits-for-ever-after-finally", "batch_is_put", "violated", 283, 8, ("H13",),
          "The lock is given back, but the read flags went down before the exception: no batch is there, nobody reads, and the next put waits "
          "for the flags for ever.", "finally", fault="raise"),
    _lock("kept-by-dead-rank-despite-finally", "engine_reaches_the_queue", "violated", 296, 11, ("H13",), KILLED, "finally", fault="kill"),
    _lock("free-after-death-in-ours", "engine_reaches_the_queue", "holds", 93, None, ("H13",), ONE_CALL, "repaired", fault="kill"),
    _lock("free-after-exception-in-ours", "engine_reaches_the_queue", "holds", 75, None, ("H13",), ONE_CALL, "repaired", fault="raise"),
    _lock("put-ends-after-exception-in-ours", "batch_is_put", "holds", 75, None, ("H13",), ONE_CALL, "repaired", fault="raise"),
    _lock("some-batch-read-in-ours", "some_batch_read", "holds", 93, 7, ("H13",), "Batches are put and read.", "repaired", fault="kill"),
    # -- H11 -------------------------------------------------------------------------------------------------------------------
    _silent("stopped-request-keeps-slot-before-7633", "stopped_request_is_freed", "violated", 24, 5, ("#7633", "H11"), SILENT, "before-7633"),
    _silent("stopped-request-freed-beside-another-before-7633", "stopped_request_is_freed", "holds", 33, None, ("#7633", "H11"),
            "Another request runs, so there is a forward, an output and the -9.", "before-7633", other="runs"),
    _silent("stopped-request-freed-by-the-next-before-7633", "stopped_request_is_freed", "holds", 108, None, ("#7633", "H11"),
            "The next request that runs brings the output: what happens is a delay of unknown length.", "before-7633", other="comes"),
    _silent("stopped-request-freed-since-7633", "stopped_request_is_freed", "holds", 27, None, ("#7633", "H11"),
            "A step in which a slot was stopped has an output even if nothing runs.", "since-7633"),
    _silent("stopped-request-freed-beside-the-next-since-7633", "stopped_request_is_freed", "holds", 112, None, ("#7633", "H11"),
            "A step in which a slot was stopped has an output even if nothing runs.", "since-7633", other="comes"),
    _silent("some-request-freed-since-7633", "some_request_freed", "holds", 27, 5, ("#7633", "H11"), "The slot does become free.", "since-7633"),
    # -- H24 -------------------------------------------------------------------------------------------------------------------
    _placed("counter-is-right-on-one-node", NO_SCHEDULE, "holds", 232, None, ("#6680", "H24"),
            "Every rank counts up before it reads and down after its forward: the gate waits for all.", "counted", **ONE_NODE),
    _placed("remote-rank-unseen-by-counter", NO_SCHEDULE, "violated", 244, 24, ("#6680", "H24"),
            "The rank of the second node counts in its own memory, which the engine never sees: the gate opens during its forward.",
            "counted", **TWO_NODES),
    _placed("remote-rank-unseen-in-b-prime", NO_SCHEDULE, "violated", 244, 24, ("#6680", "H24"),
            "The engine waits for the zero of its own node only.", "B'", **TWO_NODES),
    _placed("remote-rank-covered-in-ours", NO_SCHEDULE, "holds", 195, None, ("#6680", "H24"), OWN_NODE, "repaired", **TWO_NODES),
    _placed("some-forward-waited-for-on-two-nodes-in-ours", "some_forward_waited_for", "holds", 195, 18, ("#6680", "H24"),
            "The gate does look while a rank works.", "repaired", **TWO_NODES),
    _placed("announcement-unseen-on-second-node-without-server", READ, "violated", 133, 18, ("H24",),
            "An announcement in shared memory is not seen on the second node: its rank never reads, and rank 0 waits for it in the forward.",
            "repaired", **TWO_NODES, flag="shared_memory"),
    _placed("announcement-by-server-on-two-nodes", READ, "holds", 195, None, ("H24",),
            "read_finish_flag lies on the server, where both nodes see it.", "repaired", **TWO_NODES),
    # -- H25 -------------------------------------------------------------------------------------------------------------------
    _placed("orphan-signal-in-b-prime", NO_SCHEDULE, "violated", 145, 16, ("#6680", "H25"), ORPHAN, "B'", **LEFT_OVER, ranks=1),
    _placed("orphan-announcement-in-b-prime", READ, "violated", 871, 21, ("#6680", "H25"),
            "One rank has attached to the left-over segment, the other to the new one: what rank 0 announces the other never sees.",
            "B'", **LEFT_OVER),
    _placed("orphan-shuts-gate-in-b-prime", OPENS, "violated", 871, 21, ("#6680", "H25"),
            "One rank has attached to the left-over segment, the other to the new one: the batch is never read by both.", "B'", **LEFT_OVER),
    _placed("attached-by-generation-in-ours", NO_SCHEDULE, "holds", 221, None, ("H25",), GENERATION, "repaired", **LEFT_OVER),
    _placed("announcement-seen-by-generation-in-ours", READ, "holds", 221, None, ("H25",), GENERATION, "repaired", **LEFT_OVER),
    _placed("gate-opens-by-generation-in-ours", OPENS, "holds", 221, None, ("H25",), GENERATION, "repaired", **LEFT_OVER),
    # -- 9.6: a rank comes back ------------------------------------------------------------------------------------------------
    _rejoin("dead-rank-holds-batches-up-in-published", ANSWERED, "violated", 147, 4, ("H6", "9.6"),
            "A rank dies and nothing starts it again: the others wait in the collective for ever.", "published"),
    _rejoin("restarted-rank-is-joined-with-another-batch", JOINED, "violated", 300, 9, ("H6", "9.6"),
            "The rank is started again and has lost its batch, which counts as read; it reads the next one, and is joined with a sibling in the "
            "last one's forward.", "restarted"),
    _rejoin("restarted-rank-is-waited-for-in-restarted", ANSWERED, "violated", 293, 14, ("H6", "9.6"),
            "One forward too few on one side: the other waits in its last one for ever.", "restarted"),
    _rejoin("rejoined-by-generation-in-ours", JOINED, "holds", 9_122, None, ("H6", "9.6"), REJOINED, "repaired", deaths=2),
    _rejoin("rejoined-by-generation-in-ours-tp3", JOINED, "holds", 127_581, None, ("H6", "9.6"), REJOINED, "repaired", ranks=3, deaths=2),
    _rejoin("batches-answered-in-ours", ANSWERED, "holds", 9_122, None, ("H6", "9.6"), REJOINED, "repaired", deaths=2),
    _rejoin("batches-put-in-ours", NEXT, "holds", 9_122, None, ("H6", "9.6"), REJOINED, "repaired", deaths=2),
    _rejoin("one-answer-in-ours", ONE, "holds", 11_077, None, ("9.6", "P10"), REJOINED, "repaired", deaths=2),
    _rejoin("some-forward-after-death-in-ours", "some_forward_after_death", "holds", 1_521, 10, ("9.6",),
            "The group of the next generation runs a forward.", "repaired"),
    _rejoin("some-batch-done-in-ours", "some_batch_done", "holds", 1_794, 7, ("9.6",), "A batch is done.", "repaired"),
    _rejoin("some-batch-failed-in-ours", "some_batch_failed", "holds", 1_794, 4, ("9.6",), "A batch ends with an error.", "repaired"),
    _rejoin("second-death-unseen-when-looking-for-the-dead", JOINED, "violated", 19_234, 15, ("9.6",),
            "Ours, with a supervisor that looks who is dead: a rank dies again before it was seen alive, and is started with the number of its "
            "last life. That was our first draft.", "repaired-looking-for-the-dead", deaths=2),
    _rejoin("one-death-seen-when-looking-for-the-dead", JOINED, "holds", 2_509, None, ("9.6",),
            "One death is seen either way.", "repaired-looking-for-the-dead"),
    _rejoin("generations-joined-by-order", JOINED, "violated", 1_665, 9, ("9.6",),
            "Ours, with collectives that do not know the number: a rank of the next generation is joined with what the dead one has left.",
            "repaired-joined-by-order"),
    _rejoin("queue-never-empty-when-kept", NEXT, "violated", 1_984, 7, ("9.6",),
            "Ours, keeping the queue: what was put for the last generation is read by nobody, and the next put waits for ever.",
            "repaired-keeping-the-queue"),
    _rejoin("batch-never-answered-without-answer", ANSWERED, "violated", 865, 9, ("9.6", "P12"),
            "Ours, with an engine that waits for outputs only.", "repaired-without-answer"),
    _rejoin("answered-twice-when-late-outputs-are-taken", ONE, "violated", 1_955, 10, ("9.6", "P10"),
            "Ours, taking an output that comes after the error: two answers.", "repaired-taking-late-outputs"),
]
# fmt: on
