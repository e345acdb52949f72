"""`interlock run` from the outside: its table, its files, its errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from interlock import main

ROOT = Path(__file__).resolve().parents[2]
MOONCAKE = '{"timestamp": 0, "input_length": 50, "output_length": 3, "hash_ids": [0]}\n'

pytestmark = pytest.mark.live


def interlock(*words: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "interlock.py"), "run", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder)


def test_a_run_prints_its_latencies_and_writes_its_log(tmp_path: Path) -> None:
    (tmp_path / "trace").write_text(MOONCAKE * 6)
    files = ("--log", tmp_path / "log", "--json", tmp_path / "report", "--timeline", tmp_path / "timeline")
    done = interlock("--prefill", "0", "--workload", tmp_path / "trace", "--limit", "4", "--speed", "100", *files)
    assert (done.returncode, done.stderr) == (0, "")
    for text in (f"{'Successful requests:':<40} 4 ", "Mean TTFT (ms):", "Median E2EL (ms):", "P90 ITL (ms):", "P99 TPOT (ms):"):
        assert text in done.stdout
    report = json.loads((tmp_path / "report").read_text())
    assert (report["completed"], report["total_output_tokens"], report["seed"]) == (4, 12, None)
    assert len((tmp_path / "log").read_text().splitlines()[:-1]) == report["rows_fired"]
    assert sum(event["ph"] == "X" for event in json.loads((tmp_path / "timeline").read_text())["traceEvents"]) == report["rows_fired"]


def test_the_processes_import_nothing_from_the_working_folder(tmp_path: Path) -> None:
    for name in ("protocol", "engine", "random"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    done = interlock("--prefill", "0", "--limit", "2", "--speed", "100", "--log", "log", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_generators_seed_is_reported(tmp_path: Path) -> None:
    done = interlock(
        "--prefill", "0", "--limit", "2", "--seed", "5", "--request-rate", "1000", "--speed", "100", "--log", tmp_path / "log", "--json", "-"
    )
    assert json.loads(done.stdout)["seed"] == 5


def test_the_monolithic_engine_is_measured_in_the_same_table() -> None:
    words = ("--monolithic", "--limit", "6", "--rounds", "2", "--input-len", "9", "--output-len", "4", "--concurrency", "2")
    done = interlock(*words, "--goodput", "e2el:60000", "--percentile-metrics", "ttft", "--metric-percentiles", "50")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    for label, value in (("Successful requests:", "6"), ("Maximum request concurrency:", "2"), ("Total input tokens:", f"{3 * (9 + 9 + 4 + 9)}")):
        assert f"{label:<40} {value:<10}" in lines
    assert any(line.startswith("Request goodput (req/s):") for line in lines)
    assert [line.split(":")[0] for line in lines if "(ms):" in line] == ["Mean TTFT (ms)", "Median TTFT (ms)", "P50 TTFT (ms)"]


def test_the_disaggregated_engine_leaves_a_log_and_a_timeline(tmp_path: Path) -> None:
    words = ("--limit", "3", "--input-len", "9", "--output-len", "4", "--tp", "1")
    done = interlock(*words, "--log", tmp_path / "log.ndjson", "--timeline", tmp_path / "timeline", "--json", tmp_path / "report")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads((tmp_path / "report").read_text())
    assert (report["completed"], report["total_output_tokens"], report["prefill"], report["decode"]) == (3, 12, 1, 1)
    rows = (tmp_path / "log.ndjson").read_text().splitlines()[:-1]
    events = json.loads((tmp_path / "timeline").read_text())["traceEvents"]
    assert len(rows) == report["rows_fired"] == sum(event["ph"] == "X" for event in events)
    assert sum(event["ph"] == "s" for event in events) == 3, "a flow for each request"


def test_what_fails_is_told_and_is_the_exit_code() -> None:
    done = interlock("--monolithic", "--limit", "2", "--input-len", "90", "--max-model-len", "50", "--percentile-metrics", "ttft")
    assert done.returncode == 1 and f"{'Failed requests:':<40} 2 " in done.stdout
    assert done.stderr.splitlines()[0].startswith("request 0 failed: ") and "context" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--workload", "trace"), "trace:2: not JSON"),
        (("--workload", "absent"), "absent: No such file or directory; give a request trace"),
        (("--limit", "2", "--log", "absent/log"), "absent/log: no file can be written there; choose a file"),
        (("--limit", "2", "--prefill", "0", "--log", "absent/log"), "absent/log: no file can be written there; choose a file"),
        (("--url", "http://127.0.0.1:1", "--monolithic"), "--url and --monolithic: give one of them"),
        (("--prefill", "0", "--async-execution"), "--async-execution: of P's ranks; leave out --url, --monolithic and --prefill 0"),
        (("--monolithic", "--audit"), "--audit: only the disaggregated engine keeps what it generates"),
        (("--limit", "2", "--timeline", "absent/t"), "absent/t: no file can be written there; choose a file"),
        (("--limit", "2", "--log", "/dev/null", "--timeline", "t"), "--timeline: it is drawn from the log, which cannot be read back from /dev/null"),
        (("--url", "http://127.0.0.1:1", "--timeline", "t"), "--log and --timeline: only the engine that the protocol drives has events"),
        (("--limit", "2", "--speed", "inf"), "speed=inf: give a finite number"),
        (("--limit", "2", "--temperature", "1", "--top-p", "0"), "top_p=0.0: give a number above 0, at most 1"),
        (("--url", "http://127.0.0.1:1", "--top-p", "2"), "top_p=2.0: give a number above 0, at most 1"),
        (("--request-rate", "0"), "--request-rate=0.0: give a positive number"),
        (("--prefill", "0", "--concurrency", "3"), "--concurrency: only a load client keeps it; leave out --prefill 0"),
        (("--goodput", "itl:5"), "--goodput: 'itl:5' is no objective; give ttft:MS tpot:MS e2el:MS or some of them"),
        (("--url", "http://127.0.0.1:1"), "http://127.0.0.1:1: /v1/models has no answer (ConnectError"),
        (("--workload", "trace", "--rounds", "2"), "--rounds, --input-len and --output-len are of the synthetic workload"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["interlock", "run", *words])
    (tmp_path / "trace").write_text(MOONCAKE + "{\n")
    with pytest.raises(SystemExit) as end:
        main()
    told = capsys.readouterr()
    assert (end.value.code, told.out, told.err.count("\n")) == (2, "", 1)
    assert message in told.err and os.listdir(tmp_path) == ["trace"]
