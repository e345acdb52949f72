"""What the official client gets: completions and chats, whole and streamed."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import numpy as np
import openai
import pytest

from engine.generation import Finish, Generation
from engine.model.reference import log_probabilities
from engine.model.sampling import Sampling, choose
from engine.server.form import CompletionForm
from engine.vocabulary import ByteVocabulary, Detokenizer

from .conftest import CONTEXT, WEIGHTS, Address, Scripted, serving

encode = ByteVocabulary().encode

HI: Any = [{"role": "user", "content": "Hi"}]
TEMPLATE = "user: Hi\nassistant:"


def expected(prompt: str, max_tokens: int, sampling: Sampling) -> list[int]:
    """The reference's tokens; the end token ends them and is left out."""
    tokens = encode(prompt)
    for drawn in range(max_tokens):
        token = choose(log_probabilities(WEIGHTS, tokens)[-1], sampling, drawn)[0]
        if token == WEIGHTS.config.last_token:
            break
        tokens.append(token)
    return tokens[len(encode(prompt)) :]


def text_of(tokens: list[int]) -> str:
    detokenizer = Detokenizer(ByteVocabulary())
    return "".join(map(detokenizer.push, tokens)) + detokenizer.flush()


def test_a_completion_is_the_references(server: Address) -> None:
    answer = server.client().completions.create(model="tiny", prompt="Hello", max_tokens=12, temperature=1, top_p=0.9, seed=3)
    tokens = expected("Hello", 12, Sampling(1.0, 0.9, 3))
    assert len(set(tokens)) > 6, "a text of one letter would prove little"
    assert (answer.object, answer.model, answer.id[:5]) == ("text_completion", "tiny", "cmpl-")
    assert (answer.choices[0].text, answer.choices[0].finish_reason, answer.choices[0].logprobs) == (text_of(tokens), "length", None)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (6, 12, 18)


def test_a_streamed_completion_is_the_whole_one(server: Address) -> None:
    wanted: Any = dict(model="tiny", prompt="Hello", max_tokens=20, temperature=1, seed=8, logprobs=2)
    whole = server.client().completions.create(**wanted)
    chunks = list(server.client().completions.create(**wanted, stream=True, stream_options={"include_usage": True}))
    *pieces, last = chunks
    assert "".join(chunk.choices[0].text for chunk in pieces) == whole.choices[0].text
    assert [chunk.choices[0].finish_reason for chunk in pieces] == [None] * (len(pieces) - 1) + ["length"]
    assert len(pieces) == 21, "a chunk for each token, and one for the end"
    assert (last.choices, last.usage) == ([], whole.usage)
    assert all(chunk.usage is None for chunk in pieces)
    streamed = [chunk.choices[0].logprobs for chunk in pieces]
    assert whole.choices[0].logprobs is not None
    for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
        assert [value for part in streamed for value in getattr(part, name)] == getattr(whole.choices[0].logprobs, name)


def test_without_include_usage_a_stream_has_none(server: Address) -> None:
    chunks = list(server.client().completions.create(model="tiny", prompt="Hello", max_tokens=2, stream=True))
    assert len(chunks) == 3 and all(chunk.usage is None for chunk in chunks)


def test_greedy_is_the_same_every_time_and_a_seedless_sample_is_not(server: Address) -> None:
    def ask(**more: Any) -> str:
        return server.client().completions.create(model="tiny", prompt="Hello", max_tokens=16, **more).choices[0].text

    assert ask(temperature=0) == ask(temperature=0, top_p=0.5, seed=9)
    assert ask(temperature=1, seed=-1) == ask(temperature=1, seed=-1)
    assert ask() != ask()


