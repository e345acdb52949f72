"""Scenarios of the group "layer0-signal": may the first kv signal of a request overtake its registration?

Bounds: TP = 2 with one and two requests, slot reuse as two requests on one slot (three on two: A, B, then C in A's slot),
TP = 3 with one request; two layers, one chunk a request, no faults. `halves=1`, as in the mini model of the facts (section
18): a cache task arrives merged, which leaves out the order of its halves but no race of registration with the signal. The
names that end in `one-layer` have that model's single layer as well: the same faults in fewer states, for the everyday run.
In words:

| | E0 | E1 | E2 | E3a | repaired |
|---|---|---|---|---|---|
| one request is stuck | never | H-01 | never | never | never |
| ranks meet over different work | never | H-03 | H-03 | H-04 | no meeting |
| answered before every rank has sent | never | H-03 | H-03 | H-04 | never |
| two requests are stuck | never | H-01, H-03 | H-03 | H-04 | never |
| blocks freed, then sent | never | never | H-03 | H-04 | never |
| the next request in a slot is stuck | H-06 | H-01, H-06 | H-06 | H-06 | never |

`uncounted`, `reports_first` and `unmarked` are ours with a part left out, to show that the part is needed. The verdicts are those of
section 18, at a finer grain and with two layers; what the finer model adds is said in `machines/hand_over/layer0_signal.py`.
"""

from __future__ import annotations

from typing import Any

from ..machines.hand_over.layer0_signal import build
from . import Scenario, is_deep
from .hazard import Hazard
from .sending_hazards import LAYER0

DEADLOCK, ANSWERED, KEPT, COMPUTED = "deadlock", "answered_only_when_sent", "blocks_kept_until_sent", "sent_only_when_computed"
AGREE, MET, ALL, LIVE = "work_items_agree", "some_work_item_met", "some_run_answers_all", "first_tokens_answered"


def _scenario(
    name: str, asked: str, expected: str, distinct: int | None, path: int | None, sources: tuple[str, ...], about: str, epoch: str, **bounds: Any
) -> Scenario:
    """One scenario; its variant is its epoch."""
    config = {"epoch": epoch, **bounds}
    deep = is_deep(distinct, expected)
    return Scenario(f"layer0-signal-{name}", "layer0-signal", build, asked, expected, sources, epoch, about, config, distinct, path, deep)


DROPPED = (
    "Without the acknowledgement the prefill half is put and the request scheduled while its registration is still under way. The "
    "first kv signal reaches a messager whose cache_info is empty and is thrown away; later layers only move a mark, no work item is "
    "ever queued, and the token processor waits for the request for ever."
)
ACKNOWLEDGED = "Every rank acknowledges the registration before the scheduler sees the request, so no signal can come before it."
PARKED = "A layer-0 signal that comes before the registration is parked for its slot, and the registration queues it."
OURS = (
    "Ours keeps the parking and the missing acknowledgement; it registers under the messager's lock, sends without meeting, counts "
    "completion per request over the ranks, and cleans a slot before it reports."
)
SKEW_E1 = (
    "One rank throws the first request's signal away, the other queues it; their next meeting pairs different requests. The round "
    "of CH4 then holds two ids and is read as its first element: that request is answered although the other rank never sent it."
)
SKEW_E2 = (
    "The tasks are registered in the order B, A while both are in one step. One rank finds both registered and queues one batch (A, B); the "
    "other queues B and, when A is registered, A: one begin barrier and two finish barriers against two and two."
)
SKEW_E3 = (
    "The tasks are registered in the order B, A while both are in one step. One rank forwards A, B in slot order, the other B, A "
    "in the order of registration; the meetings succeed, but each pairs A with B."
)
ROUND = " The round of CH4 is read as its first element, whatever the other rank reported."
REUSED = (
    "The sender reports a request and only then deletes the entry of its slot. In between the slot goes to the next request, which is "
    "registered there (registration does not take the sender's lock); the late deletion takes the new entry away."
)
BOTH = "A run of ours that answers both requests exists."
TP3, TWO, MERGED, REUSE = {"ranks": 3}, {"requests": 2}, {"requests": 2, "halves": 1}, {"requests": 2, "slots": 1}
THREE, SINGLE = {"requests": 3, "slots": 2}, {"requests": 2, "halves": 1, "layers": 1}
H01, H03, H03E2, H04, H06, H20 = (
    ("#7724", "#7872", "H-01"),
    ("#7724", "H-03"),
    ("#7872", "#8034", "H-03"),
    ("#8034", "H-04"),
    ("H-06", "H21"),
    ("H20",),
)

