"""The names that the pages take over: FastDeploy's versions, its threads and channels, and the facts that they are cited by."""

from __future__ import annotations

from .table import markdown

FACTS = """\
*The facts*, cited by section (`facts 3.2`; behind a thread of P or D the number alone), are two dossiers on FastDeploy, made from its
published code, pull requests and reviews before anything was modelled: one of engine and workers, one of the cache hand-over. They are
no part of this repository. What they say of a hazard stands beside what the model says of it, in the catalogue.
"""

VERSIONS = {
    "A": "before #6680, and again from its revert #7791 on: the engine schedules when every rank has read the last batch",
    "B": "#6680 as merged: it schedules when the forward signal is down, too",
    "B'": "#6680 with its follow-ups: the queue is looked at without the lock, and ranks meet at the top of their loop",
    "A'": "A with the newest abort and pause (#6743, #7141, #7642)",
    "R": "release/2.6 with #7724",
    "R'": "R with the newest abort and pause",
    "T1": "the list of arrived requests, an older loop",
    "T2": "the list of arrived requests as #7791 restored it",
    "N1": "the list of arrived requests in #6680: one request a fetch",
    "E0": "the hand-over before #7724: one thread prepares, and a registration is acknowledged before P schedules",
    "E1": "#7724: N threads prepare, and nothing is acknowledged",
    "E2": "#7872: a layer-0 signal that comes before its registration is parked",
    "E3a": "#8034: every layer-0 signal is parked; a late one is forwarded at once",
    "E3b": "#8034, read the other way: a sweep forwards it",
    "V0": "the older messager, which reads two words of shared memory",
    "V2": "the branch with ResourceManagerV2",
    "repaired": "ours",
}
"""The versions that several groups of the catalogue ask; other variants are explained by their group."""

THREADS = {
    "ZMQ-in, P.ZI": "receives requests, aborts and commands from the API server",
    "FETCH, P.F": "prepares requests: one thread, since #7724 N of them (P.F1 .. FN)",
    "SCHED, P.S": "schedules, and puts batches into the engine-worker queue",
    "TOK, P.T, D.T": "the token processor: credits what the steps report",
    "FIN, P.FIN": "finishes requests",
    "OUT": "sends results to the clients",
    "DECODE, D.L": "D's loop: grants, first tokens, decoding requests",
    "DP-in, DP-out": "to and from the scheduler of a data-parallel instance",
    "P.RX, P.IO, D.RX, D.IO": "messages between P and D: the socket's thread, and those that handle a message",
    "P.W[r], P.G[r], D.W": "the worker of rank r, and its stream of kernels",
    "MA, MC, MS, MR": "the cache messager of a rank: registers tasks, consumes kv signals, sends layers, connects ahead",
    "D.MON": "takes back what D has reserved for too long (#7965)",
}
CHANNELS = {
    "CH1, CH2, CH3, CH4": "mailboxes of the engine-worker queue: batches, cache tasks, acknowledged registrations, sent requests",
    "CH6": "the kv signals of a rank, a queue of the kernel's",
    "CH7": "messages between P and D over ZMQ",
    "CH8": "writes of KV blocks into D",
    "CH9": "the steps' outputs to the token processor",
    "CH10": "connections asked for ahead",
    "TPB#0, TPB#1, TPB#2": "where the tensor-parallel ranks meet: at the top of the loop, behind the look at the queue, when idle",
    "EPB": "where the ranks of all expert-parallel instances meet",
    "RM": "P's resource manager",
}


def versions_section() -> str:
    """What the versions are called, and what the facts are."""
    rest = "A name made of one of these and more (`E1_7771`, `B'-cleared-once`) is that version with a pull request, or with a part changed.\n"
    return "\n".join(["## Versions\n", markdown(("version", "what it is"), list(VERSIONS.items())), rest, FACTS])


def names_section() -> str:
    """What threads and channels are called on the pages of the machines."""
    parts = ["## Names of FastDeploy's threads and channels\n", markdown(("thread", "what it does"), list(THREADS.items()))]
    return "\n".join([*parts, markdown(("channel", "what it carries"), list(CHANNELS.items())), FACTS])
