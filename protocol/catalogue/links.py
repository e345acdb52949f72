"""Scenarios of the group "links": what lies between P's messagers and D beside the hand-over itself.

| question | published | mended |
|---|---|---|
| CH10: does the engine hear of every connection that it asks for? | not if a rank's connect raises | a failure is an answer, no meetings |
| CH10: does a rank connect once? | not when its sender has something to send meanwhile | a lock per peer, from the look to the entry |
| CH8: does D see what the card has acknowledged? | not without the flush; over IPC, when the stream is waited for | flush before the report |
| H24: does a message reach the data-parallel instance that it is for? | only the first, over IPC | the message names the instance |
"""

from __future__ import annotations

from functools import partial

from ..machines.links import eager_connect, queue_index, visibility
from . import variant_scenario
from .hazard import Hazard

_connect = partial(variant_scenario, "links", eager_connect.build)
_seen = partial(variant_scenario, "links", visibility.build)
_index = partial(variant_scenario, "links", queue_index.build)

ANSWERED, ONCE, CONNECTED = "ask_answered", "connected_twice", "some_connected"
UNSEEN, DECODES, ELSEWHERE, REACHED = "decoded_unseen", "some_request_decodes", "reserved_elsewhere", "committed_decoded"
TWIN = "The twin of the claims about this: "
LONE = "Ours: ranks do not meet, a failure is an answer, and who connects holds the peer's lock from the look to the entry."
# fmt: off
SCENARIOS = [
    # -- CH10 ------------------------------------------------------------------------------------------------------------------
    _connect("connect-that-raises-is-never-answered", ANSWERED, "violated", 54, 11, ("CH10",),
             "A rank's connect raises, and the rank goes back to its mailbox: the others wait at the second meeting, the engine for the answers.",
             "published-silent", fails=True),
    _connect("connect-that-fails-is-answered", ANSWERED, "holds", 94, None, ("CH10",),
             "Where a failure is an answer, every rank comes to the second meeting.", "published", fails=True),
    _connect("rank-connects-twice", ONCE, "violated", 853, 11, ("CH10",),
             "The eager thread and the sender of a rank both find no connection to the peer, and both connect.", "published", sends=True),
    _connect("rank-connects-once-in-ours", ONCE, "holds", 669, None, ("CH10",), LONE, "repaired", sends=True, fails=True),
    _connect("ask-answered-in-ours", ANSWERED, "holds", 669, None, ("CH10",), LONE, "repaired", sends=True, fails=True),
    _connect("some-connected-in-published", CONNECTED, "holds", 43, 11, ("CH10",), TWIN + "all ranks connect.", "published"),
    _connect("some-connected-in-ours", CONNECTED, "holds", 669, 6, ("CH10",), TWIN + "all ranks connect.", "repaired", sends=True, fails=True),
    # -- CH8 -------------------------------------------------------------------------------------------------------------------
    _seen("acknowledged-not-landed", UNSEEN, "violated", 35, 11, ("CH8",),
          "The card has acknowledged the last layer, which is still on its way to the GPU; the commit goes through the processors and is "
          "faster: D decodes from what was there before.", "acknowledged"),
    _seen("flushed-before-the-report", UNSEEN, "holds", 31, None, ("CH8",),
          "A read over the same connection comes back behind all writes, and then the request is reported.", "flushed"),
    _seen("copied-in-a-stream", UNSEEN, "violated", 33, 5, ("CH8",),
          "Over IPC a copy is only put into a stream, and the call returns.", "ipc-unsynchronised"),
    _seen("stream-waited-for", UNSEEN, "holds", 23, None, ("CH8",),
          "Over IPC the stream is waited for once, before a finished request is reported; that is enough.", "ipc"),
    _seen("some-request-decodes-flushed", DECODES, "holds", 31, 16, ("CH8",), TWIN + "D decodes.", "flushed"),
    _seen("some-request-decodes-over-ipc", DECODES, "holds", 23, 12, ("CH8",), TWIN + "D decodes.", "ipc"),
    # -- H24, the index of the queue -------------------------------------------------------------------------------------------
    _index("first-instance-reserves-for-all", ELSEWHERE, "violated", 45, 2, ("H24",),
           "Every message goes to the queue of the first data-parallel instance, which reserves for requests that it does not have.", "published"),
    _index("first-token-waits-at-the-wrong-instance", REACHED, "violated", 45, 10, ("H24",),
           "The first token of a request for another instance waits in the first one's queue, whose scheduler never has the request; its own "
           "instance never hears of it.", "published"),
    _index("instance-reserves-for-its-own-in-ours", ELSEWHERE, "holds", 49, None, ("H24",), "The message names the instance.", "repaired"),
    _index("first-token-arrives-in-ours", REACHED, "holds", 49, None, ("H24",), "The message names the instance.", "repaired"),
    _index("some-request-decodes-in-ours", DECODES, "holds", 49, 6, ("H24",), TWIN + "a request is decoded.", "repaired"),
]
# fmt: on

HAZARDS: list[Hazard] = []
