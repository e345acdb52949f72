"""The live engine: real processes that complete their work, and leave nothing however they end."""

import errno
import json
import os
import re
import select
import signal
import subprocess
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from checker.conform import judge
from engine.errors import EngineError
from engine.forward_signal.plan import SignalPlan
from engine.forward_signal.run import run_live
from engine.runtime.household import QUEUE_SERVER, Household
from engine.runtime.interrupts import STOPPING
from engine.runtime.live import LiveEngine
from engine.runtime.segment import SEGMENT_PREFIX
from engine.workload import Request
from protocol import DefinitionError, TraceError

SHARED_MEMORY = Path("/dev/shm")
ROOT = Path(__file__).resolve().parents[2]
ENDLESS = [Request(0.0, 10, 10), Request(1e6, 1, 1)]
PATIENCE_S = 60

pytestmark = pytest.mark.live


def segments() -> set[str]:
    return {p.name for p in SHARED_MEMORY.glob(f"{SEGMENT_PREFIX}{os.getpid()}-*")}


def process_numbers(engine: LiveEngine) -> list[int]:
    return [child.process.pid for child in engine.children.values() if child.process.pid is not None]


def is_gone(process: int) -> bool:
    """Whether the process has ended, waiting for it as long as it takes (within reason)."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], PATIENCE_S)[0])
    finally:
        os.close(descriptor)


def test_twenty_requests_complete_and_nothing_is_left(tmp_path: Path) -> None:
    log, processes = tmp_path / "events.ndjson", list[int]()
    requests, counts = [Request(k / 10, 700, 5) for k in range(20)], list[int]()

    def tell(engine: LiveEngine) -> None:
        processes.extend(process_numbers(engine))

    report = run_live(requests, SignalPlan(2), speed=1000, log_path=log, started=tell, progress=counts.append)
    assert counts == sorted(set(counts)) and set(counts) <= set(range(1, 21))
    assert [c.request for c in report.completions] == list(range(20))
    events = [json.loads(line) for line in log.read_text().splitlines()[:-1]]
    assert len(events) == report.rows_fired and [e["t"] for e in events] == sorted(e["t"] for e in events)
    assert {e["copy"] for e in events} == {"gate", "worker[0]", "worker[1]"}
    assert sum(e["event"] == "put_batch" for e in events) == report.forwards
    assert judge(SignalPlan(2).composition.system(), events).conforms
    assert len(processes) == 4 and all(map(is_gone, processes)) and not segments()
    assert os.listdir(tmp_path) == ["events.ndjson"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_ctrl_c_is_blocked_in_every_process_from_its_first_instruction() -> None:
    blocked: list[bool] = []

    def look(engine: LiveEngine) -> None:
        for process in process_numbers(engine):
            status = Path(f"/proc/{process}/status").read_text()
            mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk"))
            blocked.append(bool(int(mask, 16) >> (signal.SIGINT - 1) & 1))

    run_live([Request(0.0, 10, 1)], SignalPlan(1), speed=1000, started=look)
    assert blocked == [True] * 3


@pytest.mark.parametrize("victim, name", [(0, "queue server"), (1, "gate"), (3, r"worker\[1\]")])
def test_a_killed_process_ends_the_run_with_its_name(tmp_path: Path, victim: int, name: str) -> None:
    processes: list[int] = []

    def kill(engine: LiveEngine) -> None:
        processes.extend(process_numbers(engine))
        os.kill(processes[victim], signal.SIGKILL)

    with pytest.raises(EngineError, match=rf"^{name} \(process \d+\) was killed by SIGKILL"):
        run_live(ENDLESS, SignalPlan(2), log_path=tmp_path / "events.ndjson", started=kill)
    assert all(map(is_gone, processes)) and not segments() and os.listdir(tmp_path) == []


def test_a_killed_fork_server_is_told_and_the_next_run_has_another(tmp_path: Path) -> None:
    processes: list[int] = []

    def kill(engine: LiveEngine) -> None:
        processes.extend(process_numbers(engine))
        server = Path(f"/proc/{processes[0]}/stat").read_text().rpartition(")")[2].split()[1]
        os.kill(int(server), signal.SIGKILL)

    with pytest.raises(EngineError, match=r"\(process \d+\) was lost with the fork server before the run was over"):
        run_live(ENDLESS, SignalPlan(2), log_path=tmp_path / "events.ndjson", started=kill)
    assert all(map(is_gone, processes)) and not segments() and os.listdir(tmp_path) == []
    assert run_live([Request(0.0, 10, 1)], SignalPlan(1), speed=1000).completions


def test_a_failure_in_a_process_is_told(tmp_path: Path) -> None:
    """A request without a length cannot be served; the scheduler's own process finds out."""
    broken = [Request(0.0, None, 1)]  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="gate failed: TypeError"):
        run_live(broken, SignalPlan(1), log_path=tmp_path / "events.ndjson")
    assert not segments() and os.listdir(tmp_path) == []


