"""The bodies that clients post: OpenAI's fields, their types and ranges.

One rule: a field is honoured, is known to change nothing, or is refused; none is silently passed over. Null means absent.
`ignore_eos` and `stop_token_ids` are vLLM's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ..vocabulary import Message, Vocabulary
from .problem import invalid

CHOICES_MAX = 128
"""Answers to one body: prompts times n."""
STOPS_MAX = 4
STOP_TOKENS_MAX = 64
LOGPROBS_MAX = 20
COMPLETION_TOKENS = 16
"""Of an answer to /v1/completions that names no max_tokens, as OpenAI has it; a chat's answer may fill the context."""

IGNORED = frozenset({"user", "store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key", "request_id", "priority"})
"""Fields that change no answer."""
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "add_generation_prompt": (True,),
    "best_of": (1,),
    "continuous_usage_stats": (False,),
    "detokenize": (True,),
    "echo": (False,),
    "frequency_penalty": (0,),
    "include_obfuscation": (False,),
    "include_stop_str_in_output": (False,),
    "length_penalty": (1,),
    "logit_bias": ({},),
    "min_p": (0,),
    "min_tokens": (0,),
    "modalities": (["text"],),
    "parallel_tool_calls": (False, True),
    "presence_penalty": (0,),
    "repetition_penalty": (1,),
    "response_format": ({"type": "text"},),
    "return_token_ids": (False,),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_k": (-1, 0),
    "use_beam_search": (False,),
}
"""What we cannot do, with the values that ask for nothing of it."""

Tokens = tuple[int, ...]
Prompt = str | Tokens


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and value != [] and all(type(token) is int for token in value)


def _prompts(value: Any) -> tuple[Prompt, ...]:
    """A text, a list of token ids, or a list of either: the prompts, none of them empty."""
    several = value if isinstance(value, list) and not _is_tokens(value) else [value]
    if not several or not all(_is_text(one) or _is_tokens(one) for one in several):
        raise invalid("prompt: give a text or a list of token ids, or a list of these, none of them empty", "prompt")
    return tuple(one if isinstance(one, str) else tuple(one) for one in several)


def _stops(value: Any) -> tuple[str, ...]:
    several = value if isinstance(value, list) else [value]
    if len(several) > STOPS_MAX or not all(_is_text(one) for one in several):
        raise invalid(f"stop: give a text or a list of at most {STOPS_MAX}, none of them empty", "stop")
    return tuple(several)


def _content(value: Any) -> str:
    """A text, or the texts of a list of text parts, one after the other."""
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str) for part in parts):
        raise invalid('messages: content is a text or a list of {"type": "text", "text": ...}; nothing else is understood', "messages")
    return "".join(part["text"] for part in parts)


def _at_least_one(messages: list[ChatMessage]) -> list[ChatMessage]:
    if not messages:
        raise invalid("messages: give at least one", "messages")
    return messages


class Body(BaseModel):
    """A JSON object whose fields have exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _only_what_is_asked(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            raise invalid("the body is no JSON object")
        for name, values in NEUTRAL.items():
            if data.get(name) is not None and data[name] not in values:
                raise invalid(f"{name}: not supported; leave it out", name, "unsupported_value")
        return {name: value for name, value in data.items() if value is not None and name not in IGNORED and name not in NEUTRAL}


class StreamOptions(Body):
    """Of a stream: whether a last chunk tells the usage."""

    include_usage: bool = False


class Wanted(Body, ABC):
    """What both kinds of request have."""

    model: str
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    n: int = Field(1, ge=1, le=CHOICES_MAX)
    seed: Annotated[int | None, Field(ge=-(2**63), lt=2**63)] = None
    stop: Annotated[tuple[str, ...], BeforeValidator(_stops)] = ()
    stop_token_ids: Annotated[list[int], Field(max_length=STOP_TOKENS_MAX)] = []
    ignore_eos: bool = False
    stream: bool = False
    stream_options: StreamOptions | None = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with its usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    @abstractmethod
    def answer_tokens(self) -> int | None:
        """The longest answer; None for what the context leaves."""

    @property
    @abstractmethod
    def alternatives(self) -> int | None:
        """How many likeliest tokens to tell beside each chosen one; None for no log-probabilities at all."""

    @abstractmethod
    def prompts(self, vocabulary: Vocabulary) -> list[Tokens]:
        """The prompts as tokens."""


class CompletionBody(Wanted):
    """POST /v1/completions."""

    prompt: Annotated[tuple[Prompt, ...], BeforeValidator(_prompts)]
    logprobs: Annotated[int | None, Field(ge=0, le=LOGPROBS_MAX)] = None

    @property
    def answer_tokens(self) -> int | None:
        """`max_tokens`, or OpenAI's default."""
        return COMPLETION_TOKENS if self.max_tokens is None else self.max_tokens

    @property
    def alternatives(self) -> int | None:
        """`logprobs`."""
        return self.logprobs

    def prompts(self, vocabulary: Vocabulary) -> list[Tokens]:
        """One a prompt."""
        return [tuple(vocabulary.encode(one)) if isinstance(one, str) else one for one in self.prompt]


class ChatMessage(Body):
    """One message of a conversation; the name changes nothing in the templates that we have."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_content)]
    name: str | None = None

    @property
    def as_message(self) -> Message:
        """Role and content; a developer is what a system was called before."""
        return ("system" if self.role == "developer" else self.role, self.content)


class ChatBody(Wanted):
    """POST /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], AfterValidator(_at_least_one)]
    max_completion_tokens: Annotated[int | None, Field(ge=1)] = None
    logprobs: bool = False
    top_logprobs: Annotated[int | None, Field(ge=0, le=LOGPROBS_MAX)] = None

    @model_validator(mode="after")
    def _top_needs_logprobs(self) -> ChatBody:
        if self.top_logprobs is not None and not self.logprobs:
            raise invalid("top_logprobs: wants logprobs to be true", "top_logprobs")
        return self

    @property
    def answer_tokens(self) -> int | None:
        """`max_completion_tokens`, or `max_tokens` as it was called before."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def alternatives(self) -> int | None:
        """`top_logprobs`, where `logprobs` is set."""
        return (self.top_logprobs or 0) if self.logprobs else None

    def prompts(self, vocabulary: Vocabulary) -> list[Tokens]:
        """One: the conversation in the model's template."""
        return [tuple(vocabulary.encode(vocabulary.chat([message.as_message for message in self.messages])))]
