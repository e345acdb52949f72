"""Workloads: every format, every malformed line, the generator."""

from pathlib import Path

import pytest

from engine.workload import Request, generate, load, sessions_of
from protocol import TraceError

TRACES = Path(__file__).resolve().parents[3] / "shared" / "traces"
"""Real traces, where somebody has put them beside the project."""

MOONCAKE = '{"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}\n'
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
BURST = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "trace"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text, expected",
    [
        (MOONCAKE + '{"timestamp": 27500, "input_length": 3, "output_length": 4}\n', [Request(0.0, 6758, 500, blocks=(0, 1)), Request(27.5, 3, 4)]),
        (
            '{"input_toks": 5, "output_toks": 6, "arrival_time_ns": 1000000000}\n'
            '{"input_toks": 7, "output_toks": 8, "arrival_time_ns": 3500000000}\n',
            [Request(0.0, 5, 6), Request(2.5, 7, 8)],
        ),
        (AZURE + "2023-11-16 18:15:46.5000000,374,44\n2023-11-16 18:15:50.0000000,396,109\n", [Request(0.0, 374, 44), Request(3.5, 396, 109)]),
        (
            BURST + "5,s,1.5,ChatGPT,472,18,490,Chat log\n45,,1,GPT-4,1087,230,1317,API log\n",
            [Request(0.0, 472, 18, "s"), Request(40.0, 1087, 230)],
        ),
    ],
    ids=["mooncake", "sharegpt", "azure", "burstgpt"],
)
def test_each_format_is_recognised_from_its_content(tmp_path: Path, text: str, expected: list[Request]) -> None:
    assert load(written(tmp_path, text)) == expected


def test_arrivals_out_of_order_are_sorted(tmp_path: Path) -> None:
    later_first = '{"timestamp": 2000, "input_length": 1, "output_length": 2}\n{"timestamp": 1000, "input_length": 3, "output_length": 4}\n'
    assert load(written(tmp_path, later_first)) == [Request(0.0, 3, 4), Request(1.0, 1, 2)]


def test_only_as_many_lines_are_read_as_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, MOONCAKE * 3 + "not a line\n")
    assert len(load(path, limit=3)) == 3
    with pytest.raises(TraceError, match="trace:4: "):
        load(path, limit=4)


def test_requests_that_failed_when_they_were_recorded_are_left_out(tmp_path: Path) -> None:
    """BurstGPT says so by an answer of no token."""
    text = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n1,ChatGPT,9,0,9,API log\n5,ChatGPT,472,18,490,API log\n"
    assert load(written(tmp_path, text), limit=1) == [Request(0.0, 472, 18)]


@pytest.mark.parametrize(
    "text, line, what",
    [
        ("", 1, "no requests"),
        (AZURE, 1, "no requests"),
        ('{"a": 1}\n', 1, "no known trace format"),
        ("a,b,c\n1,2,3\n", 1, "no known trace format"),
        (MOONCAKE + '{"timestamp": 0, "input_le\n', 2, "not JSON"),
        (MOONCAKE + "[1, 2]\n", 2, "not an object"),
        (MOONCAKE + '{"timestamp": 0, "input_length": 3}\n', 2, "no 'output_length'"),
        (MOONCAKE + '{"timestamp": -1, "input_length": 3, "output_length": 4}\n', 2, "is no time"),
        (MOONCAKE + '{"timestamp": NaN, "input_length": 3, "output_length": 4}\n', 2, "is no time"),
        (MOONCAKE + '{"timestamp": null, "input_length": 3, "output_length": 4}\n', 2, "is no time"),
        (MOONCAKE + '{"timestamp": 0, "input_length": 3.5, "output_length": 4}\n', 2, "no whole number"),
        (MOONCAKE + '{"timestamp": 0, "input_length": true, "output_length": 4}\n', 2, "no whole number"),
        (MOONCAKE + '{"timestamp": 0, "input_length": 0, "output_length": 4}\n', 2, "lies outside"),
        (MOONCAKE + '{"timestamp": 0, "input_length": 3, "output_length": 99999999999}\n', 2, "lies outside"),
        (MOONCAKE + '{"timestamp": 0, "input_length": 3, "output_length": 4, "hash_ids": [1.5]}\n', 2, "no list of whole numbers"),
        (AZURE + "2023-11-16 18:15:46,374,0\n", 2, "lies outside"),
        (AZURE + "2023-11-16 18:15:46,374\n", 2, "2 fields where the header has 3"),
        (AZURE + "yesterday,374,44\n", 2, "is no time"),
        (AZURE + "2023-11-16 18:15:46,many,44\n", 2, "no whole number"),
        (BURST + "5,s,1.5,ChatGPT,472,,490,Conversation log\n", 2, "no whole number"),
        (AZURE + "x" * 200_000 + "\n", 2, "not CSV"),
    ],
)
def test_a_malformed_line_is_named_with_its_place_and_a_remedy(tmp_path: Path, text: str, line: int, what: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(TraceError) as raised:
        load(path)
    message = str(raised.value)
    assert message.startswith(f"{path}:{line}: ") and what in message and "; " in message and "\n" not in message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="absent: No such file or directory; give a request trace"):
        load(tmp_path / "absent")
    with pytest.raises(TraceError, match="Is a directory; give a request trace"):
        load(tmp_path)


