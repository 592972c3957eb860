"""Which fields of a request are followed, which change nothing, and which are refused.

A field that is sent and could change the answer is followed exactly, or the request is refused and the field named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from node.gateway.errors import InvalidRequestError
from node.gateway.parameters import refuse_parameters

MOST_STOPS = 4

#: Fields that no answer depends on: they name the caller or the way of storing and serving.
_HARMLESS = {
    "user", "metadata", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "parallel_tool_calls", "prompt_cache_options",
}  # fmt: skip
#: Values that ask for what is done anyway.
_NO_EFFECT: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "top_p": (1,),
    "top_k": (-1, 0),
    "min_p": (0,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "repetition_penalty": (1,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "suffix": ("",),
    "background": (False,),
    "include": ([],),
    "reasoning": ({}, {"effort": None, "summary": None}),
    "text": ({}, {"format": {"type": "text"}}, {"format": {"type": "text"}, "verbosity": "medium"}),
    "truncation": ("disabled",),
}


class OpenAIRequest(BaseModel):
    """What all of them share. Fields that are not declared are looked at by ``require_followed``."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: str
    stream: bool | None = False
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)

    @property
    def heat(self) -> float:
        """The temperature; OpenAI's is 1 where none is given."""
        return 1.0 if self.temperature is None else self.temperature


class StreamOptions(BaseModel):
    """``include_obfuscation`` asks for padding against listeners, of which there is none to ask for here."""

    model_config = ConfigDict(extra="forbid", strict=True)

    include_usage: bool | None = False
    include_obfuscation: bool | None = None


def require_followed(extra: Mapping[str, Any] | None) -> None:
    """Raise UnsupportedParameterError for a field, of those that are not declared, that could change the answer."""
    refuse_parameters({name: value for name, value in (extra or {}).items() if name not in _HARMLESS}, _NO_EFFECT)


def stops_of(stop: str | Sequence[str] | None) -> tuple[str, ...]:
    """Texts that end an answer. Raises InvalidRequestError above four."""
    found = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(found) > MOST_STOPS:
        raise InvalidRequestError(
            f"{len(found)} stop texts are too many", advice=f"Give at most {MOST_STOPS}.", param="stop"
        )
    return tuple(text for text in found if text)
