"""The repaired protocol with several prefill instances, which share the decode instances."""

from __future__ import annotations

from .repaired_scenario import kept

PREFILLS = [
    kept("prefills-refused", "answered_at_most_once", 777_924, None),
    kept("prefills-refused", "requests_answered", 777_924, None),
    kept("prefills-refused", "requests_closed", 777_924, None),
    kept("prefills", "committed_unsent", 1_687_032, None, deep=True),
    kept("prefills", "others_reservation_written", 1_687_032, None, deep=True),
    kept("prefills", "reservations_counted", 1_687_032, None, deep=True),
    kept("prefills", "slots_owned_once", 1_687_032, None, deep=True),
    kept("prefills", "leaks_when_over", 1_687_032, None, deep=True),
    kept("prefills", "requests_answered", 1_687_032, None, deep=True),
    kept("prefills", "requests_decoded", 1_687_032, None, deep=True),
    kept("prefills", "gate_opens", 1_687_032, None, deep=True),
    kept("prefills-errors", "others_reservation_written", 3_083_544, None, deep=True),
    kept("prefills-errors", "requests_answered", 3_083_544, None, deep=True),
    kept("prefills-errors", "failed_without_cause", 3_116_136, None, deep=True),
    kept("prefills-aborts", "others_reservation_written", 57_696_156, None, deep=True),
    kept("prefills-crash", "others_reservation_written", 4_803_128, None, deep=True),
    kept("prefills-crash", "committed_unsent", 5_262_738, None, deep=True),
    kept("prefills-crash", "answered_at_most_once", 4_803_128, None, deep=True),
    kept("prefills-crash", "some_second_life_of_prefill_prefills", 4_803_128, 32, deep=True),
    kept("prefills-crash", "living_prefills_serve", 4_803_128, None, deep=True),
    kept("prefills-crash", "requests_answered", 4_803_128, None, deep=True),
    kept("prefills-control", "at_work_while_paused", 4_548_064, None, deep=True),
    kept("prefills-control", "weights_mixed", 11_808_064, None, deep=True),
    kept("prefills-control", "pause_ends", 4_548_064, None, deep=True),
    kept("prefills-control", "update_ends", 4_548_064, None, deep=True),
    kept("prefills-full", "other_decodes_served", 3_226_554, None, deep=True),
    kept("prefills-full", "threads_come_back", 3_226_554, None, deep=True),
    kept("prefills-rank", "others_reservation_written", 10_627_628, None, deep=True),
    kept("prefills-rank", "living_prefills_serve", 10_627_628, None, deep=True),
    kept("prefills-crashes", "others_reservation_written", 13_108_200, None, deep=True),
    kept("prefills-crashes", "living_prefills_serve", 13_108_200, None, deep=True),
    kept("prefills-troubled", "untroubled_served", 2_283_144, None, deep=True),
    kept("prefills-taken-for-dead", "untroubled_served", 17_710_983, None, deep=True),
    kept("prefills-suspected", "others_reservation_written", 18_121_671, None, deep=True),
    kept("prefills-lossy", "others_reservation_written", 24_835_758, None, deep=True),
    kept("prefills-refused-suspected", "requests_answered", 2_802_276, None, deep=True),
]