def test_prompts_times_n_are_answered_in_order(server: Address) -> None:
    """Copy k of a prompt draws with the seed plus k; more choices than slots."""
    answer = server.client().completions.create(model="tiny", prompt=["one", "three"], n=3, max_tokens=8, temperature=1, seed=5)
    assert [choice.index for choice in answer.choices] == list(range(6))
    wanted = [expected(prompt, 8, Sampling(1.0, 1.0, seed)) for prompt in ("one", "three") for seed in (5, 6, 7)]
    assert [choice.text for choice in answer.choices] == list(map(text_of, wanted))
    assert [choice.finish_reason for choice in answer.choices] == ["length" if len(tokens) == 8 else "stop" for tokens in wanted]
    generated = sum(min(8, len(tokens) + 1) for tokens in wanted)
    assert answer.usage is not None and (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (10, generated)


def test_a_prompt_of_tokens_is_taken_as_it_is(server: Address) -> None:
    client = server.client()
    wanted: Any = dict(model="tiny", max_tokens=8, temperature=1, seed=5)
    text = client.completions.create(prompt="one", **wanted).choices[0].text
    assert client.completions.create(prompt=encode("one"), **wanted).choices[0].text == text
    assert [c.text for c in client.completions.create(prompt=[encode("one"), encode("one")], **wanted).choices] == [
        text,
        text,
    ]


def test_a_chat_goes_through_the_template(server: Address) -> None:
    answer = server.client().chat.completions.create(model="tiny", messages=HI, max_completion_tokens=10, temperature=1, seed=5)
    choice = answer.choices[0]
    assert (answer.object, choice.message.role, choice.finish_reason) == ("chat.completion", "assistant", "length")
    assert choice.message.content == text_of(expected(TEMPLATE, 10, Sampling(1.0, 1.0, 5)))
    parts: Any = [{"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]}]
    again = server.client().chat.completions.create(model="tiny", messages=parts, max_tokens=10, temperature=1, seed=5)
    assert again.choices[0].message.content == choice.message.content


def test_a_chat_without_max_tokens_may_fill_the_context(server: Address) -> None:
    answer = server.client().chat.completions.create(model="tiny", messages=HI, temperature=0, extra_body={"ignore_eos": True})
    assert answer.usage is not None and answer.usage.total_tokens == CONTEXT and answer.choices[0].finish_reason == "length"


def test_chat_log_probabilities_are_the_references(server: Address) -> None:
    answer = server.client().chat.completions.create(model="tiny", messages=HI, max_tokens=10, temperature=1, seed=10, logprobs=True, top_logprobs=3)
    told = answer.choices[0].logprobs
    assert told is not None and told.content is not None and len(told.content) == 10
    tokens = [entry.bytes[0] for entry in told.content if entry.bytes]  # with this seed all are bytes
    prompt = encode(TEMPLATE)
    logs = log_probabilities(WEIGHTS, prompt + tokens)[len(prompt) - 1 : -1]
    assert np.allclose([entry.logprob for entry in told.content], [row[token] for row, token in zip(logs, tokens)], atol=1e-4)
    for entry, row in zip(told.content, logs):
        assert np.allclose([other.logprob for other in entry.top_logprobs], np.sort(row)[::-1][:3], atol=1e-4)


def test_a_streamed_chat_begins_with_the_role_of_each_choice(server: Address) -> None:
    stream = server.client().chat.completions.create(model="tiny", messages=HI, max_tokens=6, n=2, temperature=1, seed=5, stream=True)
    deltas: dict[int, list[Any]] = {0: [], 1: []}
    for chunk in stream:
        deltas[chunk.choices[0].index].append(chunk.choices[0].delta)
    for index, mine in deltas.items():
        assert (mine[0].role, mine[0].content) == ("assistant", "") and all(delta.role is None for delta in mine[1:])
        assert "".join(delta.content for delta in mine) == text_of(expected(TEMPLATE, 6, Sampling(1.0, 1.0, 5 + index)))


def test_a_stop_string_across_tokens_ends_the_answer_before_it() -> None:
    """The engine goes on for ever; it is told to stop, and neither the stop string nor the tokens of it are told."""
    engine = Scripted(says="say Grüße now, and more".encode())
    with serving(engine) as server:
        answer = server.client().completions.create(model="tiny", prompt="x", stop=["üß", "never"], max_tokens=50, logprobs=0)
        assert engine.aborted.acquire(timeout=10)
        choice = answer.choices[0]
        assert (choice.text, choice.finish_reason) == ("say Gr", "stop")
        assert choice.logprobs is not None and choice.logprobs.tokens == list("say Gr")
        chunks = list(server.client().completions.create(model="tiny", prompt="x", stop="üß", max_tokens=50, stream=True))
        assert "".join(chunk.choices[0].text for chunk in chunks) == "say Gr" and chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize(("says", "text"), [(b"abEN", "abEN"), (b"abEN\xe2\x82", "abEN\ufffd"), (b"ab\xe2\x82EN", "ab\ufffdEN")])
def test_an_end_lets_out_what_was_held_back(says: bytes, text: str) -> None:
    """The answer ends inside of a stop string, and inside of a character."""
    with serving(Scripted(says=says, ends=Finish.LENGTH)) as server:
        choice = server.client().completions.create(model="tiny", prompt="x", stop="END", logprobs=0).choices[0]
    assert (choice.text, choice.finish_reason) == (text, "length")
    assert choice.logprobs is not None and choice.logprobs.tokens is not None and len(choice.logprobs.tokens) == len(says)


@pytest.mark.parametrize(("says", "texts"), [(b"abEN", ["a", "b", "", "EN", ""]), (b"EN\xe2\x82", ["", "", "", "EN\ufffd", ""])])
def test_the_last_token_takes_along_what_was_held_back(says: bytes, texts: list[str]) -> None:
    """So that clients who count pieces with text, the end's too, count no more than tokens."""
    with serving(Scripted(says=says, ends=Finish.LENGTH)) as server:
        chunks = list(server.client().completions.create(model="tiny", prompt="x", stop="END", max_tokens=len(says), stream=True))
    assert [chunk.choices[0].text for chunk in chunks] == texts and chunks[-1].choices[0].finish_reason == "length"


def test_offsets_count_characters_and_parts_of_one_share_theirs() -> None:
    with serving(Scripted(says="a€b".encode() + b"\xe2\x82", ends=Finish.LENGTH)) as server:
        told = server.client().completions.create(model="tiny", prompt="x", logprobs=0).choices[0].logprobs
    assert told is not None and told.text_offset == [0, 1, 1, 1, 2, 3, 3]
    assert told.tokens == ["a", "bytes:\\xe2", "bytes:\\x82", "bytes:\\xac", "b", "bytes:\\xe2", "bytes:\\x82"]


def test_completion_log_probabilities_tell_the_chosen_token_and_the_likeliest(server: Address) -> None:
    answer = server.client().completions.create(model="tiny", prompt="Hello", max_tokens=3, temperature=1, seed=3, logprobs=2)
    told = answer.choices[0].logprobs
    assert told is not None and told.tokens is not None and told.token_logprobs is not None and told.top_logprobs is not None
    logs = np.sort(log_probabilities(WEIGHTS, encode("Hello"))[-1])[::-1]
    for token, log, likeliest in zip(told.tokens, told.token_logprobs, told.top_logprobs):
        assert likeliest[token] == log and len(likeliest) in (2, 3)
    assert np.allclose(sorted(told.top_logprobs[0].values(), reverse=True)[:2], logs[:2], atol=1e-4)


def test_every_token_of_the_tiny_models_has_a_name_of_its_own() -> None:
    form = CompletionForm("tiny", ByteVocabulary(), True)
    names = [form.spelled(token) for token in range(WEIGHTS.config.vocabulary)]
    assert len(set(names)) == len(names) and (names[65], names[0xE2], names[257]) == ("A", "bytes:\\xe2", "token_id:257")


@pytest.mark.parametrize(("more", "stops"), [({}, {257}), ({"ignore_eos": True}, set()), ({"stop_token_ids": [7, 8]}, {7, 8, 257})])
def test_stop_tokens_reach_the_engine(more: dict[str, Any], stops: set[int]) -> None:
    engine = Scripted(ends=Finish.LENGTH)
    with serving(engine) as server:
        asked: dict[str, Any] = {"max_tokens": 7, "temperature": 0.5, "top_p": 0.25, "seed": 3, "logprobs": 2}
        told = server.client().completions.create(model="tiny", prompt="x", extra_body=more, **asked).id
    assert engine.submitted == [Generation((256, 120), 7, Sampling(0.5, 0.25, 3), frozenset(stops), 2, f"{told}-0")]


def test_a_stop_token_is_counted_and_not_shown() -> None:
    with serving(Scripted(says=b"ab\x07", ends=Finish.STOP)) as server:
        answer = server.client().completions.create(model="tiny", prompt="x", logprobs=0, extra_body={"stop_token_ids": [7]})
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("ab", "stop")
    assert answer.choices[0].logprobs is not None and answer.choices[0].logprobs.tokens == ["a", "b"]
    assert answer.usage is not None and answer.usage.completion_tokens == 3


def test_models_and_health(server: Address) -> None:
    client = server.client()
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt/4")
    assert server.get("/health").status_code == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_reads_the_stream(server: Address) -> None:
    body = json.dumps({"model": "tiny", "prompt": "Hello", "max_tokens": 3, "temperature": 0, "stream": True})
    done = subprocess.run(["curl", "-sN", f"{server.url}/v1/completions", "-d", body], capture_output=True, text=True, timeout=30)
    *events, end, nothing = done.stdout.split("\n\n")
    assert (end, nothing) == ("data: [DONE]", "")
    text = "".join(json.loads(event.removeprefix("data: "))["choices"][0]["text"] for event in events)
    assert text == text_of(expected("Hello", 3, Sampling()))


def test_every_choice_names_its_rollout_by_the_id_of_the_response() -> None:
    engine = Scripted(ends=Finish.LENGTH)
    with serving(engine) as server:
        told = server.post({"model": "tiny", "prompt": "a", "n": 2}).json()["id"]
    assert [generation.rollout for generation in engine.submitted] == [f"{told}-0", f"{told}-1"]
