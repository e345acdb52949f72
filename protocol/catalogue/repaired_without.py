"""The repaired protocol without one of its rules: what comes back, and after how many steps."""

from __future__ import annotations

from ..machines.repaired.protocol import build
from . import Scenario
from .repaired_bounds import BOUNDS
from .repaired_rules import RULES


def _left_out(rule: str, bounds: str, asked: str, distinct: int, path: int | None, deep: bool = False) -> Scenario:
    """The protocol without one rule: the hazard is back."""
    name = f"repaired-{bounds}-without-{rule.replace('_', '-')}-{asked.replace('_', '-')}"
    note, config = RULES[rule], {**BOUNDS[bounds], "without": rule}
    about = f"Left out: {note.says} {note.then}"
    return Scenario(name, "repaired", build, asked, "violated", note.hazards, "repaired", about, config, distinct, path, deep)


LEFT_OUT = [
    _left_out("lowers_behind_barrier", "tp2", "schedule_during_forward", 97_803, 41),
    _left_out("meets_at_top", "tp2", "same_batch_per_iteration", 971_633, 29),
    _left_out("meets_at_top", "tp2", "misread_batch", 234_771, 45),
    _left_out("meets_at_top", "tp2", "barrier_slipped", 287_841, 33),
    _left_out("counts_reports", "tp2", "committed_unsent", 186_723, 51),
    _left_out("counts_reports", "tp2", "freed_block_read", 186_477, 57),
    _left_out("counts_reports", "tp2", "leaks_when_over", 170_118, 55),
    _left_out("parks_early_signals", "one", "requests_answered", 2_309, 47),
    _left_out("parks_early_signals", "one", "first_tokens_committed", 2_309, 47),
    _left_out("parks_early_signals", "one", "requests_closed", 2_309, 47),
    _left_out("parks_early_signals", "one", "requests_decoded", 2_309, 47),
    _left_out("parks_early_signals", "one", "slots_come_back", 2_309, 47),
    _left_out("keeps_until_sent", "one", "freed_block_read", 2_865, 37),
    _left_out("keeps_until_sent", "one", "slots_owned_once", 2_221, 30),
    _left_out("sends_computed", "layers", "uncomputed_sent", 9_785, 35),
    _left_out("sends_computed", "layers", "committed_unsent", 9_785, 48),
    _left_out("reports_last", "errors", "leaks_when_over", 11_530, 62),
    _left_out("names_requests", "two-slots", "uncomputed_sent", 186_150, 46),
    _left_out("names_requests", "two-slots", "requests_answered", 180_882, 47),
    _left_out("cleans_first", "two-turns", "leaks_when_over", 8_319, 43),
    _left_out("cleans_first", "two-turns", "requests_answered", 8_319, 96),
    _left_out("leaves_intake", "unread", "taken_twice", 962_100, 11),
    _left_out("drains_before_cancel", "turns-aborts", "committed_unsent", 2_376_742, 61),
    _left_out("drains_before_cancel", "abort", "freed_block_read", 55_450, 34),
    _left_out("drains_before_cancel", "abort", "freed_block_written", 84_452, 26),
    _left_out("drains_before_cancel", "abort", "leaks_when_over", 47_354, 18),
    _left_out("takes_once", "two-threads", "taken_twice", 766_868, 5),
    _left_out("takes_once", "two-threads", "requests_answered", 675_260, 69),
    _left_out("asks_first", "full", "other_decodes_served", 13_521, 21),
    _left_out("asks_first", "full", "slots_owned_once", 13_521, 5),
    _left_out("asks_first", "full", "threads_come_back", 13_521, 21),
    _left_out("reserves_once", "two-rooms", "reservations_counted", 40_274, 8),
    _left_out("reserves_posted", "repeats", "answered_at_most_once", 63_385, 53),
    _left_out("reserves_posted", "repeats", "reservations_come_back", 44_905, 67),
    _left_out("sends_again", "lossy", "requests_answered", 2_453, 15),
    _left_out("sends_again", "lossy", "reservations_come_back", 2_453, 18),
    _left_out("sends_again", "lossy", "entries_close", 2_453, 15),
    _left_out("fences_writes", "suspected", "foreign_written", 40_303, 35),
    _left_out("fences_writes", "lives", "foreign_written", 110_592, 34),
    _left_out("fences_writes", "suspected", "key_without_reservation", 35_835, 9),
    _left_out("fences_writes", "prefills-rank", "others_reservation_written", 11_065_730, 43, deep=True),
    _left_out("dies_whole", "crash-of-rank", "gate_opens", 372_998, 22),
    _left_out("dies_whole", "crash-of-rank", "requests_answered", 372_998, 22),
    _left_out("names_turns", "turns", "requests_answered", 129_706, 19),
    _left_out("names_turns", "refused", "ended_unasked", 512_802, 12),
    _left_out("names_turns", "turns-suspected", "failed_without_cause", 42_869, 46),
    _left_out("names_turns", "turns", "first_tokens_committed", 137_032, 63),
    _left_out("names_lives", "crash-of-prefill", "committed_unsent", 347_318, 44),
    _left_out("owns_signals", "prefill-turns", "committed_unsent", 35_214, 74),
    _left_out("owns_signals", "prefill-turns", "uncomputed_sent", 34_344, 50),
    _left_out("owns_signals", "prefill-turns", "leaks_when_over", 30_180, 78),
    _left_out("owns_signals", "prefills", "requests_decoded", 2_124_216, 65, deep=True),
    _left_out("speaks_in_stream", "launched", "schedule_during_forward", 5_039, 29),
    _left_out("speaks_in_stream", "launched-faults", "freed_block_written", 133_952, 51),
    _left_out("speaks_in_stream", "launched-faults", "requests_answered", 125_580, 68),
    _left_out("ends_steps", "abort", "step_on_freed_reservation", 10_721, 46),
    _left_out("ends_steps", "turns-aborts", "token_miscredited", 87_229, 93),
    _left_out("credits_singly", "aborts", "token_lost", 3_442_916, 88),
    _left_out("drains_before_pause", "control", "weights_mixed", 225_348, 51),
    _left_out("drains_before_pause", "control", "at_work_while_paused", 56_738, 13),
    _left_out("parks_early_signals", "control", "pause_ends", 6_724, 48),
    _left_out("dies_whole", "control-rank", "update_ends", 31_368, 13),
    _left_out("dies_whole", "prefills-rank", "living_prefills_serve", 7_511_532, 37, deep=True),
    _left_out("holds_posts", "control", "weights_mixed", 221_796, 51),
    _left_out("holds_posts", "control", "at_work_while_paused", 56_738, 13),
    _left_out("publishes_computed", "cache-abort", "uncomputed_read", 270_444, 84),
    _left_out("publishes_computed", "cache-abort", "committed_unsent", 285_340, 104),
    _left_out("publishes_computed", "cache-abort", "uncomputed_sent", 280_552, 75),
    _left_out("forgets_with_weights", "cache-control", "weights_mixed", 146_288, 139),
    _left_out("counts_users", "cache-pressed", "uncomputed_read", 2_333_666, 52),
    _left_out("counts_users", "cache-pressed", "freed_block_read", 2_251_110, 49),
    _left_out("counts_users", "cache-pressed", "blocks_counted", 1_833_602, 32),
]
