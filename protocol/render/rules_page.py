"""The page of the repaired protocol: rule by rule, what it changes against the real versions and what comes back without it.

Made from `Rules`, `RuleNote` and the recorded scenarios of the group, so that no figure on it is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..catalogue import Scenario
from ..catalogue.repaired_asked import ASKED
from ..catalogue.repaired_bounds import BOUNDS
from ..catalogue.repaired_rules import RULES
from .table import markdown

_PREFACE = """\
One composition from the router's post to the client's answer: `protocol/machines/repaired/`. It keeps what the pull requests were
after:

- #6680: P schedules after the forward, and then everything that is ready, in one batch;
- #7724: requests are prepared in parallel, and nothing is acknowledged between registration and forward;
- #7944: P has no waiting queue, allocates nothing and preempts nobody when it schedules;
- a full D holds up no request for another D.

`interlock check --all` explores every scenario on this page but the deep ones, `interlock check --deep` these as well. No row
of the composition assumes more atomicity than its medium gives (`assume_atomic` is used nowhere).
"""

_MUTANTS = """\
Of 946 mutants of its rows (a conjunct, an effect, a lock, a move, a new state or a row dropped) at bounds that fire every row, 129 are
refused as definitions, 550 are killed by a property, 154 are equal to the protocol wherever they were tried; 113 survive and do no harm, each
with its reason in `tests/protocol/mutation.py`. None survives without one. Of 20 more that only several P have (`--several`), 8 are refused,
8 killed and 4 equal, at two P with two requests. Of 61 that only
P's prefix cache has, at its own bounds, 2 are refused, 39 killed, 16 equal, 3 survive with a reason, and one without: that the cache forgets at
`release_withdrawn` how many chunks were under way would take an eviction and a number's third turn to tell.
"""

_RULES = """\
Every rule is a field of `Rules` in [`bounds.py`](../protocol/machines/repaired/bounds.py). To take one away and look:
`interlock check protocol/machines/repaired/protocol.py:build --set without=counts_reports --set ranks=2`.
"""

_SEVERAL = """\
`prefills=2` and more (xPyD): several P share the D instances. Each P has an engine, ranks, messagers, slots, threads, locks, registers and
a barrier of its own; it dies and begins anew alone; the operator pauses all of them, and gives all of them new weights. A request has one P
and one D for good; so that every P meets every D, requests go to one P after another, and those of a P to one D after another. Nothing is
added between P and D: their messages are by request, D's watch and lives are by P, and its keys by reservation. What the P instances share
is D's room and its network card, so two things are asked beside all the rest: a P's death, or a D that is full, holds up no request of
another P (`living_prefills_serve`, `other_decodes_served`), and no P writes into room that D has lent to another
(`others_reservation_written`). A machine of P's is written as if there were one P; its copies have the P's number in front where there are
more.
"""

_OPEN = """\
"Holds" on this page is about the properties and bounds that it names. Beyond them:

- **Who knows of whose death.** P never finds out about D; it asks until somebody answers, so a D that has died is to be started again.
  D may take a living P for dead, for any request at any time (`suspicions`): revoking the key makes that harmless. The router sees
  that its connection to a D is broken, and is never wrong in that.
- **The card of D decides about a write,** packet by packet, by the key; revoking a key returns when what was let in has landed; and what
  it acknowledges D sees. So one row writes a layer, or finds the key revoked. A copy that no card watches needs a lock for that (the
  engine has one: [`fence.py`](../engine/disaggregated/fence.py)).
- **P's cache outlives its workers** until P is ended: a messager whose worker has died goes on reading it.
- **P's prefix cache,** at the bounds called *cache*: a chunk is a block, and prompts of one prefix differ in their last chunk alone, which is
  never shared. Blocks have no numbers: one that has users stays what it is. Which of those without users is evicted is anybody's choice.
- **The router does not die,** and with it no client's request is lost.
- **Forwards end on the host** (EW-SYNC) at all bounds but those called *launched*: a rank is out of its forward when its layers are
  written. There (EW-ASYNC) the loop goes on while kernels are in the device's queue, and `speaks_in_stream` is what keeps the protocol right.
