"""A request as P sees it, and as D sees it: the two passive machines that all threads move.

Nothing about a request is kept in a set or a flag beside these states: an abort is a move to DOOMED or CANCELLING, a refusal a
move to REFUSED. Whoever owns the next step of a stage makes the next move; nobody takes a request from under another.

P: NEW (in the intake or in a prepare thread's hand) -> ASKED -> GRANTED -> HELD -> RUNNING -> PREFILLED -> COMMITTING ->
CLOSED, or through CANCELLING to CLOSED. P holds slot and blocks from HELD to PREFILLED; in COMMITTING and CANCELLING it
holds nothing and only makes sure that D has heard.

D: UNKNOWN -> OPEN (the router's request is there) -> RESERVED -> DECODING -> ENDING -> ANSWERING -> CLOSED. Whatever ends a
request that holds a reservation moves it to ENDING, and one row of D's worker takes it out of there, when no step of D's own
works on it. While D lives, D alone answers the client, whatever ended the request, so that nobody is answered twice. CLOSED stays:
a message that was delayed finds it.
"""

from __future__ import annotations

from ...machine import Machine, Row
from .plane import Entry, Plane, Stage


def request_machine(p: Plane) -> Machine:
    """P's view, guarded by the resource manager's lock."""
    s = Stage
    waiting = (s.ASKED, s.REFUSED, s.GRANTED)
    others = {
        "granted": [x for x in s if x is not s.ASKED],
        "settled": [x for x in s if x not in (s.ASKED, s.REFUSED, s.COMMITTING, s.CANCELLING)],
        "abort": [x for x in s if x not in (s.NEW, *waiting, s.HELD, s.RUNNING)],
    }
    # fmt: off
    rows = [
        Row("post",      (s.NEW, s.CLOSED), s.NEW,     cite="4.1; ours: the last turn is over"),
        Row("ask",       s.NEW,         s.ASKED,       cite="4.4; ours: D first"),
        Row("granted",   s.ASKED,       s.GRANTED,     cite="4.6"),
        Row("granted",   others["granted"], None,      cite="ours: a late grant means nothing; 9.2, H-20"),
        Row("refused",   s.ASKED,       s.REFUSED,     cite="9.1"),
        Row("ask_again", s.REFUSED,     s.ASKED,       cite="9.1: continuous retry"),
        Row("give_up",   waiting,       s.CANCELLING,  cite="9.2; ours: the wait has an end"),
        Row("hold",      s.GRANTED,     s.HELD,        cite="4.3"),
        Row("add",       s.HELD,        s.RUNNING,     cite="4.8"),
        Row("add",       s.DOOMED_HELD, s.DOOMED,      cite="ours: H-22"),
        Row("token",     s.RUNNING,     s.PREFILLED,   cite="4.9"),
        Row("token",     s.DOOMED,      s.DOOMED_PREFILLED, cite="ours: no token outlives its turn"),
        Row("sent",      s.PREFILLED,   s.COMMITTING,  cite="4.9"),
        Row("failed",    s.PREFILLED,   s.CANCELLING,  cite="9.5"),
        Row("drained",   s.DOOMED_PREFILLED, s.CANCELLING, cite="ours: H-13"),
        Row("withdrawn", s.DOOMED,      s.CANCELLING,  cite="ours: H-13"),
        Row("abort",     (s.NEW, *waiting), s.CANCELLING, cite="9.4"),
        Row("abort",     s.HELD,        s.DOOMED_HELD, cite="ours: H-22"),
        Row("abort",     s.RUNNING,     s.DOOMED if p.rules.drains_before_cancel else s.CANCELLING, cite="ours: H9, H-22"),
        Row("abort",     others["abort"], None,        cite="ours: too late for P; D hears it next"),
        Row("settled",   (s.ASKED, s.REFUSED, s.COMMITTING, s.CANCELLING), s.CLOSED, cite="ours"),
        Row("settled",   others["settled"], None,      cite="ours: a late reply"),
    ]
    # fmt: on
    if not p.rules.drains_before_cancel:
        rows.append(Row("token", [x for x in s if x not in (s.RUNNING, s.DOOMED)], None, cite="the token of a request that is gone"))
    copies, process = (*p.instances, p.request), p.engine_process
    return Machine("request", s, rows, copies=copies, passive=True, lock=p.resources, process=process, doc="P's view of a request.")


def entry_machine(p: Plane) -> Machine:
    """D's view, guarded by D's lock."""
    e = Entry
    done = (e.ENDING, e.ANSWERING, e.CLOSED, e.UNKNOWN)
    # fmt: off
    rows = [
        Row("post",     (e.UNKNOWN, e.CLOSED), e.OPEN, cite="4.1"),
        Row("reserve",  e.OPEN,      e.RESERVED,  cite="8.1"),
        Row("commit",   e.RESERVED,  e.DECODING,  cite="4.11, 8.2"),
        Row("commit",   e.UNWANTED,  e.ENDING,    cite="ours: aborted before the commit came"),
        Row("commit",   (e.DECODING, *done), None, cite="ours: sent again"),
        Row("cancel",   e.OPEN,      e.ANSWERING, cite="ours: D answers for P, H-38"),
        Row("cancel",   (e.RESERVED, e.UNWANTED), e.ENDING, cite="ours: D answers for P, H-38"),
        Row("cancel",   done,        None,        cite="ours: sent again"),
        Row("withdraw", e.OPEN,      e.ANSWERING, cite="9.4; ours: P never hears of it"),
        Row("withdraw", e.UNKNOWN,   None,        cite="ours: D has crashed since"),
        Row("abort",    e.RESERVED,  e.UNWANTED,  cite="9.4; ours: P may be writing"),
        Row("abort",    e.DECODING,  e.ENDING,    cite="9.4, H10"),
        Row("abort",    (e.OPEN, e.UNWANTED, *done), None, cite="ours: P cancels"),
        Row("finish",   e.DECODING,  e.ENDING,    cite="4.12"),
        Row("abandon",  e.OPEN,      e.ANSWERING, cite="ours: P is dead, or taken for dead; 9.7"),
        Row("abandon",  (e.RESERVED, e.UNWANTED), e.ENDING, cite="ours: P is dead, or taken for dead; 9.7"),
        Row("release",  e.ENDING,    e.ANSWERING, cite="ours: the one place where D lets go"),
        Row("answer",   e.ANSWERING, e.CLOSED if p.rules.reserves_posted else e.OPEN, cite="ours: one answer, by D"),
    ]
    # fmt: on
    copies, process = (p.decode, p.request), p.decode_process
    return Machine("entry", e, rows, copies=copies, passive=True, lock=p.decode_lock, process=process, doc="D's view of a request.")
