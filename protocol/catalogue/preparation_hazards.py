"""The hazards of the group "preparation": what the facts claim, and what the model found."""

from __future__ import annotations

from .hazard import Hazard

HAZARDS = [
    Hazard(
        "H16",
        "N prepare threads share one configuration, one socket, and one fate",
        ("#7724", "#7771"),
        "The prepare threads share a configuration dict and a DEALER socket per address. One stores its slot into the dict, another stores its own, "
        "and the first serialises the other's; frames of two messages follow one another on a socket, and D can read neither. And each thread "
        "waits for D itself: as many requests for one full D as there are threads stop P for every other D.",
        "R (#7724), by code and review; #7771 for the frames",
        "Confirmed, and sharper. (1) #7771's lock per address mends the frames and leaves the slots: the dict is read before the lock is taken. "
        "(2) N threads do help as long as fewer than N requests are for the full D, and only while P has blocks to spare: blocks are "
        "taken before D is asked, so one request is enough where it takes P's last room. (3) The single try (=0) frees the "
        "thread at the price of an error. (4) With `enable_decode_cache_task` no thread waits, but the sender does (H-02).",
        told_by="preparation-foreign-slot-in-e1",
    ),
    Hazard(
        "H22",
        "a late answer of D is stored for nobody",
        ("#7500", "#7965"),
        "P stops waiting after 30 s and deletes the request's key. D's answer comes all the same: P.IO stores it and so makes the key anew, and "
        "puts D's half, which waits in the messager for a half that never comes. D keeps the reservation; there is no cancel message.",
        "all versions, P and D; read in published code",
        "Confirmed: key, half and reservation are each left after one time-out. Beyond it: (1) with continuous asking and a D with room for one, P's "
        "second ask is refused because of the reservation for its first, for ever: its own orphan stands in its way. The late "
        'grant must be wiped out, by the next "init" or by the refusal. (2) With room for two, D reserves twice '
        "(H-12), and the first room is lost. (3) When the second ask reaches D after the request was served, D reserves for it once more. "
        "(4) A cancellation needs the number of the attempt, and a number that is never used again.",
    ),
    Hazard(
        "H-07",
        "hold and wait inside one prepare batch",
        ("#7724",),
        "The requests of a batch become schedulable together, when each has P's blocks and D's grant. (a) A batch larger than P's free blocks waits "
        "for blocks that only its own first request could give back. (b) Two threads hold each other's blocks. (c) Two P hold each other's D: "
        "reservations are released only after first tokens.",
        "E0 and E1; read in code, inferred",
        "Confirmed. (a) and (c) in E0 as well, (b) with two threads only; the single try breaks (c) and neither (a) nor (b). A batch of one ends all "
        "three with nothing else changed: what is granted runs at once. It does not end the waiting of others for a full D (H16), nor that P's "
        "blocks are held while D is asked. With `enable_decode_cache_task` there is a fourth circle: D reserves in the order of its list, P's "
        "sender sends in the order of the forwards, and each waits for the other's first.",
    ),
    Hazard(
        "H-19",
        "a payload with several entries is put once for each",
        (),
        "P.IO puts the whole payload of a `cache_sync` message once for every entry that says finished. The second put meets halves that are there "
        "already: before P's half an assertion fails in the registrar and the rest of the list is lost, in E0 perhaps on some ranks only, "
        "which would divide them at the barrier behind the acknowledgement.",
        "all versions; read in code. D sends one entry a message",
        "Less and more. The ranks are not divided: all read the same puts in the same order, and what a rank has forgotten after sending, the "
        "other merges without an assertion; no deadlock, at two ranks. The assertion loses nothing, since the first put has stored what it "
        "skips. But where the second put comes after P's half, the record is written anew, perhaps in the sender's hands; where it comes "
        "after the sending, its half stays for good; and between the two, in E0, one rank acknowledges alone and spoils the next round of CH3.",
    ),
    Hazard(
        "H-31",
        "the resource manager's lock is held during slow work",
        (),
        "A prefix match waits for copies from CPU or storage to the GPU, and eviction waits for blocks, both with RM.lock held; `finish_requests`, "
        'which would free blocks, needs that lock. A look at the free blocks before it begins is there "to prevent dead lock".',
        "all versions; read in code",
        "Confirmed: without the look the wait is a circle after five steps. With it there is none, because nothing behind it waits for blocks; a "
        "release still waits for the end of a transfer.",
    ),
    Hazard(
        "H-38",
        "the client hangs when P fails before D gets anything",
        ("#7500", "#7606"),
        "The router posts a request to P and D, waits for both, and returns D's response. When P answers with an error before D has anything to "
        "answer with, D's response never comes.",
        "all versions; inferred from the router's code",
        "Confirmed for a refusal and for a time-out. Whether D tells its own client at a refusal (Q4) decides the first only: if it does not, the "
        "client hangs; if it does, a refused single try is answered, but with continuous asking the client is told an error for a request "
        "that P goes on with, and told again. After a time-out neither helps: D has granted, and has nothing to tell.",
    ),
]
