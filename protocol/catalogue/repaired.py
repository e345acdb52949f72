"""Scenarios of the group "repaired": the protocol whole, and what each of its rules is for.

The first part asks the whole protocol everything, with each kind of fault, at bounds that are explored in a second and, marked
deep, at the largest that fit. The second part leaves one rule out at a time: its hazard comes back. In `repaired_rules.py` each rule says what
the versions of the real system do instead; [the page](repaired.md) is made from it.

| bounds | what they add |
|---|---|
| one, tp2 | one request on one rank, on two |
| two, threads | two requests on one slot and two rooms; on two slots, prepared by two threads |
| faults | prompts of up to two chunks, two layers; the client gives up, P gives up waiting, writes fail |
| lossy | messages are lost, delayed, repeated, in any order |
| suspected | D takes a living P for dead, and the client gives up |
| turns, turns-suspected | the request's number is used again, for a second request, after aborts and given-up waits, or after suspicions |
| refused, refused-at-last | a D without room: the request is refused and asked for again; P gives up in the end |
| crash-of-decode, crash-and-abort | D crashes once and is started again; messages are lost; the client gives up |
| crash-of-decodes | D's that share experts: one crashes, all are ended and come back together; messages are lost |
| crash-of-prefill | P dies, and may start again; prompts of up to two chunks |
| crash-of-rank | P's engine process, a worker or a messager dies, and P with it |
| drafts | D's steps may accept more than one token of a request; its number is used again, and the client gives up |
| ranked, ranked-aborts | a step of D is a forward of its rank, behind a gate; the client gives up |
| ranked-control, ranked-crash | the same, with an operator; deep: with a D that crashes |
| ranked-shared, ranked-balanced | deep: the same with two D's that share experts, whose steps are rounds of all ranks; experts move |
| ranked-shared-crash | deep: one of these dies, and the other is ended with it |
| reports, reports-drafts | that a step of D is over is a row of its own, as the engine has it: two requests; with drafts, turns and aborts |
| reports-crash, reports-aborts | the same, with an operator and a D that crashes; deep: two requests, and clients that give up |
| crash-of-any | P and D die, one of them or both |
| full | D number 0 takes no request; the other one does |
| launched, launched-tp2 | the ranks launch their forwards and go on: on one rank, on two |
| launched-faults, launched-turns | the same, with prompts of two chunks, aborts and failed writes; with a number used again |
| launched-chunks | the same, with a number used again, prompts of two chunks and aborts |
| launched-layers | the same, with two layers |
| launched-crash, launched-control | the same, with a process of P that dies; with an operator |
| launched-tp2-faults | deep: the same on two ranks, with prompts of two chunks and aborts |
| control, control-tp2, control-two | an operator pauses, resumes and gives all ranks new weights: on one rank, on two; two requests |
| control-turns, control-crash | the same, with a number used again and clients that give up; with a D that crashes |
| control-crash-of-any | deep: the same, with a P or a D that crashes |
| cache, cache-places | P has a prefix cache, and a number is used again; with prompts of up to three chunks, and aborts |
| cache-abort, cache-faults, cache-suspected | the same, with aborts; with given-up waits and failed writes as well; with suspicions |
| cache-crash, cache-rank, cache-control, cache-launched | the same, with a P that dies, or a part of it; with an operator; with launched forwards |
| cache-short | two requests with different prefixes on blocks for one: what the first has left is evicted |
| cache-lossy, cache-tp2 | deep: P has a prefix cache, and messages are lost; on two ranks |
| cache-shared, cache-pressed | deep: two requests at once share a prefix; or have two, and blocks for one and a half |
| prefill-turns | P dies, and may start again, and the number is used again |
| prefills-refused | two P share a D that takes no request; each gives up in the end |
| prefills, prefills-full | deep: two P share a D; two D, one of which takes no request |
| prefills-errors, prefills-aborts | deep: two P share a D, and writes fail; or clients give up |
| prefills-troubled | deep: two P share a D, and writes of one of them fail |
| prefills-taken-for-dead | deep: two P share a D, which takes one of them for dead |
| prefills-suspected, prefills-lossy | deep: the same with D's suspicions and failed writes, or lost messages, for the requests of one of the two P |
| prefills-refused-suspected | deep: a D that takes no request, and takes each of two P for dead |
| prefills-crash, prefills-rank | deep: one of two P dies, and may start again; or one of its processes alone |
| prefills-crashes, prefills-control | deep: each of two P may die; an operator pauses both and gives them new weights |
| turns-faults, turns-repeated, turns-lossy, turns-crash | deep: a number used again: failed writes, repeated or lost messages, a crash of D |
| copies | deep: two equal messages under way at once |
| ranks-layers | deep: two ranks, two layers, two chunks, and clients that give up |
| two-errors, two-deadlines | two requests: writes fail; P gives up waiting |
| two-suspected, two-repeated | deep: two requests: D takes a living P for dead; messages are repeated |
| pair, aborts, pair-aborts, two-lossy | deep: two requests on two ranks, and their faults |
| everything, everything-and-crash | deep: one request on two ranks, and all faults; and a crash of D |
"""