def test_what_is_not_text_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(MOONCAKE.encode() + b"\xff\xfe\x00\x01\n")
    with pytest.raises(TraceError, match="binary:2: not text"):
        load(tmp_path / "binary")
    with pytest.raises(TraceError, match="/dev/zero:1: a line of more than"):
        load("/dev/zero")


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    (tmp_path / "trace").write_bytes(b"\xef\xbb\xbf" + (AZURE + "2023-11-16 18:15:46,374,44\n").replace("\n", "\r\n").encode())
    assert load(tmp_path / "trace") == [Request(0.0, 374, 44)]


def test_the_generator_gives_the_same_requests_for_the_same_seed() -> None:
    assert generate(seed=3, count=20, rate=5) == generate(seed=3, count=20, rate=5)
    assert generate(seed=3, count=20, rate=5) != generate(seed=4, count=20, rate=5)
    arrivals = [r.arrival_s for r in generate(seed=3, count=20, rate=5)]
    assert arrivals == sorted(arrivals) and arrivals[0] == 0


@pytest.mark.parametrize("count, rate", [(0, 1.0), (5, 0.0), (5, float("nan"))])
def test_the_generator_refuses_what_gives_no_requests(count: int, rate: float) -> None:
    with pytest.raises(TraceError, match="; give "):
        generate(seed=0, count=count, rate=rate)


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"input_len": 0}, {"output_len": 10**9}])
def test_the_generator_refuses_lengths_out_of_range(wrong: dict[str, int]) -> None:
    with pytest.raises(TraceError, match="; give "):
        generate(**wrong)


def test_the_generator_makes_sessions_and_exact_lengths() -> None:
    requests = generate(seed=1, count=7, rounds=3, input_len=20, output_len=5)
    assert [len(rounds) for rounds in sessions_of(requests)] == [3, 3, 1]
    assert {(r.prompt_tokens, r.output_tokens) for r in requests} == {(20, 5)}
    assert all(len({r.arrival_s for _, r in rounds}) == 1 for rounds in sessions_of(requests))


def test_sessions_keep_their_order_and_the_numbers_of_their_rounds() -> None:
    requests = [Request(0.0, 1, 1, "a"), Request(1.0, 2, 2), Request(2.0, 3, 3, "b"), Request(3.0, 4, 4, "a"), Request(4.0, 5, 5)]
    assert [[number for number, _ in rounds] for rounds in sessions_of(requests)] == [[0, 3], [1], [2], [4]]


def test_lengths_are_scaled_and_never_to_nothing() -> None:
    scaled = Request(1.0, 1000, 30, "s", (4, 5)).scaled(0.01)
    assert scaled == Request(1.0, 10, 1, "s", (4, 5), 5)


@pytest.mark.skipif(not TRACES.is_dir(), reason="the folder of real traces is not there")
@pytest.mark.parametrize(
    ("name", "requests", "span_s", "tokens"),
    [
        ("mooncake_conversation_trace.jsonl", 12_031, 3_536.999, (12_035, 343)),
        ("AzureLLMInferenceTrace_conv.csv", 19_366, 3_501.722, (1_155, 211)),
        ("sharegpt_qwen3_300_lengths.jsonl", 300, 29.137, (862, 665)),
    ],
)
def test_real_traces_have_the_size_that_their_sources_tell(name: str, requests: int, span_s: float, tokens: tuple[int, int]) -> None:
    loaded = load(TRACES / name)
    means = tuple(round(sum(lengths) / len(loaded)) for lengths in ([r.prompt_tokens for r in loaded], [r.output_tokens for r in loaded]))
    assert (len(loaded), means) == (requests, tokens)
    assert loaded[-1].arrival_s == pytest.approx(span_s, abs=1e-3)
