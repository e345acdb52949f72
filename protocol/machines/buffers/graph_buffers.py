"""Captured-graph buffers: does a replay write past the end of what was recorded, or read what an earlier round left?

A captured graph replays with the addresses and sizes of its capture (facts section 10; #7934, #7933). The draft model's input
buffers are the target's, cloned; the target's are re-shaped by every step to the tokens of that step. After a clear (RL), the
draft's are created again, from whatever shape the target's have just then, and the graph is captured again. A replay then
writes as many entries as its step has tokens, into a buffer that may hold fewer: CUDA error 700. Rows that the last step left
in `seq_lens_this_time_buffer` are seen by the capture.

One thread, the worker's: nothing races here, and the order of its steps is what is explored. One buffer stands for the
seven that are named; the graphs of all sizes up to the largest stand for the list of captured sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from ...combine import choice
from ...effect import when
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import always, never, sometimes
from ...system import System
from ...types import BOOL, Range
from ...variable import ghost, private
from ..arguments import one_of, within

_row = partial(Row, actor="worker")


class Runner(IntEnum):
    """The draft model's graph is ..."""

    CAPTURED, CLEARED, CREATED, FAULTED = range(4)


@dataclass(frozen=True)
class Recreation:
    """How the draft's buffers are created again. `full_size`: at their first size; `zeroed`: the rows of the last round are cleared."""

    name: str
    full_size: bool = False
    zeroed: bool = False


RECREATIONS = {
    r.name: r
    for r in (
        Recreation("cloned"),
        Recreation("cloned_zeroed", zeroed=True),
        Recreation("full_size", full_size=True),
        Recreation("repaired", True, True),
    )
}


def build(variant: str = "repaired", tokens: int = 3) -> System:
    """The target's and the draft's buffers, and the graph.

    Args:
        variant: cloned (as published), cloned_zeroed, full_size, or repaired (#7934: both).
        tokens: the most tokens of a step, which is the size of the buffers at the start and of the largest graph.

    Raises:
        DefinitionError: a parameter outside its choices.
    """
    one_of(RECREATIONS, variant=variant)
    within(2, 8, tokens=tokens)
    how, size, sizes = RECREATIONS[variant], choice("tokens", Range(1, tokens)), Range(1, tokens)
    shape = private("target_entries", sizes, init=tokens)
    capacity, captured = private("draft_entries", sizes, init=tokens), private("captured_tokens", sizes, init=tokens)
    left = private("rows_of_last_step", Range(0, tokens))
    recaptured, stale = ghost("captured_again", BOOL), ghost("captured_stale_rows", BOOL)
    r, fits = Runner, size <= capacity
    step = [shape.set(size), left.set(size)]
    capture = [captured.set(tokens), recaptured.set(True), when(left > 0, stale.set(True))]
    # fmt: off
    rows = [
        _row("replay",          r.CAPTURED, r.CAPTURED, (size <= captured) & fits,  step, choose=(size,), decided="decided", cite="facts 10"),
        _row("replay_past_end", r.CAPTURED, r.FAULTED,  (size <= captured) & ~fits, [],   choose=(size,), decided="decided", cite="#7934: error 700"),
        _row("clear",           r.CAPTURED, r.CLEARED,  TRUE, [], decided="decided", cite="facts 10: an RL clear"),
        _row("create",          r.CLEARED,  r.CREATED,  TRUE,
             [capacity.set(tokens if how.full_size else shape), *([left.set(0)] if how.zeroed else [])], cite="#7934, #7933"),
        _row("capture",         r.CREATED,  r.CAPTURED, TRUE, capture, cite="facts 10"),
    ]
    # fmt: on
    runner = Machine("runner", r, rows, final=r.CAPTURED, doc="the worker's thread: steps, clears, captures")
    properties = [
        never("no_write_past_the_end", runner.at() == r.FAULTED, about="error 700: no replay writes past the end of a buffer"),
        always("graph_fits_its_buffer", (runner.at() != r.CAPTURED) | (captured <= capacity), about="tokens_padded <= captured <= capacity"),
        never("no_stale_rows_captured", stale, about="padded rows hold sentinels when the graph is captured"),
        sometimes("some_graph_captured_again", recaptured.cell(), about="twin of the claims"),
    ]
    return System(f"graph_buffers_{variant}_{tokens}", [runner], properties, doc=__doc__ or "")