# fmt: off
ONE_REQUEST = [
    _scenario("dropped-in-e1", DEADLOCK, "violated", 64_746, 42, H01 + H20, DROPPED, "E1"),
    _scenario("dropped-in-e1-merged-halves", DEADLOCK, "violated", 22_180, 33, H01,
              DROPPED + " It needs no second half: the merged task is put, and registration is merely slow.", "E1", halves=1),
    _scenario("dropped-in-e1-tp3", DEADLOCK, "violated", 1_712_678, 46, H01, DROPPED, "E1", **TP3, halves=1),
    _scenario("never-answered-in-e1", LIVE, "violated", 64_746, 42, H01, DROPPED, "E1"),
    _scenario("may-arrive-in-time-in-e1", ALL, "holds", 64_746, 63, H01, "The loss is a race: when registration is quick, E1 answers.", "E1"),
    _scenario("waits-for-acknowledgement-in-e0", DEADLOCK, "holds", 4_321, None, H01 + H20, ACKNOWLEDGED, "E0"),
    _scenario("waits-for-acknowledgement-in-e0-tp3", DEADLOCK, "holds", 132_285, None, H01, ACKNOWLEDGED, "E0", **TP3),
    _scenario("answered-in-e0", LIVE, "holds", 4_321, None, H01, ACKNOWLEDGED, "E0"),
    _scenario("parked-in-e2", DEADLOCK, "holds", 41_707, None, H01, PARKED, "E2"),
    _scenario("parked-in-e2-tp3", DEADLOCK, "holds", 2_227_337, None, H01, PARKED, "E2", **TP3, halves=1),
    _scenario("parked-in-e3a", DEADLOCK, "holds", 51_971, None, H01, PARKED, "E3a"),
    _scenario("parked-in-e3a-tp3", DEADLOCK, "holds", 3_600_761, None, H01, PARKED, "E3a", **TP3, halves=1),
    _scenario("parked-in-ours", DEADLOCK, "holds", 14_110, None, H01 + H20, OURS, "repaired"),
    _scenario("parked-in-ours-tp3", DEADLOCK, "holds", 636_982, None, H01, OURS, "repaired", **TP3),
    _scenario("answered-in-ours", LIVE, "holds", 14_110, None, H01, OURS, "repaired"),
    _scenario("answered-in-ours-tp3", ALL, "holds", 636_982, 77, H01, "A run of ours that answers exists at TP = 3.", "repaired", **TP3),
    _scenario("answered-after-all-sent-in-ours-tp3", ANSWERED, "holds", 636_982, None, H01, OURS, "repaired", **TP3),
]

