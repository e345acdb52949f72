"""A replay in words and in table rows: what the command prints and the page is made of."""

from __future__ import annotations

import math

from protocol.catalogue import Scenario

from .damage import Damage
from .replay import Exposure, Late, Replay, subject_of
from .world import Spectator

EXACT_NOISE = 1e-9
"""k3_kl_mean below which an engine of 32-bit floats is healthy; how far below is the machine's."""
NOTHING = {"0", "none", "-"}
"""How a comparison tells that there is nothing."""
NOBODY = "No thread waits for it: all go on polling, and none knows of it any more."
REVERTED = 50
"""The growth of k3_kl_mean that had #6680 reverted (#7791)."""


def version_of(scenario: Scenario) -> str:
    """The version, and the rule that it lacks."""
    rule = scenario.config.get("without")
    return f"{scenario.variant} without {rule}" if rule else scenario.variant


def comparison(replay: Replay) -> list[list[str]]:
    """Rows of (measure, before, after, and of k3_kl_mean how many times it has grown)."""
    before, after, narrow = replay.before, replay.after, (replay.before_bfloat16, replay.after_bfloat16)
    rows = [
        ["tokens told", f"{before.tokens}", f"{after.tokens}"],
        ["unlike the reference's greedy answer", f"{before.mismatched}", f"{after.mismatched}"],
        ["of another probability", f"{before.hit}", f"{after.hit}"],
        ["k3_kl_mean, 32-bit floats", k3_text(before), k3_text(after), _grown(before, after)],
        ["k3_kl_mean, bfloat16", *map(k3_text, narrow), _grown(*narrow)],
        ["requests that never end", _stuck(before), _stuck(after)],
        ["blocks that stay taken", _leaks(before), _leaks(after)],
        ["KV bytes written over another's", f"{before.overwritten:,}", f"{after.overwritten:,}"],
        ["KV bytes written into free blocks", f"{before.stray:,}", f"{after.stray:,}"],
    ]
    if after.distances:
        rows.append(["draws", f"{len(before.distances)}", f"{len(after.distances)}"])
        rows.append(["draws from another distribution", *(f"{sum(d > 0 for d in side.distances)}" for side in (before, after))])
        rows.append(["distance of distributions, at most", f"{max(before.distances, default=0):.2f}", f"{max(after.distances):.2f}"])
    return [[*row, ""][:4] for row in rows]


def telling(rows: list[list[str]]) -> list[list[str]]:
    """Those of a comparison in which there is anything to see."""
    return [row for row in rows if not set(row[1:3]) <= NOTHING]


def story(replay: Replay) -> list[str]:
    """What happened, a sentence each."""
    after, lines = replay.after, list[str]()
    if subject_of(replay.scenario) is Spectator:
        return [*told_without_tensors(replay.scenario), *map(_left, after.waiting)]
    if after.hit or after.mismatched:
        lines.append(
            f"{after.mismatched} of the {after.tokens} tokens told are not the reference's, and {after.hit} have another probability: "
            f"k3_kl_mean is {k3_text(after)}, {growth(replay.before, after)} times what it was; in bfloat16, "
            f"{growth(replay.before_bfloat16, replay.after_bfloat16)} times."
        )
    elif after.tokens:
        hurt = "token" if after.overwritten or after.stray else "tensor"
        lines.append(f"No {hurt} is hurt: all {after.tokens} tokens told are the reference's.")
    elif after.requests:
        lines.append("No client is told a token.")
    if any(after.distances):
        hit = sum(d > 0 for d in after.distances)
        lines.append(
            f"{hit} of {len(after.distances)} draws are made from another distribution than was asked for, at a distance of up to "
            f"{max(after.distances):.2f} (total variation)."
        )
    if after.unanswered:
        one = len(after.unanswered) == 1
        lines.append(f"{'Request' if one else 'Requests'} {_names(after.unanswered)} never {'ends' if one else 'end'}.")
        lines += [_left(line) for line in after.waiting] or [NOBODY]
    if any(after.leaked.values()):
        lines.append(f"Blocks stay taken: {_leaks(after)}.")
    if after.overwritten:
        lines.append(f"{after.overwritten:,} bytes of keys and values are written into blocks of another request.")
    if after.stray:
        lines.append(f"{after.stray:,} bytes of keys and values are written into blocks that nobody holds.")
    for what, times in noted(replay):
        lines.append(f"{what[0].upper()}{what[1:]}: {_often(times)} (in the version that holds: {_often(replay.before.noted.get(what, 0))}).")
    return lines


def _often(times: int) -> str:
    return {0: "never", 1: "once"}.get(times, f"{times} times")


def _left(waiting: str) -> str:
    """Who is left in the middle of its work; without anything to wait for it stays there for good."""
    return f"{waiting}." if " waits for " in waiting else f"{waiting}: nothing that another does lets it go on."


def noted(replay: Replay) -> list[tuple[str, int]]:
    """What handlers have noticed more or less often than in the version that holds, and how often."""
    return [(what, times) for what, times in replay.after.noted.items() if times != replay.before.noted.get(what, 0)]


