"""What happens in scenarios of the group "engine-threads", in words; a story is that of every scenario in which it comes true."""

from __future__ import annotations

STALE = (
    "schedule() puts the request into a batch, which the scheduling thread still has in hand. The abort is received, finds the request in "
    "RM.requests and puts its stop first. Another request's step reports the stop, and the request is recycled; then the stale batch is put, and "
    "the worker runs a request that the engine has forgotten."
)
PAUSED = (
    "The scheduling thread is past its look at is_paused. The pause finds the queue read, preempts what runs, frees its blocks and puts the stops; "
    "then the batch that schedule() made before is put, and the worker runs a request on blocks that it no longer has."
)
MISSED = (
    "The scheduling thread is past its look at is_paused. The pause finds nobody to preempt; then the thread schedules and puts a request that "
    "waits, and then the resource manager is cleared under it."
)
VICTIM = (
    "The control thread looks up the slot of the request to abort, and only then puts the stop, which names the slot alone. In between the "
    "request ends by itself, and the next one gets its slot and is scheduled: the stop hits that one."
)
ANOTHERS_REPORT = (
    "A request's last token is handled, and then its abort is noted; as it is still in running, its stop is put, and reported though the slot is "
    "empty. The next request gets the slot and is aborted, too: the first report is taken for its own, and frees its slot while its last token is "
    "under way, which then ends a third request."
)
PREPARED = (
    "The request has slot and block and is in preparation, so it is in RM.requests, and the abort puts a stop for its slot. The stop is reported "
    "with another request's step, and the request recycled. The fetch, which looks at nothing, then adds it to running: it runs in a slot that "
    "the next request gets as well."
)
RECYCLED = (
    "The abort comes while a fetch has the request in hand: it is in no table of the resource manager, so the scheduler forgets it; then the "
    "fetch adds it all the same."
)
SILENT = (
    "The request waits for the decode instance, which is silent. The abort is noted, and nobody acts on it: schedule() only looks at what runs, "
    "and the fetch at nothing."
)
RESET = (
    "The pause clears what runs and what waits, and resets the cache: the free list is whole again. A fetch has a request in preparation, with a "
    "block in its table that is now free as well."
)
GAP = "The finishing thread has freed the request's slot and not yet its block when the cache is reset: the block will be freed twice."
SURVIVOR = (
    "A fetch has taken a request from the scheduler. The pause clears the resource manager, answers every request and resets the scheduler; then "
    "the fetch, which looked at is_paused only when it began, adds the request."
)
BLOCKED = (
    "The control thread puts into the queue by itself, and put_tasks waits until every rank has read the batch before. The ranks have stopped, "
    "so no request, abort or control message is read any more."
)
BEHIND_PUT = "The control thread waits inside put_tasks for a batch to be read, and a message waits behind it."
GREEDY = (
    "A fetch is submitted in every round before the gate, whatever waits: while the gate is closed the whole queue of the scheduler moves into "
    "RM.waiting."
)
TWO_LOOKS = (
    "The scheduling thread sees that nothing waits. The fetch under way then adds its request and lowers is_fetching, so the next look sees no "
    "fetch either, and a second fetch is submitted. The other order of the two looks would not let it."
)
EXCEPTION = "A fetch fails after it took the request from the scheduler: the error is logged, the request has no answer"
NO_POSITION = (
    "A request is being aborted and keeps its slot until the stop is reported. Admission does not count it, takes the next request out of "
    "waiting into running, and then finds no position for it: RuntimeError."
)
CLOSED = "The thread has seen that the engine runs, raises is_fetching, and submits to the pool, which the shutdown has closed meanwhile."
WAITS = "A fetch waits for a slot, or for the decode instance, and looks neither at running nor at anything else that ends."
OURS = "One putter, one critical section from schedule() to the put, and aborts acted on by whoever owns the stage."
DRAINED = "The pause refuses and aborts, waits until the last block is back, and resets only then."
NOTED = "The control thread only notes what is asked; it never waits for a rank."
FREES_EARLY = (
    "schedule() frees the block of an aborted request with the decision: a step that was begun before its stop is read writes the block after all."
)
NEWEST = "An abort is noted under RM.lock, and schedule() itself issues the stop: tasks arrive in the order of the decisions."
WITNESS = "The property does not hold for want of something to look at."
