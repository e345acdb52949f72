"""Scenarios of the group "sending": the layer-wise send with chunks, batches, errors, and what else a signal can be wrong about.

| hazard | E0 | E1 | E2 | E3a, E3b | repaired |
|---|---|---|---|---|---|
| H-02: an unregistered slot takes the batch with it | never | asserting: yes; waiting: blocked while it lasts | - | - | never |
| H-04b: two parked chunks are one item on one rank | never | - | divided | divided | never |
| H-05: the slot's last task serves the next request | never | yes | yes | yes | never |
| H-15: a failing head, and the batch is abandoned | yes | yes | yes | yes | never |
| H-16: an error before the last chunk | abandoned, stuck | stuck | stuck | stuck | never |
| H-17: the lock is held while the ranks wait | yes | yes | yes | yes | never |
| H-39: a forward without prompts makes an item on some ranks | yes | yes | no item | no item | never |
| H-43: the waiting token processor stops the worker | - | yes | - | - | never |

Smaller questions, each with a builder of its own: rows that are swapped (H-14), the empty range (H-18), the signal's struct (H-25),
signals of an earlier life (H-26), the two words of V0 (H-35), completions of parallel sends (H-32), and how many layers a forward signals
(H-39, Q5). The open questions: Q1 (the test of a parked signal) makes no difference to H-26; Q2 (E3a forwards at once, E3b sweeps), Q3 (the
discard and the barrier at registration kept, or not) and Q5 (who counts the draft model's layer) have a scenario for each answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..machines.engine_threads import token_wait
from ..machines.sending import (
    chunked_send,
    completions,
    empty_range,
    signal_struct,
    signalled_layers,
    slot_reuse,
    stale_signals,
    step_layer_words,
    swapped_rows,
)
from ..system import System
from . import Scenario, is_deep
from .hazard import Hazard
from .sending_hazards import SENDING

DEADLOCK, UNSENT, ABANDONED, ALL, LIVE = "deadlock", "answered_unsent", "batch_abandoned", "some_run_answers_all", "first_tokens_answered"
DRAGGED, SIGNALS, FORWARDS, AGREE = "registered_request_dropped", "signals_consumed", "forwards_end", "work_items_agree"
WAITS = "registered_request_waits"
TWO = {"ranks": 1, "requests": 2, "layers": 2}
OURS = "Ours: an item concerns one request and everything of it that is due; no rank waits for another; completion is counted per request."


def _scenario(
    build: Callable[..., System],
    name: str,
    asked: str,
    expected: str,
    distinct: int,
    path: int | None,
    sources: tuple[str, ...],
    about: str,
    variant: str,
    **bounds: Any,
) -> Scenario:
    """One scenario; its variant is the builder's epoch or variant."""
    key = "epoch" if build is chunked_send.build else "variant"
    deep = is_deep(distinct, expected)
    return Scenario(f"sending-{name}", "sending", build, asked, expected, sources, variant, about, {key: variant, **bounds}, distinct, path, deep)


def _chunked(
    name: str, asked: str, expected: str, distinct: int, path: int | None, sources: tuple[str, ...], about: str, epoch: str, **bounds: Any
) -> Scenario:
    return _scenario(chunked_send.build, name, asked, expected, distinct, path, sources, about, epoch, **bounds)


MERGED = (
    "Registration lags by more than a chunk on one rank. The other forwards the two chunks as two items; this one has parked both, the "
    "latest only, and forwards one item for all of it. No data is missing, but the ranks meet a different number of times."
)
HEAD = (
    "The head's link fails in the first layer, and its record stays behind; the other request of the batch goes on. The next pass begins "
    "at the head's layer again, an assertion finds the other one ahead, and the batch is abandoned: nobody is reported."
)
NOT_LAST = (
    "The link fails in the first of two chunks. The request is reported and unregistered at the end of that pass; the second chunk's "
    "signal finds no task."
)
LOCKED = (
    "A rank that is done waits at the finish barrier for one that is not, holding the messager's lock; its consumer of signals waits for the "
    "lock, and behind it the kernel's queue, the stream and the worker."
)
ABA = (
    "The first request is aborted when its halves are put, and nobody tells the messager, which registers it all the same. The slot goes to "
    "the next request, whose signal comes before its own registration: it finds the old task, and the old request's blocks are sent into "
    "memory that D has given to others."
)

