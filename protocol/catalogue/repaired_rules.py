"""What each rule of the repaired protocol is for: the notes that [its page](repaired.md) is made from, beside the scenarios."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RuleNote:
    """What a rule of `machines/repaired/bounds.py` is for.

    Args:
        says: the rule. instead: what versions of the real system do. hazards: what that does there.
        then: what happens when the repaired protocol leaves the rule out.
    """

    says: str
    instead: str
    hazards: tuple[str, ...]
    then: str


# fmt: off
RULES: dict[str, RuleNote] = {
    "lowers_behind_barrier": RuleNote(
        "Rank 0 alone stores the forward signal: it raises it before it reads a batch and lowers it behind the barrier at the top of the loop.",
        "#6680 (B, B'): every rank raises it and lowers it after its own forward. A, A', R: there is no signal.", ("#6680", "H1", "H6"),
        "The first rank to finish lowers the signal for all, and P schedules while the other is still in its forward."),
    "meets_at_top": RuleNote(
        "All ranks meet at the top of the loop, before rank 0 looks for a batch.",
        "A, B: only some paths of the loop end in a meeting. B' added this one (TPB#0).", ("#6680", "H2"),
        "One rank is an iteration ahead: the ranks work on different batches, read one twice, or meet from different places of the loop."),
    "parks_early_signals": RuleNote(
        "A layer-0 signal of a request that is not registered yet waits for its registration, which queues it; both under one lock.",
        "E0 acknowledges registrations first; E1 (#7724) throws it away while no task is known; E2, E3 (#7872, #8034) park it.",
        ("#7724", "#7872", "H-01"),
        "The signal comes first and is thrown away: no work item is ever queued, and the request is stuck with all it holds."),
    "sends_computed": RuleNote(
        "The sender writes a layer when the rank's own signals say, for this request, that the worker has written it.",
        "E0-E3: the mark belongs to a slot, so a stale mark or signal speaks for the next request.", ("H-05", "H-14", "H-26"),
        "The sender ships a layer that the worker has yet to write."),
    "names_requests": RuleNote(
        "A kv signal names its requests, and so do the messager's tables.",
        "All versions: a signal names rows of the worker's batch, and the messager takes a row for the engine's slot.", ("H-14",),
        "A request that is alone in its batch lies in the first row, and its signals speak for another: layers are sent that nobody has written."),
    "cleans_first": RuleNote(
        "A rank forgets a request before it reports it.",
        "All versions: the report is put, and then the tables are cleaned, whoever is in them by then.", ("H-06", "H21"),
        "The number is used again between report and cleaning: the next request's registration is deleted, and it is stuck with all it holds."),
    "leaves_intake": RuleNote(
        "An abort leaves the intake as it is: whoever takes the request from there skips it.",
        "B: an abort takes an unread request out of the scheduler's list and moves the cursor back for it.", ("#6680", "H17", "H-10"),
        "What was read last is in front of the cursor again, and is taken a second time."),
    "reports_last": RuleNote(
        "A rank that fails to write keeps that to itself until the request's last item, and until its worker has written the last layer.",
        "All versions report an error at the end of the pass in which it happened, while chunks are still to come.", ("H-15", "H-16"),
        "P lets go of the request while signals of it are still under way: they are parked for a request that is over."),
    "counts_reports": RuleNote(
        "A request is sent when every rank has reported this very request.",
        "E0-E3: a round of CH4 holds one report per rank and is read as its first, whatever the others are about.", ("#8034", "H-03", "H-04"),
        "The first rank's report speaks for all: D decodes from a cache of which a shard is missing, and P frees what is still being sent."),
    "drains_before_cancel": RuleNote(
        "An abort is a state. P gives nothing back, here or on D, before every rank has reported; a withdrawal goes through the ranks' own signals.",
        "B: put past the scheduler, and freed when its stop is reported. A', R: schedule() frees it, but never on P. Messagers are not told.",
        ("#7791", "H9", "H-13", "H-22", "H-05"),
        "P's slot goes to others while the worker writes and the messagers read for the aborted request (D's key stops their writes)."),
    "keeps_until_sent": RuleNote(
        "P keeps slot and blocks until every rank has reported, although the first token is long known; the token processor waits for nobody.",
        "All versions: the token processor itself waits for the report, and everything behind it waits too.", ("H-30", "H-42"),
        "The slot is freed at the first token, and the messagers read blocks of another request."),
    "takes_once": RuleNote(
        "A prepare thread reads the head of the intake and takes it out in one critical section, one request at a time.",
        "T1 advances the cursor once more by what earlier rounds took; in all versions a recycle moves it without the mutex, beside a slice.",
        ("#7791", "H18", "H-10", "H-11"),
        "Two threads read the same request, and advance past one that nobody has read."),
    "asks_first": RuleNote(
        "D reserves first and P takes its own slot last, each request alone; no thread waits for D.",
        "E0, E1: a thread takes P's slot and blocks, then waits for D, for all requests of its batch.", ("#7724", "H-07", "H16"),
        "Requests that wait for a full D hold P's slots, and requests for other D instances starve."),
    "reserves_once": RuleNote(
        "D answers a repeated ask with the reservation that it has.",
        "All versions: D reserves again and forgets the first reservation.", ("H-12", "H22"),
        "A repeated ask reserves a second time: nobody ever gives the first reservation back."),
    "reserves_posted": RuleNote(
        "D reserves only for a request that its router has posted, and remembers which it has closed.",
        "All versions: an entry is made by whichever message comes, and deleted when the request is over: a late one makes a new entry.",
        ("H-20", "H22"),
        "A delayed ask of a closed request is granted anew, and the client is answered twice."),
    "sends_again": RuleNote(
        "Ask, commit and cancel are sent again until D says that it has heard.",
        "All versions: sent once, and a failure is logged and swallowed; only the ask is repeated, in continuous mode.", ("H-21", "H22", "H-38"),
        "A lost message is never made good: the client is never answered, and D keeps the reservation."),
    "fences_writes": RuleNote(
        "A write names the key of its reservation, and D revokes the key when it gives the reservation up: so D need not know whether P is dead.",
        "One-sided writes need no consent of D's processor, and nothing revokes them.", ("H-13",),
        "D takes P for dead, or has crashed, and gives the room to others; P's messager writes into it."),
    "dies_whole": RuleNote(
        "When a worker or messager of P dies, the supervisor ends all of P; D answers its requests, and a new P begins with nothing.",
        "All versions: the other ranks wait at a barrier; in B and B' the signal stays up for ever.", ("#6680", "H6", "H-34"),
        "The remaining ranks wait for the dead one; the gate never opens again, and nobody is answered."),
    "names_turns": RuleNote(
        "Every message names its request and the turn of that number; one of another turn is only owed a reply.",
        "All versions: an id that the client chose, or that is retried, means whatever the receiver holds under it.", ("H-20", "H-42", "H22"),
        "A message that was delayed from the last request speaks for the next one: its reservation is given away under its writes."),
    "names_lives": RuleNote(
        "What the router sends to P names the life of P in which it has posted the request; a P that has started again refuses it.",
        "All versions: whatever a process finds or is sent after a restart counts, as the kernel's signal queue, which survives it.", ("H-26",),
        "P dies while it is being told and comes back: it takes a request whose prompt it does not have, and D decodes from half a cache."),
    "owns_signals": RuleNote(
        "A queue of layer signals belongs to one rank of one P, and ends with it.",
        "All versions: the kernel's queue survives its processes; its key named the rank only, until it named the device: two P on one host had one.",
        ("H-26",),
        "A new P finds the signals of its last life and sends layers that nobody has computed; and of two P, one takes the other's signals."),
    "speaks_in_stream": RuleNote(
        "Where ranks only launch their forwards (EW-ASYNC), the device's stream says that one is over and who is withdrawn, behind its kernels.",
        "#6680 (B, B'): the host lowers the signal when its loop goes on; #7250 proposes that it does so right after the launch.",
        ("#6680", "#7250", "H1"),
        "P schedules while kernels are in the queue, and a withdrawal overtakes the signals of its request: kernels write blocks that are free."),
    "ends_steps": RuleNote(
        "D frees a reservation at one place, and only when no decode step of its own works on it.",
        "All versions: an abort recycles slot and blocks while a step runs; its outputs are indexed by slot, which may have a new owner.",
        ("H10", "H-12"),
        "A step goes on in blocks that are free again, and its token is credited to the request that has taken their place."),
    "credits_singly": RuleNote(
        "D credits the tokens of a step one by one; a request that has ended meanwhile loses its own token, and no other does.",
        "All versions: one handler around a whole step: an exception at a request that has gone drops the outputs of all slots.", ("H28", "H23"),
        "A client gives up, and the other requests of the step lose a token of their answers."),
    "drains_before_pause": RuleNote(
        "The operator hears that all rest when no D has an entry that is not over, and then P has nothing either; nobody is preempted.",
        "Old pause: preempts, clears and resets under those who work on it; #7791: waits for the requests. Weights: no pause at all.",
        ("#7791", "H-23", "H3", "H4"),
        "The weights change between a request's prefill and its decoding: its tokens are of neither version."),
    "holds_posts": RuleNote(
        "A pause holds new requests back in the router, where they hold nothing and nobody has heard of them.",
        "All versions: refused with an error, or fetched by a thread that had looked at the pause before.", ("H9", "H-23"),
        "A request that is posted after D was found idle is computed by P with the old weights, and by D with the new."),
    "publishes_computed": RuleNote(
        "A block is found in P's prefix cache when the forward that computed it is known to be over.",
        "Before #7364: when it is scheduled, which is before whoever finds it. #7364: at preallocation, when nobody knows whether it will be.",
        ("#7364", "#7387", "H-08"),
        "A request is aborted with blocks in the cache that nobody will compute: the next one finds them, reads what lies there, and sends it."),
    "counts_users": RuleNote(
        "A block of the cache counts who uses it, from the slot to the last rank's report, and what has users is not evicted.",
        "All versions: a path of the tree is referred to until P frees the blocks, which an abort does while a prepare thread still has them.",
        ("H-22",),
        "A block goes to another request while a forward reads it, or a messager sends it."),
    "forgets_with_weights": RuleNote(
        "New weights empty P's prefix cache, when nobody uses any of it.",
        "All versions: a pause resets the cache manager, free list and all, while prepare threads hold blocks.", ("H-23",),
        "A request finds what the old weights have computed, and goes on with the new: its cache is of neither version."),
}
# fmt: on