TWO_REQUESTS = [
    _scenario("two-requests-in-e0", DEADLOCK, "holds", 511_782, None, H03, ACKNOWLEDGED, "E0", **TWO),
    _scenario("same-work-on-all-ranks-in-e0", AGREE, "holds", 511_782, None, H03,
              ACKNOWLEDGED + " So every rank queues the same batches in the same order.", "E0", **TWO),
    _scenario("ranks-meet-in-e0", MET, "holds", 511_782, 41, H03, "The ranks do meet: the agreement of their work is not vacuous.", "E0", **TWO),
    _scenario("answered-after-all-sent-in-e0", ANSWERED, "holds", 511_782, None, H03, ACKNOWLEDGED, "E0", **TWO),
    _scenario("some-run-answers-two-in-e0", ALL, "holds", 511_782, 102, H03, "A run of E0 that answers both requests exists.", "E0", **TWO),
    _scenario("two-requests-stuck-in-e1", DEADLOCK, "violated", 15_012_498, 42, H01 + ("H-03",),
              DROPPED + " With two requests the shortest run loses both signals.", "E1", **MERGED),
    _scenario("ranks-meet-over-different-work-in-e1", AGREE, "violated", 15_012_498, 42, H03, SKEW_E1, "E1", **MERGED),
    _scenario("answered-unsent-in-e1", ANSWERED, "violated", 15_012_498, 74, H03, SKEW_E1, "E1", **MERGED),
    _scenario("ranks-divided-in-e2", DEADLOCK, "violated", 9_889_448, 76, H03E2, SKEW_E2, "E2", **MERGED),
    _scenario("ranks-meet-over-different-work-in-e2", AGREE, "violated", 9_889_448, 40, H03E2, SKEW_E2, "E2", **MERGED),
    _scenario("answered-unsent-in-e2", ANSWERED, "violated", 9_889_448, 66, H03E2, SKEW_E2 + ROUND, "E2", **MERGED),
    _scenario("freed-blocks-sent-in-e2", KEPT, "violated", 9_896_052, 98, H03E2,
              SKEW_E2 + ROUND + " P frees the blocks, which the other rank then reads.", "E2", **MERGED),
    _scenario("report-lost-in-e3a", DEADLOCK, "violated", 12_511_035, 96, H04,
              SKEW_E3 + " When both rounds are read as B, A is never reported.", "E3a", **MERGED),
    _scenario("ranks-meet-over-different-work-in-e3a", AGREE, "violated", 12_511_035, 39, H04, SKEW_E3, "E3a", **MERGED),
    _scenario("answered-unsent-in-e3a", ANSWERED, "violated", 12_511_035, 67, H04, SKEW_E3 + ROUND, "E3a", **MERGED),
    _scenario("freed-blocks-sent-in-e3a", KEPT, "violated", 12_518_719, 83, H04,
              SKEW_E3 + ROUND + " P frees the blocks, which the other rank then reads.", "E3a", **MERGED),
    _scenario("two-requests-in-ours", DEADLOCK, "holds", 6_576_063, None, H03 + ("H-04",), OURS, "repaired", **TWO),
    _scenario("two-requests-in-ours-merged-halves", DEADLOCK, "holds", 2_261_621, None, H03 + ("H-04",), OURS, "repaired", **MERGED),
    _scenario("answered-after-all-sent-in-ours", ANSWERED, "holds", 6_576_063, None, H03 + ("H-04",), OURS, "repaired", **TWO),
    _scenario("blocks-kept-in-ours", KEPT, "holds", 6_576_063, None, H03 + ("H-04",), OURS, "repaired", **TWO),
    _scenario("sent-after-computed-in-ours", COMPUTED, "holds", 6_576_063, None, H03 + ("H-04",), OURS, "repaired", **TWO),
    _scenario("some-run-answers-two-in-ours", ALL, "holds", 6_576_063, 80, H03 + ("H-04",), BOTH, "repaired", **TWO),
]

SLOT_REUSE = [
    _scenario("slot-reused-in-e0", DEADLOCK, "violated", 40_510, 132, H06,
              REUSED + " The next signal finds the slot unregistered: an assertion fails, and the batch is dropped.", "E0", **REUSE),
    _scenario("slot-reused-in-e0-three-requests", DEADLOCK, "violated", 2_099_316, 122, H06,
              REUSED + " Here a second slot is busy meanwhile.", "E0", **THREE, halves=1),
    _scenario("slot-reused-never-answered-in-e0", LIVE, "violated", 40_510, 132, H06, REUSED, "E0", **REUSE),
    _scenario("slot-reused-in-e1", DEADLOCK, "violated", 707_968, 42, H01 + H06, DROPPED + " The shortest run needs no reuse.", "E1", **REUSE),
    _scenario("slot-reused-in-e2", DEADLOCK, "violated", 511_795, 118, H06, REUSED + " The next signal is parked for good.", "E2", **REUSE),
    _scenario("slot-reused-in-e3a", DEADLOCK, "violated", 559_871, 118, H06, REUSED + " The next signal is parked for good.", "E3a", **REUSE),
    _scenario("slot-reused-answered-after-all-sent-in-e3a", ANSWERED, "holds", 559_871, None, H06,
              "With one slot there is one work item at a time, so what is answered has been sent; but an answer may never come.", "E3a", **REUSE),
    _scenario("slot-reused-in-ours", DEADLOCK, "holds", 40_894, None, H06, OURS, "repaired", **REUSE),
    _scenario("slot-reused-answered-in-ours", LIVE, "holds", 40_894, None, H06, OURS, "repaired", **REUSE),
    _scenario("slot-reused-answered-after-all-sent-in-ours", ANSWERED, "holds", 40_894, None, H06, OURS, "repaired", **REUSE),
    _scenario("slot-reused-sent-after-computed-in-ours", COMPUTED, "holds", 40_894, None, H06, OURS, "repaired", **REUSE),
    _scenario("slot-reused-blocks-kept-in-ours", KEPT, "holds", 40_894, None, H06, OURS, "repaired", **REUSE),
    _scenario("slot-reused-some-run-answers-in-ours", ALL, "holds", 40_894, 111, H06, BOTH, "repaired", **REUSE),
    _scenario("three-requests-in-ours", DEADLOCK, "holds", 17_122_554, None, H06, OURS, "repaired", **THREE),
    _scenario("three-requests-answered-after-all-sent-in-ours", ANSWERED, "holds", 5_836_015, None, H06, OURS, "repaired", **THREE, halves=1),
]

