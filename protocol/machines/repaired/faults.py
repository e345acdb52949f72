"""What may go wrong beside the protocol - lost messages, crashes - and what the supervisors of P and D do about a crash.

Nothing here has to happen, but that D is started again, and that P is ended when one of its processes has died. Losses have no
budget; a crash happens once. Failed writes are a row of the sender's, and a late heartbeat is one of D's loop.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import Any

from ...combine import all_of, any_of, choice
from ...effect import each, when
from ...machine import Machine, Row
from .plane import Plane


class Faults(IntEnum):
    """The world is ..."""

    RUNNING = 0


def faults(p: Plane) -> Machine | None:
    """The fault rows that the bounds allow; None without any."""
    f, q, rows = Faults.RUNNING, choice("request", p.request), []
    if p.bounds.losses:
        t, life, may = choice("turn", p.turn), choice("life", p.life), p.is_troubled(q)
        for name in ("ask", "cancel", "commit", "refusal", "settled"):
            lose = [getattr(p, name)[q, t].receive(0)]
            rows.append(Row(f"lose_{name}", f, f, may, lose, "network", choose=(q, t), decided="observed", cite="9.3"))
        rows.append(Row("lose_grant", f, f, may, [p.grant[q, t].receive(life)], "network", choose=(q, t, life), decided="observed", cite="9.3"))
    rows += _prefill_rows(p) + _decode_rows(p)
    if not rows:
        return None
    return Machine("faults", Faults, rows, final=f, environment=True, doc="Losses, broken links, crashes.")


def _prefill_rows(p: Plane) -> list[Row]:
    """P dies: all at once, or one of its processes, and its supervisor ends the others. Then it may start again, with nothing."""
    f, r, prefill, rows = Faults.RUNNING, choice("rank", p.rank), p.prefill_process, []
    if prefill is None:
        return []
    here = tuple(choice("prefill", index) for index in p.instances)
    p = p.at(*here)
    again: list[Any] = [prefill.restart(*here), p.prefill_life.add(1)]
    if p.bounds.control:
        again += [p.rank_weights[i].set(p.weights) for i in p.rank]
    may = prefill.is_alive(*here) & (p.prefill_life < p.prefill_lives.high)
    if here and p.bounds.mortals is not None:
        may = may & (here[0] < p.bounds.mortals)
    kill = partial(Row, decided="observed", choose=here)
    if p.bounds.crash != "rank":
        rows.append(kill("crash_prefill", f, f, may, [prefill.crash(*here)], "world", cite="9.7"))
    else:
        engine = p.engine_process
        parts = [part for part in (p.worker_process, p.messager_process) if part is not None]
        assert engine is not None
        rows.append(kill("crash_engine", f, f, may & p.is_whole(), [engine.crash(*here)], "world", cite="9.7"))
        for name, part in zip(("worker", "messager"), parts):
            rows.append(kill(f"crash_{name}", f, f, may & p.is_whole(), [part.crash(*here, r)], "world", choose=(*here, r), cite="H6, 9.6"))
        if p.rules.dies_whole:
            ranks = [when(part.is_alive(*here, i), part.crash(*here, i)) for part in parts for i in p.rank]
            end = [prefill.crash(*here), when(engine.is_alive(*here), engine.crash(*here)), *ranks]
            rows.append(kill("end_prefill", f, f, prefill.is_alive(*here) & ~p.is_whole(), end, "supervisor", fair="weak", cite="ours"))
            again += [engine.restart(*here), *(part.restart(*here, i) for part in parts for i in p.rank)]
    rows.append(kill("restart_prefill", f, f, ~prefill.is_alive(*here), again, "supervisor", cite="ours: a new life"))
    return rows


def _decode_rows(p: Plane) -> list[Row]:
    """A D dies; its supervisor starts it again. With D's that share experts all die, and come back together: see `collectives/fate.py`."""
    f, d, process = Faults.RUNNING, choice("decode", p.decode), p.decode_process
    if process is None:
        return []
    lost = each(p.request, lambda i: when(p.home(i) == d, p.decode_holds[i].set(None), p.may_fail[i].set(True)))
    crash = [process.crash(d), p.decode_life[d].add(1), lost]
    may = process.is_alive(d) & (p.decode_life[d] < p.life.high)
    kill, restart = partial(Row, decided="observed", choose=(d,)), partial(Row, actor="supervisor", decided="observed", fair="weak", cite="ours")

    def again(i: Any) -> list[Any]:
        return [process.restart(i), *([p.decode_weights[i].set(p.weights)] if p.bounds.control else [])]

    rows = [kill("crash_decode", f, f, may, crash, "world", cite="9.7")]
    if not p.bounds.shares_experts:
        return [*rows, restart("restart_decode", f, f, ~process.is_alive(d), again(d), choose=(d,))]
    ends = process.is_alive(d) & any_of(p.decode, lambda i: ~process.is_alive(i))
    return [
        *rows,
        kill("end_decode", f, f, ends, crash, "supervisor", fair="weak", cite="ours: nobody can leave a collective"),
        restart("restart_decodes", f, f, all_of(p.decode, lambda i: ~process.is_alive(i)), each(p.decode, again)),
    ]