@pytest.mark.parametrize("room", [0, 2])
def test_a_start_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """The system refuses a process after so many."""
    started: list[int] = []
    start = ForkServerProcess.start

    def refuse(process: ForkServerProcess) -> None:
        if len(started) == room:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        start(process)
        started.append(process.pid or 0)

    monkeypatch.setattr(ForkServerProcess, "start", refuse)
    with pytest.raises(EngineError, match="the engine cannot be started: .*Resource temporarily unavailable; make room"):
        run_live(ENDLESS, SignalPlan(2), log_path=tmp_path / "events.ndjson")
    assert all(map(is_gone, started)) and not segments() and os.listdir(tmp_path) == []


def test_a_queue_server_that_is_killed_before_the_others_start_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Household.open

    def open_and_kill(house: Household) -> None:
        opened(house)
        house.children[QUEUE_SERVER].process.kill()
        house.children[QUEUE_SERVER].process.join()

    monkeypatch.setattr(Household, "open", open_and_kill)
    with pytest.raises(EngineError, match=r"^queue server \(process \d+\) was killed by SIGKILL"):
        run_live(ENDLESS, SignalPlan(2), log_path=tmp_path / "events.ndjson")
    assert not segments() and os.listdir(tmp_path) == []


def leaves_stopping_to_others(process: int) -> bool:
    """Whether neither signal to stop does anything to the process: each is blocked or ignored."""
    masks = re.findall(r"^Sig(?:Blk|Ign):\s*(\w+)$", Path(f"/proc/{process}/status").read_text(), re.M)
    without_effect = int(masks[0], 16) | int(masks[1], 16)
    return all(without_effect >> (number - 1) & 1 for number in STOPPING)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_nothing(tmp_path: Path, how: signal.Signals) -> None:
    """Ctrl-C and a service manager's SIGTERM reach the whole group, and here twice; a killed supervisor cannot clean up, so the kernel and the
    resource tracker do."""
    program = f"""
from engine.forward_signal.plan import SignalPlan
from engine.forward_signal.run import run_live
from engine.workload import Request
from multiprocessing import forkserver, resource_tracker
def tell(s):
    numbers = [c.process.pid for c in s.children.values()]
    numbers += [resource_tracker._resource_tracker._pid, forkserver._forkserver._forkserver_pid]
    print(*numbers, flush=True)
run_live([Request(0.0, 10, 10), Request(1e6, 1, 1)], SignalPlan(2), log_path={str(tmp_path / "events.ndjson")!r}, started=tell)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert child.stdout is not None
        processes = [int(word) for word in child.stdout.readline().split()]
        assert all(map(leaves_stopping_to_others, processes))
        if how is signal.SIGKILL:
            os.kill(child.pid, how)
        else:
            os.killpg(child.pid, how)
            os.killpg(child.pid, how)
        _, errors = child.communicate(timeout=PATIENCE_S)
    finally:
        child.kill()  # of one that has ended nothing is left to kill
    assert "leaked" not in errors or how is signal.SIGKILL
    assert (child.returncode, errors) == (143, "") or how is not signal.SIGTERM
    assert child.returncode != 0 and len(processes) == 6 and all(map(is_gone, processes))
    assert list(SHARED_MEMORY.glob(f"{SEGMENT_PREFIX}{child.pid}-*")) == [] and os.listdir(tmp_path) == []


def test_bad_arguments_start_nothing(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="choose a file in a directory that exists"):
        run_live(ENDLESS, SignalPlan(2), log_path=tmp_path / "absent" / "events.ndjson")
    with pytest.raises(DefinitionError, match="speed=0: give a positive number"):
        run_live(ENDLESS, SignalPlan(2), speed=0)
    with pytest.raises(DefinitionError, match="needs at least one rank"):
        run_live(ENDLESS, SignalPlan(0))
    assert not segments()
