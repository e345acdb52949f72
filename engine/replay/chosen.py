"""Which hazards docs/damage.md is about, and the scenarios of each."""

from __future__ import annotations

from protocol.catalogue import hazards

TOP_P, DRAFTS, LAUNCHED = "top_p_list", "draft_tokens", "launched_forwards"
UNNUMBERED = {
    TOP_P: ("the list of top_p and the tensor", "The host's list of top_p and the device's tensor part (#7892, #7944)."),
    DRAFTS: (
        "a row decodes with another's draft tokens",
        "A request arrives on D without draft tokens, and its row decodes with those that the request before it has left (open question Q5).",
    ),
    LAUNCHED: (
        "the host speaks for a forward that it has only launched",
        "With asynchronous forwards a rank launches its kernels and goes on. What its host then says of the forward, it says too early: that it "
        "is over, and who is withdrawn. So P schedules while kernels are in the queue; the slot of a withdrawn request is given away, and its "
        "kernels write into free blocks; and their signals, which come behind the withdrawal, speak for the next request of that number. In ours "
        "the device says both, in its stream, behind the kernels (the rule `speaks_in_stream`). No path that was found hurts "
        "a token: who has a freed block next writes it behind, in the same stream.",
    ),
}
"""What has no number among the hazards: a title, and what happens."""
CHOSEN: dict[str, tuple[str, ...]] = {
    "H1": ("early-zero-in-b-async-tp2",),
    "H4": ("collectives-weights-batch-lost-between-clears-in-b",),
    "H5": ("collectives-stopped-engine-stalls-all-in-b",),
    "H9": ("engine-threads-stale-prefill-after-abort-in-b", "engine-threads-stale-prefill-writes-the-next-owners-block-in-r"),
    "H10": (
        "lifecycle-foreign-token-in-newest",
        "lifecycle-lost-block-written-on-decode-in-unkept",
        "engine-threads-report-of-a-stop-hits-the-next-in-r-prime",
    ),
    "H16": ("preparation-full-d-stops-other-d-in-e1",),
    "H-01": ("layer0-signal-dropped-in-e1",),
    "H-03": (
        "layer0-signal-answered-unsent-in-e1-one-layer",
        "layer0-signal-ranks-divided-in-e2-one-layer",
        "repaired-tp2-without-counts-reports-committed-unsent",
    ),
    "H-04": ("layer0-signal-answered-unsent-in-e3a-one-layer", "layer0-signal-report-lost-in-e3a-one-layer"),
    "H-05": ("sending-old-task-serves-the-next-request-in-e1",),
    "H-06": ("layer0-signal-slot-reused-in-e2",),
    "H-07": ("preparation-two-threads-in-circle-in-e1",),
    "H-08": ("prefix-cache-overtaken-in-e1-7364", "prefix-cache-node-left-in-e1-7364"),
    "H-12": (
        "decode-two-places-for-one-id-in-continuous",
        "decode-empty-place-decoded-in-continuous",
        "preparation-reservation-overwritten-unnumbered",
    ),
    "H-13": (
        "decode-freed-place-written-in-rechecked",
        "decode-other-request-overwritten-in-rechecked",
        "network-foreign-write-without-waiting-for-drained",
    ),
    "H-14": ("repaired-layers-without-sends-computed-uncomputed-sent",),
    "H-18": ("sending-nothing-to-send-never-finishes",),
    "H-22": ("engine-threads-aborted-in-preparation-in-r", "engine-threads-aborted-in-preparation-shares-its-slot-in-r"),
    "H-24": ("lifecycle-prefill-old-blocks-shipped-in-schedule",),
    "H-25": ("sending-struct-rewritten-under-the-stream",),
    "H-33": ("buffers-unfinished-file-loaded-in-published", "buffers-stale-file-loaded-in-published"),
    "H-35": ("sending-torn-pair-in-v0",),
    "H-38": ("preparation-refused-client-hangs-in-e1",),
    TOP_P: ("buffers-top-p-ignored-in-unswapped",),
    DRAFTS: ("buffers-token-of-the-row-before-decoded-by-naive",),
    LAUNCHED: (
        "repaired-launched-without-speaks-in-stream-schedule-during-forward",
        "repaired-launched-faults-without-speaks-in-stream-freed-block-written",
        "repaired-launched-faults-without-speaks-in-stream-requests-answered",
        "repaired-launched-chunks-without-speaks-in-stream-uncomputed-sent",
    ),
}
"""The scenarios of the page, by hazard."""


def title_of(number: str) -> str:
    """What happens, in some words."""
    return UNNUMBERED[number][0] if number in UNNUMBERED else hazards()[number].title


def about(number: str) -> str:
    """What happens, in a paragraph."""
    if number in UNNUMBERED:
        return UNNUMBERED[number][1]
    hazard = hazards()[number]
    return f"{hazard.title[0].upper()}{hazard.title[1:]}. {hazard.about}"


def scenarios_of_page() -> list[str]:
    """Every scenario of the page, in its order."""
    return [name for names in CHOSEN.values() for name in names]


def listed() -> list[tuple[str, str]]:
    """Hazard and scenario, in the order of the page."""
    return [(number, name) for number, names in CHOSEN.items() for name in names]
