"""Peterson's mutual exclusion: two registers of intent, one of courtesy, one access a step except the published wait."""

from enum import IntEnum

from protocol import BOOL, Index, Machine, Row, System, leads_to, me, never, register


class Process(IntEnum):
    RESTING, RAISING, YIELDING, WAITING, CRITICAL = range(5)


def build(fair: str = "weak") -> System:
    """34 states, 62 transitions, depth 9. Nobody starves under weak fairness; with fair="none" somebody may."""
    sides = Index("side", 2)
    intent = register("intent", BOOL, over=sides)
    turn = register("turn", sides)
    own, other, p = me(sides), 1 - me(sides), Process
    # fmt: off
    process = Machine("process", p, [
        Row("try_to_enter", p.RESTING,  p.RAISING,  True,                              [],                      "process", fair="none"),
        Row("raise_intent", p.RAISING,  p.YIELDING, True,                              [intent[own].set(True)], "process"),
        Row("yield_turn",   p.YIELDING, p.WAITING,  True,                              [turn.set(other)],       "process"),
        Row("enter",        p.WAITING,  p.CRITICAL, ~intent[other] | (turn == own),    [],                      "process",
            assume_atomic="the published wait looks at both registers"),
        Row("leave",        p.CRITICAL, p.RESTING,  True,                              [intent[own].set(False)], "process"),
    ], copies=sides, final=p.RESTING, fair=fair)
    # fmt: on
    exclusive = never("exclusive", (process.at(0) == p.CRITICAL) & (process.at(1) == p.CRITICAL))
    served = leads_to("no_starvation", lambda i: process.at(i) == p.RAISING, lambda i: process.at(i) == p.CRITICAL, each=sides)
    return System("peterson", [process], [exclusive, served])