ONE_LAYER = [
    _scenario("answered-unsent-in-e1-one-layer", ANSWERED, "violated", 1_482_610, 55, H03, SKEW_E1, "E1", **SINGLE),
    _scenario("ranks-divided-in-e2-one-layer", DEADLOCK, "violated", 2_281_045, 66, H03E2 + H20, SKEW_E2, "E2", **SINGLE),
    _scenario("answered-unsent-in-e2-one-layer", ANSWERED, "violated", 2_281_045, 56, H03E2, SKEW_E2 + ROUND, "E2", **SINGLE),
    _scenario("report-lost-in-e3a-one-layer", DEADLOCK, "violated", 3_283_778, 84, H04,
              SKEW_E3 + " When both rounds are read as B, A is never reported.", "E3a", **SINGLE),
    _scenario("answered-unsent-in-e3a-one-layer", ANSWERED, "violated", 3_283_778, 57, H04, SKEW_E3 + ROUND, "E3a", **SINGLE),
    _scenario("two-requests-in-ours-one-layer", DEADLOCK, "holds", 456_773, None, H03 + ("H-04", "H20"), OURS, "repaired", **SINGLE),
    _scenario("answered-after-all-sent-in-ours-one-layer", ANSWERED, "holds", 456_773, None, H03 + ("H-04",), OURS, "repaired", **SINGLE),
    _scenario("two-requests-answered-in-ours-one-layer", LIVE, "holds", 456_773, None, H03 + ("H-04",), OURS, "repaired", **SINGLE),
]

PARTS = [
    _scenario("uncounted-reports-answer-unsent", ANSWERED, "violated", 477_212, 44, ("H-04",),
              "Ours, but CH4 gives the first of a round whatever the ids: without barriers the ranks report in their own order at once.",
              "uncounted", **SINGLE),
    _scenario("uncounted-reports-suffice-for-one", ANSWERED, "holds", 14_110, None, ("H-04",),
              "One request cannot be mistaken for another.", "uncounted"),
    _scenario("unmarked-sends-uncomputed", COMPUTED, "violated", 22_894, 28, ("H-01",),
              "Ours, but the sender does not wait for the mark of a layer: it sends layers that the worker has yet to write.", "unmarked"),
    _scenario("report-before-clean-loses-registration", DEADLOCK, "violated", 268_466, 98, H06, "Ours, but the report comes first: " + REUSED,
              "reports_first", **REUSE),
    _scenario("report-before-clean-suffices-without-reuse", DEADLOCK, "holds", 14_128, None, H06,
              "Nobody takes the slot, so the late deletion finds its own entry.", "reports_first"),
]
# fmt: on

SCENARIOS = [*ONE_REQUEST, *TWO_REQUESTS, *SLOT_REUSE, *ONE_LAYER, *PARTS]

HAZARDS: list[Hazard] = LAYER0
