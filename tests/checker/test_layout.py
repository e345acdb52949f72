"""Bits: packing and unpacking are inverse, nothing straddles a word, equal queues are equal bits."""

import random

import pytest

from checker.layout import WORD_BITS, Layout, parts_of
from protocol import BOOL, Array, Index, Optional, Range, Record, Sequence, System, private
from protocol.types import all_values
from tests.checker.test_tables import arrays, queues, random_state, random_value, waits
from tests.reference.two_phase_commit import build as two_phase_commit


@pytest.mark.parametrize("build", [queues, arrays, waits, two_phase_commit])
def test_unpacking_undoes_packing(build):
    system, rng = build(), random.Random(1)
    layout = Layout(system)
    for _ in range(200):
        state = random_state(system, rng)
        assert layout.unpack(layout.pack(state)) == state


@pytest.mark.parametrize("build", [queues, arrays, waits, two_phase_commit])
def test_leaves_neither_overlap_nor_straddle_nor_touch_bit_63(build):
    layout = Layout(build())
    taken = [0] * layout.words
    for leaf in layout.leaves:
        mask = ((1 << leaf.bits) - 1) << leaf.shift
        assert leaf.shift + leaf.bits <= WORD_BITS
        assert not taken[leaf.word] & mask
        taken[leaf.word] |= mask
    assert layout.bits == sum(leaf.bits for leaf in layout.leaves)


def test_two_phase_commit_with_nine_managers_is_one_word():
    layout = Layout(two_phase_commit(9))
    assert (layout.words, layout.bits) == (1, 2 + 9 + 9 + 1 + 1 + 2 * 9)


class Holder:
    """Just enough of a system to lay out one variable."""

    def __init__(self, *variables):
        self.variables = list(variables)


def test_many_bits_take_as_few_words_as_fit():
    slots = Index("slot", 100)
    layout = Layout(Holder(private("level", Range(0, 5), over=slots)))  # type: ignore[arg-type]
    assert layout.words == -(-100 // (WORD_BITS // 3))


def test_a_type_of_one_value_takes_no_bits():
    layout = Layout(Holder(private("only", Range(4, 4)), private("flag", BOOL)))  # type: ignore[arg-type]
    assert layout.bits == 1
    assert layout.unpack(layout.pack(((4,), (True,)))) == ((4,), (True,))


def test_the_leaves_of_nested_types_are_their_scalars():
    slots = Index("slot", 2)
    task = Record("Task", slot=Optional(slots), flags=Array(BOOL, slots))
    variable = private("todo", Sequence(task, 3))
    layout = Layout(Holder(variable))  # type: ignore[arg-type]
    names = [leaf.name for leaf in parts_of(layout.tree(variable, 0))]
    assert names[0] == "len(todo)" and len(names) == 1 + 3 * (1 + 2)
    assert names[1:4] == ["todo.at(0).slot", "todo.at(0).flags[0]", "todo.at(0).flags[1]"]


def test_popped_cells_are_zero_bits():
    variable = private("todo", Sequence(Range(-2, 5), 3))
    layout = Layout(Holder(variable))  # type: ignore[arg-type]
    assert int(layout.pack((((),),))[0]) == 0
    for value in (random_value(variable.type, random.Random(k)) for k in range(50)):
        high = int(layout.pack(((value,),))[0]) >> (2 + 3 * len(value))
        assert high == 0


def test_a_state_is_shown_by_names():
    system: System = two_phase_commit(3)
    layout = Layout(system)
    shown = layout.pretty(layout.pack(system.initial_state()))
    assert "tm.state=INIT" in shown and "resource.state[2]=WORKING" in shown
    assert len(shown.split()) == sum(len(list(all_values(v.over))) for v in system.variables)