MTP = ("#7944",)
COUNTED = "The registration carries the number of layers, and a task of another number is refused."
DUMMY = (
    "A dummy run does not set the struct back, and its kernels signal all the same: a layer after the last one, with the rows of the last forward; "
    "then the assertion fails."
)
# fmt: off
SCENARIOS_OF_CHUNKS = [
    # -- H-02 -----------------------------------------------------------------------------------------------------------
    _chunked("unregistered-slot-drops-the-batch-in-e1-asserting", DRAGGED, "violated", 13_943, 20, ("#7724", "H-02", "H20"),
             "The signal of two requests comes when one of them is registered. The sender finds the other missing, an assertion fails, and the "
             "batch is dropped: the registered request with it.", "E1-asserting", ranks=1, requests=2),
    _chunked("unregistered-slot-is-awaited-in-e1", DRAGGED, "holds", 11_971, None, ("#7724", "H-02"),
             "#7724 made the assertion a wait: nothing is dropped, but the sender stands still until the task is there.", "E1", ranks=1, requests=2),
    _chunked("unregistered-slot-never-happens-in-e0", DRAGGED, "holds", 2_788, None, ("H-02",),
             "Nothing is scheduled before it is registered.", "E0", ranks=1, requests=2),
    _chunked("unregistered-slot-keeps-nobody-in-ours", LIVE, "holds", 5_583, None, ("H-02", "H20"), OURS, "repaired", ranks=1, requests=2),
    _chunked("registered-request-waits-for-another-in-e1", WAITS, "violated", 11_971, 18, ("#7724", "H-02", "H20"),
             "The signal of two requests comes when one of them is registered. The sender waits for the other's task, and the registered request "
             "with it, as does every item behind.", "E1", ranks=1, requests=2),
    _chunked("registered-request-waits-for-nobody-in-e0", WAITS, "holds", 2_788, None, ("H-02",),
             "Nothing is scheduled before it is registered.", "E0", ranks=1, requests=2),
    _chunked("lost-signal-keeps-all-in-e1", LIVE, "violated", 11_971, 20, ("#7724", "H-01", "H-02", "H20"),
             "With the discard of E1 one request's work item never comes to be; the token processor waits for it, and everybody else waits behind "
             "it.",
             "E1", ranks=1, requests=2),
    # -- H-04b, Q2 ------------------------------------------------------------------------------------------------------
    _chunked("parked-chunks-merge-in-e2", DEADLOCK, "violated", 205_054, 66, ("#7872", "H-04"), MERGED, "E2", chunks=2),
    _chunked("parked-chunks-merge-in-e3a", DEADLOCK, "violated", 341_174, 68, ("#8034", "H-04"), MERGED, "E3a", chunks=2),
    _chunked("parked-chunks-merge-in-e3b", DEADLOCK, "violated", 85_931, 71, ("#8034", "H-04"),
             MERGED + " It makes no difference who forwards (Q2).", "E3b", chunks=2),
    _chunked("parked-chunks-lose-no-data-in-e3a", UNSENT, "holds", 341_741, None, ("#8034", "H-04"),
             "What is answered has been sent: an item covers all that its chunk number says.", "E3a", chunks=2),
    _chunked("one-chunk-in-e3b", DEADLOCK, "holds", 3_574, None, ("#8034",), "With one chunk and one request the sweep of E3b does its work.", "E3b"),
    _chunked("two-chunks-in-e0", DEADLOCK, "holds", 20_048, None, ("H-04",), "Every chunk's signal finds its task.", "E0", chunks=2),
    _chunked("two-chunks-answered-in-e0", UNSENT, "holds", 20_048, None, ("H-04",), "Every rank sends both chunks before it reports.", "E0",
             chunks=2),
    _chunked("two-chunks-in-ours", DEADLOCK, "holds", 34_749, None, ("H-04",), OURS, "repaired", chunks=2),
    _chunked("two-chunks-answered-in-ours", LIVE, "holds", 34_749, None, ("H-04",), OURS, "repaired", chunks=2),
    _chunked("two-chunks-of-two-layers-in-ours", UNSENT, "holds", 134_910, None, ("H-04",), OURS, "repaired", chunks=2, layers=2),
    _chunked("some-run-answers-two-chunks-in-ours", ALL, "holds", 34_749, 53, ("H-04",), "A run of ours that answers exists.", "repaired", chunks=2),
    # -- two requests in different orders (H-04), and Q2 again ------------------------------------------------------------
    _chunked("order-diverges-in-e3b", AGREE, "violated", 1_334_351, 46, ("#8034", "H-04"),
             "The tasks come in the order B, A. One rank sweeps when both are registered and both signals parked: A, B; the other sweeps B as "
             "soon as "
             "it can, then A. E3b has H-04 as E3a has (Q2).", "E3b", requests=2),
    _chunked("answered-unsent-in-e3b", UNSENT, "violated", 1_334_351, 64, ("#8034", "H-04"),
             "Two ranks in different order fill a round of CH4 with two ids, and it is read as its first.", "E3b", requests=2),
    # -- Q3 ---------------------------------------------------------------------------------------------------------------
    _chunked("without-the-discard-in-e1", DEADLOCK, "holds", 3_024, None, ("#7724", "H-01"),
             "Had #7724 dropped MC's discard (Q3), an early signal would only make the sender wait.", "E1-keeping"),
    _chunked("without-the-discard-batch-waits-in-e1", DEADLOCK, "holds", 6_301, None, ("#7724", "H-02"),
             "Also with two requests: the batch waits until both are registered.", "E1-keeping", ranks=1, requests=2),
    _chunked("with-the-discard-in-e1", DEADLOCK, "violated", 4_447, 25, ("#7724", "H-01"),
             "With the discard, as the motivation of #7872 implies, the signal is lost.", "E1"),
    _chunked("without-the-barrier-in-e1", DEADLOCK, "violated", 5_391, 25, ("#7724", "H-01"),
             "The barrier at registration (Q3) makes no difference: the signal is thrown away on the rank that has no task yet.", "E1",
             barrier_kept=False),
    _chunked("without-the-barrier-in-e3a", DEADLOCK, "holds", 16_080, None, ("#8034",),
             "Nor does it in E3a: what is parked is forwarded whenever the rank registers.", "E3a", barrier_kept=False),
    # -- H-15, H-16 -------------------------------------------------------------------------------------------------------
    _chunked("failing-head-in-e0", ABANDONED, "violated", 23_384, 36, ("H-15",), HEAD, "E0", failure="connect", **TWO),
    _chunked("failing-head-is-never-answered-in-e0", LIVE, "violated", 23_384, 45, ("H-15", "H-30"), HEAD, "E0", failure="connect", **TWO),
    _chunked("failing-head-in-ours", LIVE, "holds", 24_608, None, ("H-15",), OURS, "repaired", failure="connect", **TWO),
    _chunked("failing-head-drops-nothing-in-ours", ABANDONED, "holds", 24_608, None, ("H-15",), OURS, "repaired", failure="connect", **TWO),
    _chunked("error-before-the-last-chunk-in-e0", ABANDONED, "violated", 1_010, 41, ("H-16",), NOT_LAST + " An assertion fails.", "E0",
             failure="write", ranks=1, chunks=2),
    _chunked("error-before-the-last-chunk-in-e2", DEADLOCK, "violated", 2_934, 44, ("H-16",), NOT_LAST + " The signal is parked for good.", "E2",
             failure="write", ranks=1, chunks=2),
    _chunked("error-of-one-rank-in-e0", DEADLOCK, "violated", 71_862, 66, ("H-16",),
             "One rank fails in the first chunk and waits at the finish barrier; the other has no error and waits at the next begin barrier.",
             "E0", failure="write", chunks=2),
    _chunked("errors-of-two-in-e0", SIGNALS, "violated", 1_487_521, 66, ("H-16", "H-17"),
             "Two requests fail in the first of three chunks. The first report fills the round of CH4, which is read only when a first token is "
             "there; the second waits for room with the messager's lock held. Signals pile up behind the lock, and the worker never comes to the "
             "token.",
             "E0", failure="write", victims=2, chunks=3, **TWO),
    _chunked("errors-of-two-with-room-in-e0", SIGNALS, "holds", 319_350, None, ("H-16", "H-17"),
             "With two chunks the rest of the signals fits into the queue: the worker ends its forward, the token comes, and CH4 is read.",
             "E0", failure="write", victims=2, chunks=2, **TWO),
    _chunked("error-before-the-last-chunk-in-ours", LIVE, "holds", 984, None, ("H-16",),
             "Ours keeps the failure until the last chunk and reports once.", "repaired", failure="write", ranks=1, chunks=2),
    _chunked("error-before-the-last-chunk-stuck-nowhere-in-ours", DEADLOCK, "holds", 131_511, None, ("H-16",),
             "Ours keeps the failure until the last chunk and reports once.", "repaired", failure="write", chunks=2),
    _chunked("errors-of-two-in-ours", DEADLOCK, "holds", 101_160, None, ("H-16",), OURS, "repaired", failure="write", victims=2, chunks=2, ranks=1,
             requests=2),
    _chunked("without-keeping-the-error-in-ours", DEADLOCK, "violated", 1_086, 34, ("H-16",),
             "Ours, but an error is reported at once: the next chunk's signal is parked for a request that is over.",
             "reports-at-once", failure="write", ranks=1, chunks=2),
    # -- H-17, H-30, H-43 ---------------------------------------------------------------------------------------------------
    _chunked("lock-held-across-the-barrier-in-e0", SIGNALS, "violated", 100_098, 71, ("H-17",), LOCKED, "E0", failure="stall", requests=2),
    _chunked("lock-held-while-all-get-on-in-e0", SIGNALS, "holds", 130_912, None, ("H-17",),
             "As long as every rank gets on the lock comes back: alone it couples the computation to the network, and no more.", "E0", requests=2),
    _chunked("signals-consumed-in-ours", SIGNALS, "holds", 687_079, None, ("H-17",), "Ours holds the lock for one step at a time.", "repaired",
             failure="stall", requests=2),
    _chunked("token-processor-stops-the-worker-in-e1", FORWARDS, "violated", 393_526, 54, ("H-43", "H-30", "H-01"),
             "One request's signal is lost, and the token processor waits for it for ever without reading: the queue of tokens fills, and the worker "
             "stands still in the middle of a step.", "E1", ranks=1, requests=3, token_room=1),
    _chunked("worker-gets-on-in-ours", FORWARDS, "holds", 171_918, None, ("H-43",), OURS, "repaired", ranks=1, requests=3, token_room=1),
    # -- H-39 -------------------------------------------------------------------------------------------------------------
    _chunked("empty-forward-in-e0", AGREE, "violated", 56_972, 38, ("#6680", "H-39"),
             "A forward without prompts signals all the same. The rank that knows a task queues an empty batch, the other, which knows none "
             "yet, throws the signal away: they meet over different work.", "E0", idle=1),
    _chunked("empty-forward-stuck-in-e0", DEADLOCK, "violated", 56_972, 59, ("#6680", "H-39"),
             "The rank with the empty batch fails on it behind the begin barrier, which the other rank passed for the real one.", "E0", idle=1),
    _chunked("empty-forward-in-e3a", DEADLOCK, "holds", 282_700, None, ("H-39",), "Nothing is queued or parked for a signal without rows.", "E3a",
             idle=1),
    _chunked("empty-forward-in-ours", DEADLOCK, "holds", 69_075, None, ("H-39",), "Nothing is queued or parked for a signal without rows.",
             "repaired", idle=1),
    _chunked("ranks-agree-without-empty-forwards-in-e0", AGREE, "holds", 1_140, None, ("H-39",), "Without such forwards the ranks of E0 agree.",
             "E0"),
]

