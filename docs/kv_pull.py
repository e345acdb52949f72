"""A sketch of vLLM's NIXL connector, where D pulls: P keeps a prompt's KV until D has read it, or until a time-out (vLLM #20139).

D reads P's memory one-sided, so P does not see the read and D does not see the time-out (issue #21570). The example of your-model.md.
"""

from enum import IntEnum

from protocol import (
    BOOL,
    DefinitionError,
    Index,
    Lock,
    Machine,
    Optional,
    Row,
    System,
    any_of,
    channel,
    deadlock,
    leads_to,
    locked,
    me,
    never,
    private,
    register,
)


class Prefill(IntEnum):
    """P's side of a request: ..."""

    WAITING, COMPUTED, OFFERED, EXPIRED, DONE = range(5)


class Decode(IntEnum):
    """D's side of a request: ..."""

    WAITING, LOOKING, PULLING, PULLED, CHECKING, READY, REFUSED = range(7)


def build(requests: int = 2, looks: str = "never") -> System:
    """`looks`: when D asks whether its lease still holds: never, before the pull, or behind it."""
    if looks not in ("never", "before", "behind"):
        raise DefinitionError(f"looks={looks!r}: choose one of never, before, behind")
    request = Index("request", requests)
    own = me(request)
    scheduler = Lock("scheduler")
    free = locked("free", BOOL, scheduler, init=True)  # P's one block
    memory = register("memory", Optional(request))  # whose KV lies in it
    lease = register("lease", BOOL, over=request, init=True)
    offer = channel("offer", BOOL, 1, over=request)  # kv_transfer_params, through the proxy
    notice = channel("notice", BOOL, 1, over=request)  # "I have read it"
    got = private("got", Optional(request), over=request)

    p, d = Prefill, Decode
    pull_from = d.LOOKING if looks == "before" else d.PULLING
    pull_to = d.CHECKING if looks == "behind" else d.PULLED
    # fmt: off
    prefill = Machine("prefill", p, [
        Row("compute",         p.WAITING,  p.COMPUTED, free,        [free.set(False), memory.set(own)],      "P", under=scheduler),
        Row("offer_blocks",    p.COMPUTED, p.OFFERED,  True,        [offer[own].send(True)],                 "P"),
        Row("release_read",    p.OFFERED,  p.DONE,     True,        [notice[own].receive(), free.set(True)], "P", under=scheduler),
        Row("expire",          p.OFFERED,  p.EXPIRED,  True,        [lease[own].set(False)],                 "P", decided="timer"),
        Row("release_expired", p.EXPIRED,  p.DONE,     True,        [free.set(True)],                        "P", under=scheduler),
    ], copies=request, final=p.DONE)
    find = [
        Row("find_lease",      d.LOOKING,  d.PULLING,  lease[own],  [],                                      "D"),
        Row("find_expired",    d.LOOKING,  d.REFUSED,  ~lease[own], [],                                      "D"),
    ]
    check = [
        Row("keep",            d.CHECKING, d.PULLED,   lease[own],  [],                                      "D"),
        Row("throw_away",      d.CHECKING, d.REFUSED,  ~lease[own], [],                                      "D"),
    ]
    decode = Machine("decode", d, [
        Row("take_offer",      d.WAITING,  pull_from,  True,        [offer[own].receive()],                  "D"),
        *(find if looks == "before" else []),
        Row("pull",            d.PULLING,  pull_to,    True,        [got[own].set(memory)],                  "D"),
        *(check if looks == "behind" else []),
        Row("confirm",         d.PULLED,   d.READY,    True,        [notice[own].send(True)],                "D"),
    ], copies=request, final=d.READY if looks == "never" else (d.READY, d.REFUSED))
    # fmt: on
    wrong = any_of(request, lambda r: (decode.at(r) == d.READY) & (got[r] != r))
    waits, is_answered = prefill.at(0) == p.WAITING, decode.at(0).is_in(d.READY, d.REFUSED)
    return System("kv_pull", [prefill, decode], [never("wrong_cache", wrong), leads_to("answered", waits, is_answered), deadlock()])
