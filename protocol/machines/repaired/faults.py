"""What may go wrong beside the protocol: lost messages, a broken link, a crash.

Unfair: nothing here has to happen. Losses have no budget; a crash happens once, and so does the break of each link. When a
rank of P dies, its supervisor ends all of P at once: to the others that is a crash of P.
"""

from __future__ import annotations

from enum import IntEnum

from ...combine import all_of, choice
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
        t, life = choice("turn", p.turn), choice("life", p.life)
        for name in ("ask", "cancel", "commit", "refusal", "settled"):
            lose = [getattr(p, name)[q, t].receive(0)]
            rows.append(Row(f"lose_{name}", f, f, True, lose, "network", choose=(q, t), decided="observed", cite="9.3"))
        rows.append(Row("lose_grant", f, f, True, [p.grant[q, t].receive(life)], "network", choose=(q, t, life), decided="observed", cite="9.3"))
    if p.bounds.errors:
        r = choice("rank", p.rank)
        rows.append(Row("break_link", f, f, p.link_up[r], [p.link_up[r].set(False)], "network", choose=(r,), decided="observed", cite="9.5"))
    if p.prefill_process is not None:
        rows.append(Row("crash_prefill", f, f, p.prefill_process.is_alive(), [p.prefill_process.crash()], "world", decided="observed", cite="9.7"))
    if p.rank_process is not None:
        r = choice("rank", p.rank)
        alive = all_of(p.rank, p.rank_process.is_alive)
        rows.append(Row("crash_rank", f, f, alive, [p.rank_process.crash(r)], "world", choose=(r,), decided="observed", cite="H6, 9.6"))
    if p.decode_process is not None:
        d = choice("decode", p.decode)
        process = p.decode_process
        lost = each(p.request, lambda i: when(p.home(i) == d, p.decode_holds[i].set(False)))
        crash = [process.crash(d), p.decode_life[d].add(1), lost]
        may = process.is_alive(d) & (p.decode_life[d] == 0)
        rows.append(Row("crash_decode", f, f, may, crash, "world", choose=(d,), decided="observed", cite="9.7"))
        rows.append(Row("restart_decode", f, f, ~process.is_alive(d), [process.restart(d)], "world", choose=(d,), decided="observed", cite="ours"))
    if not rows:
        return None
    return Machine("faults", Faults, rows, final=f, environment=True, doc="Losses, broken links, crashes.")