SCENARIOS_OF_OTHERS = [
    _scenario(slot_reuse.build, "old-task-serves-the-next-request-in-e1", "foreign_task_used", "violated", 171, 13, ("#7724", "H-05", "H20"), ABA,
             "E1"),
    _scenario(slot_reuse.build, "old-task-serves-the-next-request-in-e2", "foreign_task_used", "violated", 309, 13, ("#7872", "H-05"), ABA, "E2"),
    _scenario(slot_reuse.build, "next-request-overwrites-first-in-e0", "foreign_task_used", "holds", 117, None, ("H-05",),
              "The next occupant is registered, and so overwrites the old task, before it may run.", "E0"),
    _scenario(slot_reuse.build, "tasks-named-in-ours", "foreign_task_used", "holds", 422, None, ("H-05", "H20"),
              "A signal names its request, and so does the task that it finds.", "repaired"),
    _scenario(slot_reuse.build, "some-task-used-in-ours", "some_task_used", "holds", 422, 9, ("H-05",), "A run that sends exists.", "repaired"),
    _scenario(slot_reuse.build, "aborted-task-withdrawn-in-ours", "task_left_behind", "holds", 422, None, ("H-05",),
              "The withdrawal comes behind the request's signals and takes its task, or waits for its registration.", "repaired"),
    _scenario(slot_reuse.build, "without-the-withdrawal-task-left-in-ours", "task_left_behind", "violated", 265, 20, ("H-05",),
              "Ours, but nobody tells the messager of an abort: its task stays for ever.", "named"),
    _scenario(slot_reuse.build, "reused-slot-answered-in-ours", "forwards_answered", "holds", 422, None, ("H-05", "H-06"),
             "Every forward is answered.", "repaired"),
    _scenario(slot_reuse.build, "reused-slot-never-answered-in-e2", "forwards_answered", "violated", 309, 23, ("H-05", "H-06"), ABA, "E2"),
    _scenario(swapped_rows.build, "row-taken-for-slot", "uncomputed_sent", "violated", 992, 5, ("H-14",),
              "The worker condenses its rows. The signal of one request is read as progress of the other, whose layers are sent before they are "
              "written.", "row"),
    _scenario(swapped_rows.build, "row-is-slot-while-none-is-moved", "uncomputed_sent", "holds", 211, None, ("H-14",),
             "Without a swap row and slot are equal.", "row", swaps=False),
    _scenario(swapped_rows.build, "signals-name-the-request-in-ours", "uncomputed_sent", "holds", 422, None, ("H-14",),
             "The signal names the request.", "repaired"),
    _scenario(swapped_rows.build, "some-request-sent-in-ours", "some_request_sent", "holds", 422, 8, ("H-14",), "A run that sends a request exists.",
             "repaired"),
    _scenario(empty_range.build, "nothing-to-send-never-finishes", "request_reported", "violated", 6, 5, ("H-18",),
              "D has every block already. The last chunk has nothing to send, and a pass that sends nothing never sets finished.", "published",
             destination=0),
    _scenario(empty_range.build, "longer-list-of-d", "range_within_lists", "violated", 7, 1, ("H-18",),
              "D's list is longer than P's: the padding is negative, and the range counts from the end of the list.", "published", destination=3),
    _scenario(empty_range.build, "equal-lists", "request_reported", "holds", 7, None, ("H-18",), "With the D of today the lists are equal.",
             "published"),
    _scenario(empty_range.build, "nothing-to-send-in-ours", "request_reported", "holds", 7, None, ("H-18",),
              "The last chunk finishes the request, whether or not it sends.", "repaired", destination=0),
    _scenario(empty_range.build, "longer-list-refused-in-ours", "range_within_lists", "holds", 2, None, ("H-18",),
             "A longer list is refused at registration.", "repaired", destination=3),
    _scenario(empty_range.build, "some-request-over-in-ours", "some_request_over", "holds", 7, 6, ("H-18",), "A run to the end exists.", "repaired"),
    _scenario(signal_struct.build, "struct-rewritten-under-the-stream", "wrong_signal", "violated", 109, 10, ("H-25",),
              "The host fills the struct for the next forward while callbacks of the last one are under way: their signals carry the next "
              "forward's rows and layer.", "overlapped"),
    _scenario(signal_struct.build, "host-waits-for-the-stream", "wrong_signal", "holds", 27, None, ("H-25",),
              "On CUDA the copy of the lengths waits for the stream, and so orders the two.", "waiting"),
    _scenario(signal_struct.build, "struct-per-forward-in-ours", "wrong_signal", "holds", 57, None, ("H-25",),
             "Every forward has a struct of its own.", "repaired"),
    _scenario(signal_struct.build, "some-run-signals-all-in-ours", "some_run_signals_all", "holds", 57, 22, ("H-25",),
             "A run that signals everything exists.", "repaired"),
    _scenario(stale_signals.build, "signal-of-an-earlier-life-in-e2", "uncomputed_sent", "violated", 150, 14, ("#7872", "H-26"),
              "The kernel's queue outlives P. The new life parks the old signal, and the registration of a new request in that slot forwards it: "
              "layers are sent that nobody has written.", "E2"),
    _scenario(stale_signals.build, "signal-of-an-earlier-life-tested", "uncomputed_sent", "violated", 150, 14, ("#7872", "H-26"),
              "That a parked signal must not exceed the new prompt (one answer to Q1) does not tell lives apart.", "E2-tested"),
    _scenario(stale_signals.build, "longer-signal-read-late-tested", "uncomputed_sent", "violated", 146, 14, ("#7872", "H-26"),
             "A longer one is dropped when it was parked, but not when it is read after the new registration.", "E2-tested", old_tokens=3),
    _scenario(stale_signals.build, "signal-of-an-earlier-life-in-e1", "uncomputed_sent", "violated", 115, 14, ("#7724", "H-26"),
              "E1's discard does not absorb every old signal: one that is read after the new registration is queued.", "E1"),
    _scenario(stale_signals.build, "queue-drained-at-start", "uncomputed_sent", "holds", 56, None, ("H-26",),
             "The new life empties the queue before it begins.", "drained"),
    _scenario(stale_signals.build, "signals-name-their-life-in-ours", "uncomputed_sent", "holds", 70, None, ("H-26",),
             "A signal of another life is dropped.", "repaired"),
    _scenario(stale_signals.build, "new-prompt-sent-in-ours", "prompts_sent", "holds", 70, None, ("H-26",), "And the new prompt is sent.",
             "repaired"),
    _scenario(stale_signals.build, "new-prompt-lost-in-e1", "prompts_sent", "violated", 115, 14, ("#7724", "H-26", "H-01"),
             "The new signal itself may be thrown away (H-01).", "E1"),
    _scenario(stale_signals.build, "some-request-sent-after-a-restart-in-ours", "some_request_sent", "holds", 70, 17, ("H-26",),
             "A run that sends exists.", "repaired"),
    _scenario(step_layer_words.build, "torn-pair-in-v0", "uncomputed_sent", "violated", 260, 11, ("H-35",),
              "The messager loads the layer of one step and the number of the next: it sends that many layers of a step that has not written them.",
             "V0"),
    _scenario(step_layer_words.build, "step-read-twice", "uncomputed_sent", "holds", 295, None, ("H-35",),
              "Reading step, layer and step again tells a torn pair.", "twice"),
    _scenario(step_layer_words.build, "one-word-in-ours", "uncomputed_sent", "holds", 86, None, ("H-35",), "One word cannot be torn.", "repaired"),
    _scenario(step_layer_words.build, "some-run-sends-all-in-ours", "some_run_sends_all", "holds", 86, 10, ("H-35",),
             "A run that sends everything exists.", "repaired"),
    _scenario(completions.build, "completion-of-another-write", "finished_before_arrival", "violated", 54, 6, ("#7931", "H-32"),
              "A thread takes the next completion, which is of another thread's write, and calls its own finished before the data has arrived.",
             "EP", faults=False),
    _scenario(completions.build, "pass-waits-for-all", "finished_before_arrival", "holds", 57, None, ("#7931", "H-32"),
              "If nothing is finished before all calls have returned, every completion has been taken by somebody.", "EP-waits-for-all",
             faults=False),
    _scenario(completions.build, "error-charged-to-another", "error_charged_wrongly", "violated", 173, 12, ("#7931", "H-32"),
              "But an error is charged to whoever took the completion.", "EP-waits-for-all"),
    _scenario(completions.build, "completions-numbered-in-ours", "finished_before_arrival", "holds", 85, None, ("H-32",),
             "A completion carries the number of its write.", "repaired"),
    _scenario(completions.build, "errors-charged-rightly-in-ours", "error_charged_wrongly", "holds", 85, None, ("H-32",),
             "A completion carries the number of its write.", "repaired"),
    _scenario(completions.build, "some-write-finished-in-ours", "some_write_finished", "holds", 85, 5, ("H-32",),
             "A run that finishes a write exists.", "repaired"),
    _scenario(completions.build, "some-write-fails-in-ours", "some_write_fails", "holds", 85, 5, ("H-32",), "A run in which a write fails exists.",
             "repaired"),
    _scenario(token_wait.build, "missing-report-keeps-all-behind-it", "answered_when_sent", "violated", 70, 6, ("H-30",),
              "The token processor waits for one report without an end, and every later first token waits behind it.", "waiting", requests=2),
    _scenario(token_wait.build, "missing-report-keeps-nobody-in-ours", "answered_when_sent", "holds", 176, None, ("H-30",),
              "Ours takes reports and tokens as they come, and answers a request when both are there.", "repaired", requests=2),
    _scenario(signalled_layers.build, "request-never-reported-awaited-alone", "request_ends", "violated", 10, 6, MTP,
              "The messager waits for the draft model's layer, which no method but MTP runs: the last layer is never signalled.", "awaited_alone"),
    _scenario(signalled_layers.build, "reported-early-not-awaited", "reported_early", "violated", 17, 5, MTP,
              "MTP runs the draft model's layer, and the messager takes the one before it for the last: reported before it is written.",
              "not_awaited"),
    _scenario(signalled_layers.build, "worker-fails-not-allowed", "worker_fails", "violated", 10, 5, MTP,
              "MTP runs the draft model's layer, and the struct's assertion does not count it.", "not_allowed"),
    _scenario(signalled_layers.build, "layers-agree-without-draft", "request_ends", "holds", 10, None, MTP, "Nobody counts a draft layer.", "plain"),
    _scenario(signalled_layers.build, "layers-agree-with-draft", "reported_early", "holds", 13, None, MTP, "All three count it.", "mtp"),
    _scenario(signalled_layers.build, "worker-goes-on-with-draft", "worker_fails", "holds", 13, None, MTP, "All three count it.", "mtp"),
    _scenario(signalled_layers.build, "task-refused-in-ours-awaited-alone", "request_ends", "holds", 31, None, MTP, COUNTED, "repaired_awaited_alone",
              dummies=1),
    _scenario(signalled_layers.build, "task-refused-in-ours-not-awaited", "reported_early", "holds", 32, None, MTP, COUNTED, "repaired_not_awaited",
              dummies=1),
    _scenario(signalled_layers.build, "some-task-refused-in-ours-not-awaited", "some_task_refused", "holds", 32, 1, MTP, "The task is refused.",
              "repaired_not_awaited", dummies=1),
    _scenario(signalled_layers.build, "some-request-reported-in-ours", "some_request_reported", "holds", 28, 7, MTP, "The request is reported.",
              "repaired", dummies=1),
    _scenario(signalled_layers.build, "dummy-run-fails-the-assertion", "worker_fails", "violated", 16, 7, ("H-39",), DUMMY, "plain", dummies=1),
    _scenario(signalled_layers.build, "dummy-run-signals-old-rows", "signal_of_nobody", "violated", 16, 9, ("H-39",), DUMMY, "plain", dummies=1),
    _scenario(signalled_layers.build, "dummy-run-reports-what-waits", "signal_of_nobody", "violated", 16, 9, ("H-39",),
              DUMMY + " Where the messager waits for one layer too many, that very signal reports the request.", "awaited_alone", dummies=1),
    _scenario(signalled_layers.build, "dummy-run-fails-nobody-in-ours", "worker_fails", "holds", 28, None, ("H-39",),
              "A forward without rows has nothing to signal with.", "repaired", dummies=1),
    _scenario(signalled_layers.build, "dummy-run-signals-nothing-in-ours", "signal_of_nobody", "holds", 28, None, ("H-39",),
              "A forward without rows has nothing to signal with.", "repaired", dummies=1),
]
# fmt: on

SCENARIOS = [*SCENARIOS_OF_CHUNKS, *SCENARIOS_OF_OTHERS]

HAZARDS: list[Hazard] = SENDING
