"""The command as its users meet it: exit codes, one-line errors, JSON, and files that are written whole or not at all."""

import io
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import command.check as check_command
from interlock import main
from protocol.catalogue import hazards, scenarios
from protocol.catalogue.target import Target
from protocol.render import FORMATS
from protocol.render.names import VERSIONS

COMMIT = f"{Path(__file__).parent}/reference/two_phase_commit.py:build"
DINING = f"{Path(__file__).parent}/reference/dining.py:build"
FIELDS = "name property verdict expected distinct generated depth seconds distinct_per_s path_length path".split()


@pytest.fixture
def interlock(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # noqa: ANN201
    """Run the command in this process; returns (exit code, standard output, standard error)."""
    monkeypatch.delenv("COLUMNS", raising=False)  # where tests run two at a time, it is set

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["interlock", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return command


def user_file(folder: Path, text: str) -> str:
    path = folder / "mine.py"
    path.write_text(text)
    return f"{path}:build"


def test_check_of_a_holding_file_exits_0_and_writes_json(interlock) -> None:  # noqa: ANN001
    code, out, _ = interlock("check", COMMIT, "--set", "resource_managers=4", "--json", "-")
    records = json.loads(out)
    assert code == 0
    assert {r["property"] for r in records} == {"consistent", "deadlock"}
    assert all(set(FIELDS) <= set(r) for r in records)
    assert [(r["verdict"], r["distinct"], r["generated"], r["depth"]) for r in records] == [("holds", 1568, 8258, 13)] * 2


def test_check_of_a_violated_file_exits_1_with_the_shortest_path(interlock, tmp_path: Path) -> None:  # noqa: ANN001
    trace = tmp_path / "dead.itf.json"
    code, out, _ = interlock("check", DINING, "--set", "philosophers=3", "--json", "-", "--trace", trace)
    deadlock = next(r for r in json.loads(out) if r["property"] == "deadlock")
    assert (code, deadlock["verdict"], deadlock["path_length"], deadlock["distinct"]) == (1, "violated", 3, 14)
    assert len(deadlock["path"]) == 3
    code, out, _ = interlock("explain", trace)
    assert code == 0
    assert all(part in out for step in deadlock["path"] for part in step.split("."))


def test_a_budget_that_runs_out_exits_3(interlock) -> None:  # noqa: ANN001
    code, out, _ = interlock("check", COMMIT, "--set", "resource_managers=6", "--max-states", "1000", "--json", "-")
    assert code == 3
    assert {r["verdict"] for r in json.loads(out)} == {"inconclusive"}


@pytest.mark.parametrize("explorer", ["table", "reference"])
def test_both_explorers_answer_alike(interlock, explorer: str) -> None:  # noqa: ANN001
    code, out, _ = interlock("check", COMMIT, "--explorer", explorer, "--json", "-")
    assert code == 0
    assert {(r["distinct"], r["generated"], r["depth"]) for r in json.loads(out)} == {(288, 1146, 10)}


BAD_FILES = {
    "def build(): raise ValueError('no ranks')": "mine.py:1: the builder raised ValueError: no ranks",
    "def build(): return 3": "returned int, not a System",
    "def other(): pass": "has no function 'build'; it has other",
    "import nothing_of_that_name": "mine.py:1: ModuleNotFoundError",
    "def build(:": "mine.py:1: SyntaxError",
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_a_bad_file_is_one_line_and_exit_2(interlock, tmp_path: Path, text: str) -> None:  # noqa: ANN001
    code, out, err = interlock("check", user_file(tmp_path, text + "\n"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert BAD_FILES[text] in err


BAD_WORDS = {
    ("check",): "name scenarios, or give --all",
    ("check", "early-zero"): "no scenario 'early-zero'; did you mean",
    ("check", "no/such/file.py:build"): "there is no such file",
    ("check", COMMIT, "--set", "ranks=3"): "no argument 'ranks'; it has resource_managers",
    ("check", COMMIT, "--set", "resource_managers=many"): "takes a whole number",
    ("check", COMMIT, "--set", "resource_managers"): "write key=value",
    ("diagram", COMMIT, "-o", "picture.bmp"): "ends in .mmd, .dot, .svg, .html or .md",
    ("explain", "no-such-trace.json"): "No such file",
    ("show", "h18"): "there is no hazard 'h18'; did you mean H18 (get_requests skips a request for ever (T1))",
    ("show", "H-99"): "there is no hazard 'H-99'",
    ("show", "#1234"): "no scenario cites #1234",
    ("show", "H18", "--set", "ranks=3"): "takes no --set",
    ("show", "no-such-word"): "there is no scenario 'no-such-word'",
    ("hunt", "H1"): "H1 is a hazard and no scenario; `interlock show H1` lists its scenarios",
    ("replay", "no-such-trace.itf.json"): "no-such-trace.itf.json: No such file",
    ("check", COMMIT, "--explorer", "reference", "--workers", "2"): "--workers 2: the reference explorer has one thread",
    ("run", "--workload", "no-such-trace.jsonl"): "no-such-trace.jsonl",
}


@pytest.mark.parametrize("words", BAD_WORDS, ids=lambda w: " ".join(x.rsplit("/", 1)[-1] for x in w))
def test_bad_words_are_one_line_and_exit_2(interlock, words: tuple[str, ...]) -> None:  # noqa: ANN001
    code, out, err = interlock(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert BAD_WORDS[words] in err


@pytest.mark.parametrize(
    ("package", "module", "extra", "words"),
    [("httpx", "engine.load.http", "load", ("run", "--url", "http://127.0.0.1:9")), ("uvicorn", "engine.server.serve", "server", ("serve",))],
)
def test_a_missing_extra_is_one_line_with_its_name(
    interlock,  # noqa: ANN001
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    module: str,
    extra: str,
    words: tuple[str, ...],
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    assert interlock(*words) == (2, "", f"interlock: the package {package} is missing; install interlock[{extra}]\n")


def test_a_word_shows_what_speaks_of_it(interlock) -> None:  # noqa: ANN001
    code, out, _ = interlock("show", "TOP_P_LIST")
    assert "hazards  " not in out, "a column that is empty takes no room"
    assert code == 0 and "Nothing is called 'TOP_P_LIST'" in out and "buffers-list-differs-in-stale" in out
    assert "more; `interlock list` has all" in interlock("show", "barrier")[1]


def test_a_hazard_says_what_its_versions_are(interlock) -> None:  # noqa: ANN001
    _, out, _ = interlock("show", "H-01")
    assert all(f"\n{name}: {VERSIONS[name]}"[:60] in out for name in ("E0", "E1", "E2", "E3a", "repaired")) and "\nE3b: " not in out


# fmt: off
WRONG_FLAGS = {
    "run --limit 0":             ("--limit", "interlock run"),
    "run --scale much":          ("--scale", "interlock run"),
    "check --no-such-option":    ("--no-such-option", "interlock check"),
    "check --workers":           ("--workers", "interlock"),
    "serve --port 70000":        ("--port", "interlock serve"),
    "hunt --policy mine":        ("random", "interlock hunt"),
    "replay --rough -1":         ("--rough", "interlock replay"),
    "experts --dp 0":            ("--dp", "interlock experts"),
    "export NAME --to pdf":      ("promela", "interlock export"),
    "show":                      ("NAME", "interlock show"),
    "explain one.json two.json": ("two.json", "interlock explain"),
    "model fetsh":               ("'fetsh'", "interlock model"),
    "chek":                      ("'check'", "interlock"),
}
# fmt: on


@pytest.mark.parametrize("line", WRONG_FLAGS)
def test_wrong_flags_are_one_line_that_says_where_help_is_and_exit_2(interlock, line: str) -> None:  # noqa: ANN001
    named, command = WRONG_FLAGS[line]
    code, out, err = interlock(*line.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("interlock: ") and named in err and err.endswith(f"(see {command} --help)\n")


@pytest.mark.parametrize("words", [[], ["model"]])
def test_without_a_word_a_command_of_commands_tells_them(interlock, words: list[str]) -> None:  # noqa: ANN001
    code, out, err = interlock(*words)
    assert (code, out) == (2, "") and err.startswith(f"Usage: {' '.join(['interlock', *words])} [OPTIONS] COMMAND") and "Commands:" in err


@pytest.mark.parametrize("target", ["/dev/full", "missing-folder/trace.json", "."])
def test_a_trace_that_cannot_be_written_exits_2_and_leaves_nothing(interlock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:  # noqa: ANN001
    monkeypatch.chdir(tmp_path)
    code, _, err = interlock("check", DINING, "--set", "philosophers=3", "--trace", target)
    assert (code, err.count("\n")) == (2, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("check", "--all", "--trace", "missing-folder/trace.json"),
        ("check", "--all", "--json", "."),
        ("replay", "--all", "-o", "missing-folder/damage.md"),
        ("run", "--json", "missing-folder/result.json"),
        ("diagram", COMMIT, "-o", "missing-folder/picture.svg"),
        ("conform", "no-such-log", "--json", "."),
        ("hunt", "--without", "fences_writes", "--json", "missing-folder/tally.json"),
        ("run", "--lockstep", "--record", "missing-folder/choices.json"),
        ("export", COMMIT, "--to", "promela", "-o", "missing-folder/model.pml"),
    ],
    ids=lambda words: " ".join(words[:3]),
)
def test_a_target_is_refused_before_the_work(interlock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:  # noqa: ANN001
    """Which takes minutes with each of these."""
    monkeypatch.chdir(tmp_path)
    code, out, err = interlock(*words)
    assert (code, out, err.count("\n")) == (2, "", 1) and "no file can be written there" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("list",), ("show", "H1"), ("export", COMMIT, "--to", "promela")], ids=lambda words: words[0])
def test_a_reader_who_leaves_is_no_violation(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    """`interlock list | head -1`; 141 is what the shell tells of a command that the closed pipe has ended."""
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(sys, "argv", ["interlock", *words])
    with open(writer, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(SystemExit) as stopped:
            main()
    assert stopped.value.code == 141


def test_a_terminal_without_arrows_gets_the_text(interlock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN001
    trace = tmp_path / "dead.itf.json"
    interlock("check", DINING, "--set", "philosophers=3", "--trace", trace)
    told = io.BytesIO()
    monkeypatch.setattr(sys, "argv", ["interlock", "explain", str(trace)])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(told, encoding="ascii"))
    assert not pytest.raises(SystemExit, main).value.code
    assert b"? Violated after 3 steps." in told.getvalue()


@pytest.mark.parametrize("words", [("show", "H1"), ("check", COMMIT), ("show", "#6085")], ids=" ".join)
def test_a_narrow_terminal_cuts_nothing_off(interlock, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:  # noqa: ANN001
    """Names that are longer than a line go on in the next; nothing is shortened to dots."""
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = interlock(*words)
    assert "…" not in out and len(out.splitlines()) > 3


@pytest.mark.parametrize("content", ["{", "[]", '{"#meta": {}}'])
def test_a_foreign_trace_exits_2(interlock, tmp_path: Path, content: str) -> None:  # noqa: ANN001
    path = tmp_path / "trace.json"
    path.write_text(content)
    code, _, err = interlock("explain", path)
    assert (code, err.count("\n")) == (2, 1)
    assert "trace.json" in err


@pytest.mark.parametrize("suffix", FORMATS)
def test_diagrams_are_written(interlock, tmp_path: Path, suffix: str) -> None:  # noqa: ANN001
    path = tmp_path / f"picture.{suffix}"
    assert interlock("diagram", COMMIT, "-o", path)[0] == 0
    assert "receive_prepared" in path.read_text()


def test_export_prints_promela(interlock) -> None:  # noqa: ANN001
    code, out, _ = interlock("export", COMMIT, "--to", "promela")
    assert code == 0
    assert "d_step" in out


def test_list_names_source_and_recorded_answer_of_every_scenario(interlock, tmp_path: Path) -> None:  # noqa: ANN001
    path = tmp_path / "list.json"
    code, out, _ = interlock("list", "--json", path)
    entries = json.loads(path.read_text())
    assert code == 0
    for entry in entries:
        assert entry["name"] in out
        assert entry["sources"] and entry["variant"] and entry["property"]
        assert entry["expected"] in ("holds", "violated")
        assert entry["distinct"] > 0
        assert set(entry["hazards"] + entry["pulls"]) <= set(entry["sources"])


def test_list_puts_every_scenario_under_its_first_pull_request_with_its_hazards(interlock) -> None:  # noqa: ANN001
    _, out, _ = interlock("list")
    heads = [*(m for m in re.finditer(r"^(#\d+|beside the pull requests)(?:: .*)?$", out, re.M))]
    sections = {m[1]: out[m.start() : after.start() if after else None] for m, after in zip(heads, [*heads[1:], None])}
    assert list(sections)[:-1] == sorted(list(sections)[:-1], key=lambda p: int(p[1:]))
    assert "intake-mutex-kept-in-vain-in-t2" in sections["#7791"] and re.search(r"^ *H19 +get_requests counts", sections["#7791"], re.M)
    assert "intake-third-request-skipped-in-t1" in sections["beside the pull requests"]
    assert sum(section.count("\nintake-mutex-kept-in-vain-in-t2 ") for section in sections.values()) == 1


def test_show_of_a_hazard_tells_it_whole(interlock) -> None:  # noqa: ANN001
    code, out, _ = interlock("show", "H18")
    text = " ".join(out.split())
    hazard = hazards()["H18"]
    assert code == 0
    assert all(part in text for part in (f"H18: {hazard.title}", hazard.about, f"The facts: {hazard.claim}", f"The model: {hazard.finding}"))
    assert re.search(r"T1 +violated +\d of \d +batching", out) and re.search(r"T2 +holds +\d +batching", out)
    assert out.index("T1 ") < out.index("Violated after") < out.index("Further counterexamples: ")
    assert re.search(r"arrivals +put_last", out)


def test_show_of_a_pull_request_lists_hazards_and_scenarios(interlock) -> None:  # noqa: ANN001
    for name in ("#7791", "7791"):
        code, out, _ = interlock("show", name)
        assert code == 0 and out.startswith("#7791: reverts #6680\n")
        assert re.search(r"^ *H19 ", out, re.M) and not re.search(r"^ *H1 ", out, re.M)
        assert all(s.name in out for s in scenarios().values() if "#7791" in s.sources)


def test_show_of_a_scenario_tells_it_and_its_path(interlock) -> None:  # noqa: ANN001
    code, out, _ = interlock("show", "buffers-missing-file-loaded-in-published")
    assert code == 0 and "Violated after 2 steps" in out and "load_missing" in out


def test_the_whole_catalogue_is_as_recorded(interlock) -> None:  # noqa: ANN001
    code, out, err = interlock("check", "--all")
    assert (code, err) == (0, "")
    assert "scenarios" in out.splitlines()[-1]


def test_a_count_that_differs_from_the_record_is_told_and_exits_1(interlock, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN001
    kept = next(iter(scenarios().values()))
    changed = {kept.name: replace(kept, distinct=7)}
    monkeypatch.setattr("protocol.catalogue.scenarios", lambda: changed)
    monkeypatch.setattr("protocol.catalogue._named", lambda group: changed)
    code, _, err = interlock("check", "--all")
    assert code == 1
    assert f"not as recorded: {kept.name}: distinct is {kept.distinct}, recorded 7" in err


def few(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the catalogue be three small scenarios; their names."""
    kept = {s.name: s for s in scenarios().values() if 1 < (s.distinct or 0) < 300}
    kept = {name: kept[name] for name in list(kept)[:3]}
    monkeypatch.setattr("protocol.catalogue.scenarios", lambda: kept)
    return list(kept)


@pytest.mark.parametrize(("error", "told"), [(MemoryError("8 GB"), "out of memory"), (RuntimeError("what"), "a fault of interlock itself")])
def test_what_goes_wrong_inside_is_no_answer(interlock, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str) -> None:  # noqa: ANN001
    """1 would say that a property is violated."""

    def wrong(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(check_command, "explore", wrong)
    code, out, err = interlock("check", few(monkeypatch)[0])
    assert code == 3 and out == "" and told in err


def test_a_catalogue_that_a_budget_stops_is_no_success(interlock, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN001
    names = few(monkeypatch)
    code, out, err = interlock("check", "--deep", "--max-states", 1)
    assert code == 3 and "3 scenarios, 0 as recorded" in out
    assert all(f"not as recorded: {name}: verdict is inconclusive" in err for name in names)


def test_a_process_of_the_catalogue_that_is_killed_leaves_its_scenarios_unanswered(interlock, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN001
    few(monkeypatch)
    monkeypatch.setattr("checker.batch.answered", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    code, out, err = interlock("check", "--all")
    assert code == 3 and "3 scenarios, 0 as recorded" in out and "a process that checked was killed" in err


def test_the_catalogue_in_processes_that_is_stopped_tells_what_is_answered(interlock, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN001
    few(monkeypatch)
    answers = check_command.answers

    def stopped(names: list[str]) -> Iterator:
        for answer in answers(names):
            yield answer
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(check_command, "answers", stopped)
    code, out, err = interlock("check", "--all")
    assert code == 3 and "stopped after 1 of 3 scenarios" in err and "3 scenarios, 1 as recorded" in out


def test_the_catalogue_takes_the_processors_that_it_may_use(interlock, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN001
    """Those of the container or of `taskset`, and not those of the machine."""
    few(monkeypatch)
    taken: list[int] = []

    class Pool(ProcessPoolExecutor):
        def __init__(self, processes: int, **options: object):
            taken.append(processes)
            super().__init__(processes, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("command.catalogue.ProcessPoolExecutor", Pool)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert interlock("check", "--all")[0] == 0 and taken == [1]


def test_a_catalogue_that_is_killed_tells_what_is_answered_and_is_no_success(interlock, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN001
    names = few(monkeypatch)
    explore = check_command.explore

    def killed(target: Target, *arguments: object, **options: object) -> object:
        if target.name == names[1]:
            os.kill(os.getpid(), signal.SIGTERM)
        return explore(target, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(check_command, "explore", killed)
    code, out, err = interlock("check", "--deep")
    assert code == 3 and names[0] in out and names[2] not in out
    assert "stopped after 1 of 3 scenarios; the others are not answered" in err and "3 scenarios, 1 as recorded" in out
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_long_scenario_of_the_deep_catalogue_is_told_when_it_ends(interlock, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN001
    names = few(monkeypatch)
    monkeypatch.setattr(check_command, "LONG_S", 0)
    code, _, err = interlock("check", "--deep")
    assert code == 0
    assert [line.split(": ")[:2] for line in err.splitlines()] == [[f"{k} of 3", name] for k, name in enumerate(names, 1)]
    assert all(line.endswith("as recorded") for line in err.splitlines())


def test_a_reduced_check_tells_what_is_interchangeable(interlock) -> None:  # noqa: ANN001
    code, out, _ = interlock("check", COMMIT, "--set", "resource_managers=3", "--reduce")
    assert code == 0 and ": rm: 0, 1 and 2 are interchangeable" in out
    code, out, _ = interlock("check", COMMIT, "--set", "resource_managers=3", "--reduce", "--json", "-")
    assert json.loads(out)[0]["notes"] == ["rm: 0, 1 and 2 are interchangeable"] and json.loads(out)[0]["distinct"] == 80


@pytest.mark.parametrize("hazard", ["H1", "H2", "H-01", "H-03", "H-04", "H-06"])
def test_the_catalogue_finds_each_hazard_and_where_it_is_mended(interlock, tmp_path: Path, hazard: str) -> None:  # noqa: ANN001
    path = tmp_path / "list.json"
    interlock("list", "--json", path)
    verdicts = {e["expected"] for e in json.loads(path.read_text()) if hazard in e["sources"]}
    assert verdicts == {"holds", "violated"}
