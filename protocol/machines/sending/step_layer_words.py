"""The V0 messager reads two words of shared memory that the worker writes one after the other: layer and step (H-35).

At the start of a step the worker stores layer := -1, then step := its number; after each layer it stores the layer. The messager
loads the layer, then the step, and only when the layer was the last one loads it again. An old layer beside a new step makes
it send layers that the new step has not written. Ours: one word holds both (a read of step, layer, step again does as well).
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial

from ...combine import if_else
from ...effect import when
from ...expr import TRUE
from ...machine import Machine, Row
from ...properties import never, sometimes
from ...system import System
from ...types import BOOL, Range
from ...variable import ghost, private, register
from ..arguments import one_of

VARIANTS = ("V0", "twice", "repaired")


class Worker(IntEnum):
    """The worker is ..."""

    STARTING, LAYER_CLEARED, WORKING, DONE = range(4)


class Messager(IntEnum):
    """The messager is ..."""

    READING_LAYER, READING_STEP, READING_AGAIN, SENDING = range(4)


def build(variant: str = "repaired", steps: int = 2, layers: int = 2) -> System:
    """One request a step; the messager sends the layers of each.

    Args:
        variant: V0; twice: the step is read before and after the layer; repaired: one word. steps, layers: how many.

    Raises:
        DefinitionError: an unknown variant.
    """
    one_of(VARIANTS, variant=variant)
    one = variant == "repaired"
    step_type, layer_type = Range(0, steps), Range(-1, layers - 1)
    step_word = register("complete_prefilled_step", step_type, init=0, cite="V0: splitwise_complete_prefilled_step")
    layer_word = register("complete_prefilled_layer", layer_type, init=-1, cite="V0: splitwise_complete_prefilled_layer")
    word = register("complete_prefilled", Range(-1, (steps + 1) * (layers + 1)), init=-1, cite="ours: step * (layers + 1) + layer + 1")
    written = ghost("layers_written", Range(0, layers), over=Range(1, steps))
    uncomputed, sent = ghost("uncomputed_sent", BOOL), ghost("all_sent", BOOL)
    w, m = Worker, Messager
    now, layer = private("worker_step", step_type), private("worker_layer", layer_type, init=-1)
    work, look = partial(Row, actor="worker"), partial(Row, actor="messager")
    done = layer.cell() == layers - 1
    grown = [layer.add(1), written[now.cell()].add(1)]
    base = layers + 1
    # fmt: off
    if one:
        both = [word.set((now.cell() + 1) * base), now.add(1), layer.set(-1)]
        begin = [work("begin_step", w.STARTING, w.WORKING, now.cell() < steps, both, cite="ours")]
        grow = work("write_layer", w.WORKING, w.WORKING, ~done, [*grown, word.set(now.cell() * base + layer.cell() + 2)], cite="ours")
    else:
        begin = [
            work("clear_layer", w.STARTING,      w.LAYER_CLEARED, now.cell() < steps, [layer_word.set(-1)], cite="6.7"),
            work("set_step",    w.LAYER_CLEARED, w.WORKING,       TRUE, [step_word.set(now.cell() + 1), now.add(1), layer.set(-1)], cite="6.7"),
        ]
        grow = work("write_layer", w.WORKING, w.WORKING, ~done, [*grown, layer_word.set(layer.cell() + 1)], cite="6.7")
    end = work("end_step", w.WORKING, w.STARTING, done, [], cite="6.7")
    worker = Machine("worker", w, [*begin, grow, end], final=w.STARTING, doc="The worker.")
    # fmt: on
    seen_step, seen_layer = private("seen_step", step_type), private("seen_layer", layer_type, init=-1)
    item = private("item", Range(1, steps + 1), init=1)
    reads = _reads(variant, base, steps, layers, look, step_word, layer_word, word, seen_step, seen_layer)
    may = if_else(seen_step.cell() > item.cell(), layers, if_else(seen_step.cell() == item.cell(), seen_layer.cell() + 1, 0))
    through = may == layers
    own = written[if_else(item.cell() > steps, steps, item.cell())]
    wrong, more = when(may > own, uncomputed.set(True)), item.cell() <= steps
    next_item = [wrong, item.add(1), when(item.cell() == steps, sent.set(True))]
    sends = [  # with one pair, item after item
        look("send_all_layers", m.SENDING, m.SENDING, more & through, next_item, cite="6.7"),
        look("send_layers", m.SENDING, m.READING_LAYER, ~(more & through), [wrong], cite="6.7"),
    ]
    messager = Machine("messager", m, [*reads, *sends], doc="The messager of V0.")
    properties = [
        never("uncomputed_sent", uncomputed, about="S2: a layer is sent after its step has written it"),
        sometimes("some_run_sends_all", sent, about="twin of uncomputed_sent"),
    ]
    return System("step_layer_words", [worker, messager], properties, doc=__doc__ or "")


def _reads(variant, base, steps, layers, look, step_word, layer_word, word, seen_step, seen_layer) -> list[Row]:  # type: ignore[no-untyped-def]
    """How the messager comes to a pair of step and layer."""
    m = Messager
    if variant == "repaired":
        rows = []
        for number in range(1, steps + 1):
            for layer in range(-1, layers):
                value = number * base + layer + 1
                note = [seen_step.set(number), seen_layer.set(layer)]
                rows.append(look(f"read_{number}_{layer + 1}", m.READING_LAYER, m.SENDING, word.cell() == value, note, cite="ours"))
        return rows
    if variant == "twice":
        return [
            look("read_step", m.READING_LAYER, m.READING_STEP, TRUE, [seen_step.set(step_word)], cite="ours"),
            look("read_layer", m.READING_STEP, m.READING_AGAIN, TRUE, [seen_layer.set(layer_word)], cite="ours"),
            look("find_same_step", m.READING_AGAIN, m.SENDING, step_word.cell() == seen_step.cell(), [], cite="ours"),
            look("find_other_step", m.READING_AGAIN, m.READING_LAYER, step_word.cell() != seen_step.cell(), [], poll=True, cite="ours"),
        ]
    last = seen_layer.cell() == layers - 1
    return [
        look("read_layer", m.READING_LAYER, m.READING_STEP, TRUE, [seen_layer.set(layer_word)], cite="6.7"),
        look("read_step", m.READING_STEP, m.SENDING, ~last, [seen_step.set(step_word)], cite="6.7"),
        look("read_step_of_last", m.READING_STEP, m.READING_AGAIN, last, [seen_step.set(step_word)], cite="6.7"),
        look("read_layer_again", m.READING_AGAIN, m.SENDING, TRUE, [seen_layer.set(layer_word)], cite="6.7: after 1 ms"),
    ]