def told_without_tensors(scenario: Scenario) -> list[str]:
    """What a scenario's path does where no tensor lies behind its rows: in the words of the catalogue."""
    module = scenario.build.__module__.removeprefix("protocol.machines.")
    return [f"No tensor lies behind the rows of {module}. This happens instead: {scenario.about}", _asked(scenario)]


def told_without_path(scenario: Scenario) -> list[str]:
    """What there is to say of a scenario that is answered without a path."""
    if scenario.expected == "violated":
        return [f"No schedule of {scenario.name} gets there, so there is no path to drive. {scenario.about}", _asked(scenario)]
    return [f"{_asked(scenario)} No path breaks it, so there is none to drive; `interlock hunt {scenario.name}` drives seeded schedules."]


def _asked(scenario: Scenario) -> str:
    asked = next(p for p in scenario.system().properties if p.name == scenario.property)
    return f"{'This does not hold' if scenario.expected == 'violated' else 'This holds'}: {asked.about or asked.name} ({asked.name})."


def late_story(replay: Replay, held: Late) -> str:
    """What holding the last step back does, in a sentence; "" where it hurts no token."""
    after = held.after
    if not after.hit:
        return ""
    grown, rounds = growth(replay.before_bfloat16, held.after_bfloat16), "1 round" if held.rounds == 1 else f"{held.rounds} rounds"
    return (
        f"With the last step held back for {rounds}, {after.mismatched} of the {after.tokens} tokens told are not the reference's, and "
        f"{after.hit} have another probability: k3_kl_mean is {k3_text(after)}, in bfloat16 {grown} times what it was."
    )


def damage_text(damage: Damage) -> str:
    """What is wrong, in one line; "" where nothing is."""
    told = [
        (damage.hit, f"{damage.hit} of {damage.tokens} tokens of another probability"),
        (damage.mismatched, f"{damage.mismatched} unlike the reference's"),
        (damage.unanswered, f"{_names(damage.unanswered)} never answered"),
        (any(damage.leaked.values()), f"{_leaks(damage)} kept"),
        (damage.overwritten, f"{damage.overwritten:,} bytes over another's"),
        (damage.stray, f"{damage.stray:,} bytes into free blocks"),
        (any(damage.distances), "draws from another distribution"),
        (not damage.requests and damage.waiting, "; ".join(damage.waiting)),
    ]
    return ", ".join(text for wrong, text in told if wrong)


def growth(before: Damage, after: Damage) -> str:
    """How many times k3_kl_mean has grown; of an exact engine, the order of magnitude over the noise that any machine stays below."""
    if before.k3_mean < EXACT_NOISE:
        return "1" if after.k3_mean < EXACT_NOISE else f"over 10^{int(math.log10(after.k3_mean / EXACT_NOISE))}"
    grown = after.k3_mean / before.k3_mean
    return f"{grown:,.1f}" if grown < 10 else f"{round(grown, -1):,.0f}"


def _grown(before: Damage, after: Damage) -> str:
    """For a table: the growth, where both told tokens."""
    return growth(before, after) if before.tokens and after.tokens else "-"


def is_reverted(before: Damage, after: Damage) -> bool:
    """Whether k3_kl_mean has grown as it had when #6680 was reverted."""
    return bool(before.tokens and after.tokens) and after.k3_mean >= REVERTED * before.k3_mean


def enough(replay: Replay) -> float | None:
    """The fraction of tokens that it takes to hit for that growth in a bfloat16 engine; None where no token was hit."""
    after = replay.after
    return (REVERTED - 1) * replay.before_bfloat16.k3_mean * after.hit / after.k3_sum if after.hit else None


def k3_text(damage: Damage) -> str:
    """k3_kl_mean for people: rounding noise of 32-bit floats is not told to the digit."""
    if not damage.tokens:
        return "-"
    return "below 1e-9" if damage.k3_mean < EXACT_NOISE else f"{damage.k3_mean:.2g}"


def exposure_text(exposure: Exposure) -> list[str]:
    """Cells: runs, runs with a token hit, runs with a request that never ends, fraction of tokens hit, growth in bfloat16."""
    grown = exposure.ratio_bfloat16
    factor = f"{grown:,.1f}" if grown < 10 else f"{round(grown, -1):,.0f}"
    measured = [f"{exposure.fraction:.1%}", factor] if exposure.tokens else ["no token told", "-"]
    return [f"{exposure.runs}", f"{exposure.damaged}", f"{exposure.stuck}", *measured]


def _names(requests: tuple[str, ...]) -> str:
    return " and ".join(requests) or "none"


def _stuck(damage: Damage) -> str:
    """So many of all, and which."""
    count = len(damage.unanswered)
    return f"{count} of {damage.requests} ({_names(damage.unanswered)})" if count else "none"


def _leaks(damage: Damage) -> str:
    return ", ".join(f"{count} of {name}" for name, count in damage.leaked.items() if count) or "none"