from __future__ import annotations

from .hazard import Hazard
from .repaired_cache import CACHED
from .repaired_prefills import PREFILLS
from .repaired_scenario import kept
from .repaired_without import LEFT_OUT

WHOLE = [
    kept("one", "some_request_decodes", 2_221, 42),
    kept("one", "some_run_closes_all", 2_221, 44),
    kept("one", "some_request_is_answered", 2_221, 46),
    kept("one", "some_forward_before_registration", 2_221, 25),
    kept("one", "requests_decoded", 2_221, None),
    kept("one", "requests_closed", 2_221, None),
    kept("tp2", "committed_unsent", 81_636, None),
    kept("tp2", "uncomputed_sent", 81_636, None),
    kept("tp2", "freed_block_read", 81_636, None),
    kept("tp2", "freed_block_written", 81_636, None),
    kept("tp2", "leaks_when_over", 81_636, None),
    kept("tp2", "misread_batch", 81_636, None),
    kept("tp2", "same_batch_per_iteration", 335_157, None),
    kept("tp2", "schedule_during_forward", 81_636, None),
    kept("tp2", "some_schedule_after_forward", 81_636, 2),
    kept("tp2", "barrier_slipped", 81_636, None),
    kept("tp2", "gate_opens", 81_636, None),
    kept("tp2", "requests_answered", 81_636, None),
    kept("tp2", "requests_decoded", 81_636, None),
    kept("two", "token_miscredited", 113_156, None),
    kept("two", "token_lost", 113_156, None),
    kept("two", "slots_owned_once", 113_156, None),
    kept("two", "reservations_counted", 113_156, None),
    kept("two", "step_on_freed_reservation", 113_156, None),
    kept("two", "taken_twice", 113_156, None),
    kept("two", "requests_answered", 113_156, None),
    kept("two", "requests_decoded", 113_156, None),
    kept("two", "some_two_decode_in_one_step", 113_156, 85),
    kept("two-errors", "requests_answered", 192_172, None),
    kept("two-errors", "requests_closed", 192_172, None),
    kept("two-errors", "first_tokens_committed", 192_172, None),
    kept("two-errors", "slots_come_back", 192_172, None),
    kept("two-errors", "reservations_come_back", 192_172, None),
    kept("two-errors", "entries_close", 192_172, None),
    kept("two-errors", "threads_come_back", 192_172, None),
    kept("two-deadlines", "requests_answered", 418_356, None),
    kept("two-deadlines", "requests_closed", 418_356, None),
    kept("two-deadlines", "entries_close", 418_356, None),
    kept("two-deadlines", "slots_come_back", 418_356, None),
    kept("two-deadlines", "reservations_come_back", 418_356, None),
    kept("faults", "committed_unsent", 89_284, None),
    kept("faults", "uncomputed_sent", 75_190, None),
    kept("faults", "foreign_written", 72_730, None),
    kept("faults", "key_without_reservation", 72_730, None),
    kept("faults", "freed_block_read", 72_730, None),
    kept("faults", "freed_block_written", 72_730, None),
    kept("faults", "step_on_freed_reservation", 72_730, None),
    kept("faults", "ended_unasked", 73_290, None),
    kept("faults", "failed_without_cause", 74_266, None),
    kept("faults", "leaks_when_over", 72_730, None),
    kept("faults", "answered_at_most_once", 72_730, None),
    kept("faults", "first_tokens_committed", 74_378, None),
    kept("faults", "requests_closed", 72_730, None),
    kept("faults", "requests_answered", 72_730, None),
    kept("faults", "slots_come_back", 72_730, None),
    kept("faults", "reservations_come_back", 72_730, None),
    kept("lossy", "committed_unsent", 21_803, None),
    kept("lossy", "foreign_written", 21_803, None),
    kept("lossy", "reservations_counted", 21_803, None),
    kept("lossy", "leaks_when_over", 21_803, None),
    kept("lossy", "answered_at_most_once", 21_803, None),
    kept("lossy", "requests_decoded", 21_803, None),
    kept("lossy", "first_tokens_committed", 21_803, None),
    kept("lossy", "requests_closed", 21_803, None),
    kept("lossy", "requests_answered", 21_803, None),
    kept("lossy", "slots_come_back", 21_803, None),
    kept("lossy", "reservations_come_back", 21_803, None),
    kept("lossy", "entries_close", 21_803, None),
    kept("suspected", "committed_unsent", 40_513, None),
    kept("suspected", "foreign_written", 39_039, None),
    kept("suspected", "key_without_reservation", 39_039, None),
    kept("suspected", "step_on_freed_reservation", 39_039, None),
    kept("suspected", "leaks_when_over", 39_039, None),
    kept("suspected", "answered_at_most_once", 39_039, None),
    kept("suspected", "first_tokens_committed", 39_879, None),
    kept("suspected", "requests_closed", 39_039, None),
    kept("suspected", "requests_answered", 39_039, None),
    kept("suspected", "slots_come_back", 39_039, None),
    kept("suspected", "reservations_come_back", 39_039, None),
    kept("turns", "committed_unsent", 77_661, None),
    kept("turns", "foreign_written", 73_303, None),
    kept("turns", "freed_block_written", 73_303, None),
    kept("turns", "leaks_when_over", 73_303, None),
    kept("turns", "token_miscredited", 77_661, None),
    kept("turns", "step_on_freed_reservation", 73_303, None),
    kept("turns", "ended_unasked", 74_945, None),
    kept("turns", "failed_without_cause", 76_249, None),
    kept("turns", "token_lost", 73_303, None),
    kept("turns", "taken_twice", 87_182, None),
    kept("turns", "answered_at_most_once", 73_303, None),
    kept("turns", "requests_answered", 73_303, None),
    kept("turns", "reservations_come_back", 73_303, None),
    kept("turns", "entries_close", 73_303, None),
    kept("drafts", "token_miscredited", 72_027, None),
    kept("drafts", "step_on_freed_reservation", 68_023, None),
    kept("drafts", "requests_answered", 68_023, None),
    kept("ranked", "rank_works_after_step", 94_410, None),
    kept("ranked", "report_of_another_step", 94_410, None),
    kept("ranked", "step_on_freed_reservation", 94_410, None),
    kept("ranked", "step_ends", 94_410, None),
    kept("ranked", "some_request_is_answered", 94_410, 62),
    kept("ranked", "requests_answered", 94_410, None),
    kept("ranked-aborts", "rank_works_after_step", 335_106, None),
    kept("ranked-aborts", "report_of_another_step", 335_106, None),
    kept("ranked-aborts", "step_ends", 335_106, None),
    kept("ranked-aborts", "requests_answered", 335_106, None),
    kept("ranked-control", "rank_works_after_step", 656_208, None),
    kept("ranked-control", "step_with_other_weights", 1_312_416, None, deep=True),
    kept("ranked-control", "step_ends", 656_208, None),
    kept("ranked-control", "update_ends", 656_208, None),
    kept("ranked-crash", "rank_works_after_step", 3_662_856, None, deep=True),
    kept("ranked-crash", "report_of_another_step", 3_662_856, None, deep=True),
    kept("ranked-crash", "requests_answered", 3_662_856, None, deep=True),
    kept("ranked-shared", "rank_works_after_step", 1_729_035, None, deep=True),
    kept("ranked-shared", "report_of_another_step", 1_729_035, None, deep=True),
    kept("ranked-shared", "step_ends", 1_729_035, None, deep=True),
    kept("ranked-shared", "requests_answered", 1_729_035, None, deep=True),
    kept("ranked-shared-crash", "rank_works_after_step", 68_129_514, None, deep=True),
    kept("ranked-shared-crash", "requests_answered", 68_129_514, None, deep=True),
    kept("ranked-balanced", "rank_works_after_step", 1_727_523, None, deep=True),
    kept("ranked-balanced", "step_ends", 1_727_523, None, deep=True),
    kept("ranked-balanced", "requests_answered", 1_727_523, None, deep=True),
    kept("reports", "token_miscredited", 127_340, None),
    kept("reports", "token_lost", 127_340, None),
    kept("reports", "step_on_freed_reservation", 127_340, None),
    kept("reports", "requests_answered", 127_340, None),
    kept("reports-drafts", "token_miscredited", 73_455, None),
    kept("reports-drafts", "step_on_freed_reservation", 69_451, None),
    kept("reports-drafts", "requests_answered", 69_451, None),
    kept("reports-crash", "answered_at_most_once", 499_768, None),
    kept("reports-crash", "requests_answered", 499_768, None),
    kept("reports-aborts", "token_miscredited", 4_225_948, None, deep=True),
    kept("reports-aborts", "step_on_freed_reservation", 3_643_220, None, deep=True),
    kept("reports-aborts", "requests_answered", 3_643_220, None, deep=True),
    kept("turns-suspected", "foreign_written", 32_005, None),
    kept("turns-suspected", "failed_without_cause", 32_797, None),
    kept("turns-suspected", "answered_at_most_once", 32_005, None),
    kept("turns-suspected", "requests_answered", 32_005, None),
    kept("refused", "answered_at_most_once", 255_330, None),
    kept("refused", "ended_unasked", 255_330, None),
    kept("refused", "reservations_counted", 255_330, None),
    kept("refused-at-last", "requests_answered", 882, None),
    kept("refused-at-last", "requests_closed", 882, None),
    kept("crash-of-decode", "committed_unsent", 117_080, None),
    kept("crash-of-decode", "foreign_written", 116_148, None),
    kept("crash-of-decode", "answered_at_most_once", 116_148, None),
    kept("crash-of-decode", "requests_answered", 116_148, None),
    kept("crash-of-decode", "failed_without_cause", 116_976, None),
    kept("crash-of-decode", "entries_close", 116_148, None),
    kept("crash-of-decode", "slots_come_back", 116_148, None),
    kept("crash-of-decode", "some_second_life_of_decode_decodes", 116_148, 44),
    kept("crash-of-decodes", "committed_unsent", 158_061, None),
    kept("crash-of-decodes", "foreign_written", 157_111, None),
    kept("crash-of-decodes", "answered_at_most_once", 157_111, None),
    kept("crash-of-decodes", "requests_answered", 157_111, None),
    kept("crash-of-decodes", "failed_without_cause", 158_119, None),
    kept("crash-of-decodes", "entries_close", 157_111, None),
    kept("crash-of-decodes", "slots_come_back", 157_111, None),
    kept("crash-of-decodes", "some_second_life_of_decode_decodes", 157_111, 45),
    kept("crash-and-abort", "answered_at_most_once", 401_796, None),
    kept("crash-and-abort", "requests_answered", 401_796, None),
    kept("crash-of-prefill", "committed_unsent", 66_766, None),
    kept("crash-of-prefill", "foreign_written", 62_847, None),
    kept("crash-of-prefill", "freed_block_written", 62_847, None),
    kept("crash-of-prefill", "answered_at_most_once", 62_847, None),
    kept("crash-of-prefill", "requests_answered", 62_847, None),
    kept("crash-of-prefill", "reservations_come_back", 62_847, None),
    kept("crash-of-prefill", "entries_close", 62_847, None),
    kept("crash-of-prefill", "living_prefills_serve", 62_847, None),
    kept("crash-of-prefill", "some_second_life_of_prefill_prefills", 62_847, 32),
    kept("crash-of-any", "committed_unsent", 242_547, None),
    kept("crash-of-any", "foreign_written", 236_921, None),
    kept("crash-of-any", "answered_at_most_once", 236_921, None),
    kept("crash-of-any", "requests_answered", 236_921, None),
    kept("full", "threads_come_back", 19_917, None),
    kept("full", "other_decodes_served", 19_917, None),
    kept("threads", "committed_unsent", 344_792, None),
    kept("threads", "foreign_written", 344_792, None),
    kept("threads", "freed_block_read", 344_792, None),
    kept("threads", "taken_twice", 344_792, None),
    kept("threads", "slots_owned_once", 344_792, None),
    kept("threads", "threads_come_back", 344_792, None),
    kept("threads", "requests_answered", 344_792, None),
    kept("threads", "requests_decoded", 344_792, None),
    kept("threads", "some_two_are_prepared_at_once", 344_792, 20),
    kept("threads", "some_two_are_prefilled_together", 344_792, 25),
    kept("crash-of-rank", "gate_opens", 458_079, None),
    kept("crash-of-rank", "requests_answered", 458_079, None),
    kept("crash-of-rank", "living_prefills_serve", 458_079, None),
    kept("crash-of-rank", "foreign_written", 458_079, None),
    kept("crash-of-rank", "freed_block_written", 458_282, None),
    kept("launched", "requests_decoded", 4_343, None),
    kept("launched", "some_forward_before_registration", 4_343, 27),
    kept("launched-tp2", "committed_unsent", 537_777, None),
    kept("launched-tp2", "misread_batch", 537_777, None),
    kept("launched-tp2", "schedule_during_forward", 537_777, None),
    kept("launched-tp2", "some_schedule_after_forward", 537_777, 2),
    kept("launched-tp2", "gate_opens", 537_777, None),
    kept("launched-tp2", "requests_answered", 537_777, None),
    kept("launched-faults", "committed_unsent", 86_280, None),
    kept("launched-faults", "uncomputed_sent", 78_570, None),
    kept("launched-faults", "freed_block_read", 74_820, None),
    kept("launched-faults", "freed_block_written", 74_820, None),
    kept("launched-faults", "leaks_when_over", 74_820, None),
    kept("launched-faults", "requests_answered", 74_820, None),
    kept("launched-turns", "freed_block_written", 141_605, None),
    kept("launched-turns", "token_miscredited", 148_755, None),
    kept("launched-turns", "requests_answered", 141_605, None),
    kept("launched-chunks", "uncomputed_sent", 400_198, None),
    kept("launched-layers", "committed_unsent", 7_963, None),
    kept("launched-crash", "gate_opens", 19_212, None),
    kept("launched-crash", "requests_answered", 19_212, None),
    kept("launched-control", "weights_mixed", 28_716, None),
    kept("launched-control", "update_ends", 12_394, None),
    kept("launched-tp2-faults", "committed_unsent", 16_285_629, None, deep=True),
    kept("launched-tp2-faults", "freed_block_written", 16_053_429, None, deep=True),
    kept("launched-tp2-faults", "schedule_during_forward", 16_053_429, None, deep=True),
    kept("control", "weights_mixed", 15_560, None),
    kept("control", "at_work_while_paused", 6_548, None),
    kept("control", "some_pause_during_work", 6_548, 11),
    kept("control", "some_decode_with_new_weights", 15_560, 71),
    kept("control", "pause_ends", 6_548, None),
    kept("control", "update_ends", 6_548, None),
    kept("control", "requests_answered", 6_548, None),
    kept("control", "requests_decoded", 6_548, None),
    kept("control", "gate_opens", 6_548, None),
    kept("control-tp2", "weights_mixed", 357_526, None),
    kept("control-tp2", "misread_batch", 346_626, None),
    kept("control-tp2", "same_batch_per_iteration", 1_718_904, None, deep=True),
    kept("control-tp2", "barrier_slipped", 173_313, None),
    kept("control-tp2", "update_ends", 173_313, None),
    kept("control-two", "weights_mixed", 529_616, None),
    kept("control-two", "at_work_while_paused", 236_152, None),
    kept("control-two", "pause_ends", 236_152, None),
    kept("control-two", "requests_answered", 236_152, None),
    kept("control-turns", "weights_mixed", 619_808, None),
    kept("control-turns", "at_work_while_paused", 272_828, None),
    kept("control-turns", "pause_ends", 272_828, None),
    kept("control-turns", "requests_answered", 272_828, None),
    kept("control-crash", "weights_mixed", 1_525_168, None, deep=True),
    kept("control-crash", "pause_ends", 493_720, None),
    kept("control-crash", "update_ends", 493_720, None),
    kept("control-crash", "requests_answered", 493_720, None),
    kept("control-crash-of-any", "weights_mixed", 4_550_994, None, deep=True),
    kept("control-crash-of-any", "update_ends", 1_187_627, None, deep=True),
    *PREFILLS,
    *CACHED,
    kept("turns-faults", "committed_unsent", 1_238_114, None, deep=True),
    kept("turns-faults", "uncomputed_sent", 1_169_384, None, deep=True),
    kept("turns-faults", "foreign_written", 1_144_520, None, deep=True),
    kept("turns-faults", "slots_owned_once", 1_144_520, None, deep=True),
    kept("turns-faults", "reservations_counted", 1_144_520, None, deep=True),
    kept("turns-faults", "key_without_reservation", 1_144_520, None, deep=True),
    kept("turns-faults", "freed_block_read", 1_144_520, None, deep=True),
    kept("turns-faults", "freed_block_written", 1_144_520, None, deep=True),
    kept("turns-faults", "step_on_freed_reservation", 1_144_520, None, deep=True),
    kept("turns-faults", "failed_without_cause", 1_170_700, None, deep=True),
    kept("turns-faults", "leaks_when_over", 1_144_520, None, deep=True),
    kept("turns-faults", "token_miscredited", 1_157_232, None, deep=True),
    kept("turns-faults", "answered_at_most_once", 1_144_520, None, deep=True),
    kept("turns-faults", "requests_answered", 1_144_520, None, deep=True),
    kept("turns-repeated", "committed_unsent", 4_052_617, None, deep=True),
    kept("turns-repeated", "foreign_written", 3_649_449, None, deep=True),
    kept("turns-repeated", "answered_at_most_once", 3_649_449, None, deep=True),
    kept("turns-repeated", "requests_answered", 3_649_449, None, deep=True),
    kept("turns-lossy", "committed_unsent", 533_211, None, deep=True),
    kept("turns-lossy", "foreign_written", 533_211, None, deep=True),
    kept("turns-lossy", "answered_at_most_once", 533_211, None, deep=True),
    kept("turns-lossy", "requests_answered", 533_211, None, deep=True),
    kept("turns-crash", "committed_unsent", 3_158_724, None, deep=True),
    kept("turns-crash", "foreign_written", 3_137_614, None, deep=True),
    kept("turns-crash", "answered_at_most_once", 3_137_614, None, deep=True),
    kept("turns-crash", "requests_answered", 3_137_614, None, deep=True),
    kept("copies", "committed_unsent", 417_761, None, deep=True),
    kept("copies", "foreign_written", 351_989, None, deep=True),
    kept("copies", "answered_at_most_once", 351_989, None, deep=True),
    kept("copies", "requests_answered", 351_989, None, deep=True),
    kept("ranks-layers", "committed_unsent", 10_651_311, None, deep=True),
    kept("ranks-layers", "uncomputed_sent", 10_595_770, None, deep=True),
    kept("ranks-layers", "freed_block_written", 10_586_369, None, deep=True),
    kept("ranks-layers", "leaks_when_over", 10_586_369, None, deep=True),
    kept("aborts", "token_miscredited", 3_998_932, None, deep=True),
    kept("aborts", "token_lost", 3_427_796, None, deep=True),
    kept("aborts", "step_on_freed_reservation", 3_427_796, None),
    kept("aborts", "requests_answered", 3_427_796, None, deep=True),
    kept("two-suspected", "requests_answered", 1_514_168, None, deep=True),
    kept("two-repeated", "requests_answered", 11_294_136, None, deep=True),
    kept("pair", "committed_unsent", 2_931_066, None, deep=True),
    kept("pair", "foreign_written", 2_931_066, None, deep=True),
    kept("pair", "same_batch_per_iteration", 12_811_551, None, deep=True),
    kept("two-lossy", "answered_at_most_once", 16_667_162, None, deep=True),
    kept("two-lossy", "reservations_counted", 16_667_162, None, deep=True),
    kept("everything", "committed_unsent", 25_842_848, None, deep=True),
    kept("everything", "foreign_written", 25_408_265, None, deep=True),
    kept("everything", "freed_block_written", 25_408_265, None, deep=True),
    kept("everything", "leaks_when_over", 25_408_265, None, deep=True),
    kept("everything", "answered_at_most_once", 25_408_265, None, deep=True),
    kept("everything", "requests_answered", 25_408_265, None, deep=True),
    kept("everything-and-crash", "committed_unsent", 76_168_060, None, deep=True),
    kept("everything-and-crash", "foreign_written", 74_881_632, None, deep=True),
    kept("pair-aborts", "committed_unsent", 120_033_704, None, deep=True),
    kept("pair-aborts", "foreign_written", 108_983_469, None, deep=True),
]

SCENARIOS = [*WHOLE, *LEFT_OUT]

HAZARDS: list[Hazard] = []
