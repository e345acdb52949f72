"""What the live runtime costs: a message, a row's commit, a wake-up, a fired row, and doing nothing.

    python -m tests.benchmarks.live [--messages N] [--turns K] [--seconds S]

A round trip over a wire is printed beside one over a `multiprocessing.Pipe`. A wake-up is half of: commit a cell, another process that
waits for it wakes and commits, and this one wakes. The rows are those of the repaired composition without tensors, in nine processes;
their CPU time is summed over all of them, as is that of the same engine while nobody asks for anything. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from select import POLLIN, poll

from engine.runtime.directory import Directory
from engine.runtime.live import LiveEngine, start
from engine.runtime.queue_client import Client
from engine.runtime.queue_server import Commit, QueueServer
from engine.runtime.segment import Segment
from engine.wire import Wire
from tests.engine.live_roles import SIZES, repaired
from tests.engine.small_system import build

SPAWN = multiprocessing.get_context("spawn")
SYSTEM = build()
BOX = (SYSTEM.position[id(SYSTEM.variable("box"))], 0)
MESSAGE = ("commit", {(3, 5): 1, (4, 2): None}, {(3, 5): 2}, None, None)


def median_us(act: Callable[[], object], times: int) -> tuple[float, float]:
    """Median and 90th percentile of the wall time of one call, in microseconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        taken.append(1e6 * (time.perf_counter() - began))
    taken.sort()
    return taken[times // 2], taken[times * 9 // 10]


def echo_pipe(end: Connection, times: int) -> None:
    """Send back what comes."""
    for _ in range(times):
        end.send(end.recv())


def echo_wire(end: socket.socket, times: int) -> None:
    """Send back what comes."""
    wire = Wire(end)
    for _ in range(times):
        wire.send(wire.receive())


def client_of(end: socket.socket) -> Client:
    """A client that knows and watches the box."""
    client = Client(Wire(end), Directory(SYSTEM))
    client.known[BOX[0]] = {}
    client.watch([(BOX[0], 0, 1)])
    return client


def wait_for(client: Client, content: tuple[int, ...]) -> None:
    """Until the box holds that."""
    ready = poll()
    ready.register(client.fileno(), POLLIN)
    while client.known[BOX[0]].get(0, ()) != content:
        client.await_news()
        ready.poll()
        client.take_news()


def serve(introductions: socket.socket, segment: str) -> None:
    """The queue server's process."""
    directory = Directory(SYSTEM)
    memory = Segment.attach(directory, 1, segment)
    QueueServer(directory, memory, introductions).serve()
    memory.close()


def answer(end: socket.socket, times: int) -> None:
    """Empty the box whenever it has been filled."""
    client = client_of(end)
    for _ in range(times):
        wait_for(client, (1,))
        client.commit(Commit({BOX: (1,)}, {BOX: ()}))


def measure_messages(times: int) -> None:
    """Print the round trips."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=echo_pipe, args=(theirs, times))
    process.start()

    def by_pipe() -> None:
        ours.send(MESSAGE)
        ours.recv()

    print("pipe, round trip            {:8.1f} us  (P90 {:.1f})".format(*median_us(by_pipe, times)))
    process.join()
    end, other = socket.socketpair()
    process = SPAWN.Process(target=echo_wire, args=(other, times))
    process.start()
    wire = Wire(end)

    def by_wire() -> None:
        wire.send(MESSAGE)
        wire.receive()

    print("wire, round trip            {:8.1f} us  (P90 {:.1f})".format(*median_us(by_wire, times)))
    process.join()


def measure_server(times: int) -> None:
    """Print what a commit takes, and a wake-up."""
    segment = Segment.create(Directory(SYSTEM), 1, f"interlock-benchmark-{os.getpid()}")
    introductions, theirs = socket.socketpair()
    server = SPAWN.Process(target=serve, args=(theirs, segment.name))
    server.start()
    ends = []
    for name in ("here", "there"):
        end, other = socket.socketpair()
        socket.send_fds(introductions, [name.encode()], [other.fileno()])
        ends.append(end)
        other.close()
    client = client_of(ends[0])
    commit = median_us(lambda: client.commit(Commit({BOX: ()}, {BOX: ()})), times)
    print("commit of a row             {:8.1f} us  (P90 {:.1f})".format(*commit))
    process = SPAWN.Process(target=answer, args=(ends[1], times + 1))
    process.start()

    def there_and_back() -> None:
        client.commit(Commit({BOX: ()}, {BOX: (1,)}))
        wait_for(client, ())

    there_and_back()
    both = median_us(there_and_back, times)
    print(f"commit and wake-up          {both[0] / 2:8.1f} us  (P90 {both[1] / 2:.1f})")
    process.join()
    introductions.close()
    theirs.close()
    server.join()
    segment.close()
    segment.unlink()


def cpu_s(engine: LiveEngine) -> float:
    """CPU seconds of all children."""
    ticks = 0
    for child in engine.children.values():
        with open(f"/proc/{child.process.pid}/stat") as stat:
            ticks += sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def measure_engine(turns: int, seconds: float) -> None:
    """Print what rows take, and nothing."""
    with start(repaired(0, turns=turns)) as engine:
        before = cpu_s(engine)
        time.sleep(seconds)
        print(f"idle engine                 {100 * (cpu_s(engine) - before) / seconds:8.1f} % of a core, {len(engine.children)} processes")
        before, began = cpu_s(engine), time.perf_counter()
        engine.send("router", turns)
        for _ in range(turns * SIZES["requests"]):
            engine.received()
        busy, wall = cpu_s(engine) - before, time.perf_counter() - began
        fired = engine.stop().rows
    print(f"fired row                   {1e6 * busy / fired:8.1f} us of CPU, {fired / wall:,.0f} rows/s, {fired:,} rows")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.live")
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    measure_messages(given.messages)
    measure_server(given.messages)
    measure_engine(given.turns, given.seconds)


if __name__ == "__main__":
    main()
