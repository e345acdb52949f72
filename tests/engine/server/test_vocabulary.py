"""Text in, tokens, text out: nothing is lost at the borders of tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model import smollm2
from engine.vocabulary import ByteVocabulary, Detokenizer, StopStrings, Vocabulary, vocabulary_of
from tests.engine.fetched import needs_smollm2

few = st.text("ab", max_size=12)


def decoded(vocabulary: Vocabulary, tokens: list[int]) -> list[str]:
    detokenizer = Detokenizer(vocabulary)
    return [detokenizer.push(token) for token in tokens] + [detokenizer.flush()]


@given(st.text())
def test_bytes_come_back_as_they_went(text: str) -> None:
    vocabulary = ByteVocabulary()
    assert "".join(decoded(vocabulary, vocabulary.encode(text))) == text


def test_a_character_comes_with_its_last_byte() -> None:
    assert decoded(ByteVocabulary(), list("a€".encode())) == ["a", "", "", "€", ""]


def test_what_is_no_utf8_is_replaced() -> None:
    assert decoded(ByteVocabulary(), [0xFF, 0x61, 0xE2, 0x82]) == ["\ufffd", "a", "", "", "\ufffd"]


@needs_smollm2
@pytest.mark.parametrize("text", ["Hello wörld 東京 🙂\n\t x  y", "def f(a): return a**2\r\n", "\x00\x7f\xa0\xad"])
def test_smollm2_text_comes_back_as_it_went(text: str) -> None:
    vocabulary = vocabulary_of(smollm2.SMOLLM2)
    assert "".join(decoded(vocabulary, vocabulary.encode(text))) == text
    assert vocabulary.bytes_of(smollm2.SMOLLM2.last_token) == b""


def test_the_byte_letters_are_all_bytes_once() -> None:
    assert sorted(smollm2.BYTE_OF.values()) == list(range(256))
    assert smollm2.BYTE_OF["Ġ"] == ord(" ") and smollm2.BYTE_OF["Ċ"] == ord("\n")


def test_the_tiny_models_template() -> None:
    assert ByteVocabulary().chat([("system", "Be brief."), ("user", "Hi")]) == "system: Be brief.\nuser: Hi\nassistant:"


def first_cut(text: str, stops: list[str]) -> str | None:
    """Slow and obvious: the text before the match that is complete first, the longest of those; None for no match."""
    for end in range(len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            return text[: end - max(map(len, found))]
    return None


@given(st.lists(few, max_size=6), st.lists(st.text("ab", min_size=1, max_size=4), max_size=4))
def test_the_cut_is_the_same_wherever_the_pieces_end(pieces: list[str], stops: list[str]) -> None:
    scanner, text, out = StopStrings(stops), "".join(pieces), ""
    for piece in pieces:
        out += scanner.push(piece)
        assert text.startswith(out)
        if scanner.found:
            break
    cut = first_cut(text, stops)
    assert scanner.found == (cut is not None)
    assert (out if scanner.found else out + scanner.flush()) == (text if cut is None else cut)


def test_only_what_may_become_a_stop_is_held_back() -> None:
    scanner = StopStrings(["END"])
    assert [scanner.push(piece) for piece in ("a", "E", "N", "x", "E")] == ["a", "", "", "ENx", ""]
    assert scanner.flush() == "E"
