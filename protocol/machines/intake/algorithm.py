"""The ways in which `get_requests` takes a batch from the scheduler's list, described by what they do (facts section 5).

All of them keep the mutex from the look at the list to the decision whether to look again, and give it back only while
they wait at the condition. The differences are what is counted, when it is counted, and when to stop.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Algorithm:
    """One version of `get_requests`.

    Args:
        limited: blocks and tokens are looked at; otherwise everything up to the batch is taken.
        single: one request a call.
        repeats: goes round until the batch is full, the tokens are used up, or the time is over.
        cumulative: the cursor moves once a pass, by all that the *call* has taken; otherwise with each request.
        counts_rejected: the length is added before the test, and stays when the request is rejected.
        leaves: the first request that does not fit ends the call.
        overshoots: the tokens are looked at after the request was taken.
        log: "" none; "inverted": "has put all just-pulled request into the queue" when *nothing* was taken; "right".
        refuses: a request that can never fit is answered with an error when it is put.
    """

    name: str
    limited: bool = True
    single: bool = False
    repeats: bool = False
    cumulative: bool = False
    counts_rejected: bool = False
    leaves: bool = False
    overshoots: bool = False
    log: str = ""
    refuses: bool = False


ALGORITHMS = {
    a.name: a
    for a in (
        Algorithm("local", limited=False),
        Algorithm("T1", repeats=True, cumulative=True, counts_rejected=True),
        Algorithm("T2", repeats=True, counts_rejected=True, overshoots=True, log="inverted"),
        # The mend that was proposed in the review of #7791, and nothing else.
        Algorithm("tested_first", repeats=True, overshoots=True, log="inverted"),
        # The mend that the facts propose: that, and to leave on the first rejection.
        Algorithm("leaves_first", repeats=True, leaves=True, overshoots=True, log="inverted"),
        Algorithm("N1", limited=False, single=True),
        Algorithm("repaired", leaves=True, log="right", refuses=True),
    )
}
"""`local` is LocalScheduler in V1; T1, T2 and N1 are the data-parallel scheduler's, as the facts name them."""
