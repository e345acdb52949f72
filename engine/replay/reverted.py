"""The first question of docs/damage.md: which hazards raise k3_kl_mean as far as it had risen when #6680 was reverted?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .chosen import CHOSEN, title_of
from .damage import Damage
from .markdown import link, links, markdown, prose
from .replay import Exposure, Late, Replay
from .report import REVERTED, enough, growth, is_reverted, k3_text

Measured = tuple[Mapping[str, Replay], Mapping[str, Late], Mapping[str, Exposure]]
"""By scenario: the replay of its path, what a late last step does where the path alone hits no token, and what rough schedules do."""


@dataclass(frozen=True)
class Worst:
    """The scenario of a hazard that raises k3 most: along its path, or with its last step late; both engines. `least`: see `enough`."""

    grown: float
    before: Damage
    after: Damage
    before_bfloat16: Damage
    after_bfloat16: Damage
    least: float | None
    is_late: bool

    @classmethod
    def of(cls, number: str, measured: Measured) -> Worst:
        """Of all that was measured of the hazard."""
        replays, lates, _ = measured
        found = []
        for name in CHOSEN[number]:
            one = replays[name]
            afters = [(one.after, one.after_bfloat16, enough(one), False)]
            if name in lates:
                afters.append((lates[name].after, lates[name].after_bfloat16, None, True))
            for after, narrow, least, is_late in afters:
                grown = narrow.k3_mean / one.before_bfloat16.k3_mean if one.before_bfloat16.k3_mean and narrow.tokens else 0.0
                found.append(cls(grown, one.before, after, one.before_bfloat16, narrow, least, is_late))
        return max(found, key=lambda one: (one.reaches, one.grown))

    @property
    def reaches(self) -> bool:
        """Whether k3 grows so far in a bfloat16 engine."""
        return bool(self.after.hit) and is_reverted(self.before_bfloat16, self.after_bfloat16)


def answer(measured: Measured) -> str:
    """Words, and a row for each hazard that reaches it, those first that raise it most."""
    worst = {number: Worst.of(number, measured) for number in CHOSEN}
    rough = [n for n in CHOSEN if _most(n, measured).ratio_bfloat16 >= REVERTED]
    along = sorted((n for n in CHOSEN if worst[n].reaches), key=lambda n: (worst[n].is_late, -worst[n].grown))
    late = [n for n in along if worst[n].is_late]
    never = [n for n in CHOSEN if n not in along and n not in rough and any(measured[0][name].after.requests for name in CHOSEN[n])]
    fractions = [worst[n].least or 0.0 for n in along if n not in late]
    head = ["hazard", "what happens", "tokens hit", "32-bit floats", "bfloat16", "enough", "under seeded schedules"]
    rows = [[link(n), title_of(n), *_cells(worst[n]), _under(_most(n, measured))] for n in along]
    rows += [[link(n), title_of(n), *["-"] * 4, _under(_most(n, measured))] for n in rough if n not in along]
    return "\n\n".join([_head(along, late, never, fractions, rough), _legend(), markdown(head, rows)])


def _head(along: Sequence[str], late: Sequence[str], never: Sequence[str], fractions: Sequence[float], rough: Sequence[str]) -> str:
    text = prose(
        f"{REVERTED} times is the figure that had #6680 reverted (#7791). **H1, the race of #6680 itself, does not: it hurts no tensor.** Instead",
        "a batch is decided one forward early, and who comes too late for it waits for the next.",
        f"{len(along)} others do, along their shortest path{f' ({links(late)}: when its last step comes late)' if late else ''}: against an",
        "exact engine by many orders of magnitude, which says little, and against a bfloat16 engine by the factors below. There it is enough that",
        f"{min(fractions, default=0):.1%} to {max(fractions, default=0):.1%} of all tokens are hit as hard.",
        f"Seeded schedules reach it without any path by {links(rough)}.",
    )
    others = prose(f"Not reached, neither along the path nor by a schedule, by {links(never)}: they cost requests, blocks or time (see below).")
    return f"## Which of them raise k3_kl_mean {REVERTED} times?\n\n{text}\n\n{others}"


def _legend() -> str:
    return prose(
        "*32-bit floats*, *bfloat16*: k3_kl_mean along the path, and how many times that of the version that holds it is.",
        "*Tokens hit*: of those told along the path. *Enough*: the fraction of all tokens that must be hit as hard for that factor in a bfloat16",
        "engine. *Under seeded schedules*: the fraction of all tokens hit, in so many of the runs, and the factor in bfloat16.",
    )


def _cells(worst: Worst) -> list[str]:
    after, late = worst.after, ", late" if worst.is_late else ""
    exact = f"{k3_text(after)}: {growth(worst.before, after)} times"
    narrow = f"{k3_text(worst.before_bfloat16)} to {k3_text(worst.after_bfloat16)}: **{growth(worst.before_bfloat16, worst.after_bfloat16)} times**"
    return [f"{after.hit} of {after.tokens}{late}", exact, narrow, "-" if worst.least is None else f"{worst.least:.1%}"]


def _most(number: str, measured: Measured) -> Exposure:
    return max((measured[2][name] for name in CHOSEN[number]), key=lambda one: (one.ratio_bfloat16, one.fraction))


def _under(exposure: Exposure) -> str:
    if not exposure.damaged:
        return f"none in {exposure.runs} runs"
    return f"{exposure.fraction:.1%} ({exposure.damaged} of {exposure.runs} runs): {round(exposure.ratio_bfloat16, -1):,.0f} times"