- **An abort reaches P before D,** one after the other, or D alone while P does not know the request. No property rests on P hearing of it.
- **Tables are by request, not by slot.** What a slot is to the real tables, the number of a request is here: it is used again (`turns`), and
  hazards of what is left behind under it (H-05, H-06) come back by it. The cursor comes back with the abort that moves it (H17, H-10).
- **D's own tensor-parallel ranks** are one worker here. That gate and ranks of the group `forward-signal` do what this worker takes for one
  step is shown in the group [decode-ranks](catalogue.md#decode-ranks), for ranks that one D has to itself, and for those of D's that share their
  experts, in rounds of all of them, in [decode-rounds](catalogue.md#decode-rounds). What the end of one of these does to the others is in
  *crash-of-decodes* and, rank by rank, in [collectives](catalogue.md#collectives).
- **Both at once:** two requests with all faults are beyond the memory of the machine that this was explored on. Split in two, P's
  properties and D's hold there, and what P brings about by itself (group [repaired-halves](catalogue.md#repaired-halves)); what needs
  both sides to end is not shown. In the whole, two requests end where writes fail, where P gives up waiting, where D takes P for dead, or where
  messages are repeated, one of these at a time.
- **Two P's in trouble at once** with lost messages or suspicions are as large as the product of both. Explored is one in trouble beside one
  that is not (`troubled=1`); two with failed writes, aborts, crashes; and both suspected by a D without room. Two D's are explored where one is full.
"""

_ELSEWHERE = """\
Asked in other groups, because it concerns machines that this composition does not have: CH-P1 (the senders'
meetings: here senders do not meet), EW-P13 (rounds of the data-parallel instances), EW-P15 (shutdown). A messager that comes back
while P goes on is in the group [network](catalogue.md): here all of P ends with it.
"""


def repaired_page(scenarios: Iterable[Scenario], generated: str) -> str:
    """The page as Markdown; `generated` is the line that says so."""
    mine = [s for s in scenarios if s.group == "repaired"]
    whole = [s for s in mine if "without" not in s.config]
    parts = ["# The repaired protocol\n", generated, _PREFACE, "## Rules\n", _RULES]
    for rule, note in RULES.items():
        left_out = [s for s in mine if s.config.get("without") == rule]
        parts += [
            f"### {rule}\n",
            f"{note.says}\n",
            f"- **Instead:** {note.instead}",
            f"- **Removes:** {', '.join(_to(number) for number in note.hazards)}",
            f"- **Without it:** {note.then} " + "; ".join(_broken(s) for s in left_out) + "\n",
        ]
    parts += ["## Several prefill instances\n", _SEVERAL, "## What is assumed\n", _OPEN]
    parts += ["## What holds\n", _kept_table(whole), _ELSEWHERE, "## At which bounds\n", _bounds_table(whole)]
    parts += ["## Whether every row is needed\n", _MUTANTS]
    return "\n".join(parts)


def _broken(scenario: Scenario) -> str:
    steps = f" in {scenario.path_length} steps" if scenario.path_length else ""
    return f"`{scenario.property}` is violated{steps} ([`{scenario.name}`](machines/{scenario.group}-scenarios.md#{scenario.name}))"


def _to(source: str) -> str:
    """A hazard's place in the catalogue; a pull request is only named."""
    return source if source.startswith("#") else f"[{source}](catalogue.md#{source.lower()})"


def _kept_table(scenarios: list[Scenario]) -> str:
    rows = []
    for asked, says in ASKED.items():
        named = [_bounds_of(s) + (" (deep)" if s.deep else "") for s in scenarios if s.property == asked]
        rows.append((f"`{asked}`", says, ", ".join(named)))
    return markdown(("property", "says", "explored at"), rows)


def _bounds_table(scenarios: list[Scenario]) -> str:
    rows = []
    for name, config in BOUNDS.items():
        counts = [s.distinct or 0 for s in scenarios if _bounds_of(s) == name]
        if counts:
            settings = ", ".join(f"{key}={value}" for key, value in config.items())
            rows.append((name, settings, str(len(counts)), f"{max(counts):,}"))
    return markdown(("bounds", "settings", "properties", "most states"), rows)


def _bounds_of(scenario: Scenario) -> str:
    return next(name for name, config in BOUNDS.items() if config == scenario.config)
