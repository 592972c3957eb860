"""Requests of Ollama's interface: what is followed has a field here.

Whatever else a request says is kept aside by pydantic and refused by name, unless it changes no answer (the
``..._NEUTRAL`` tables).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from node.gateway.parameters import Flag, Neutral, Number, StopTexts, Whole

ModelName = Annotated[str, Field(min_length=1)]
KeepAlive = str | float | None
"""Accepted: models stay where they are, whatever it says."""

REQUEST_NEUTRAL: Neutral = {
    "suffix": ("",), "template": ("",), "format": ("",), "images": ([],), "tools": ([],), "think": (False,),
    "logprobs": (False,), "top_logprobs": (0,), "width": (0,), "height": (0,), "steps": (0,),
}  # fmt: skip
MESSAGE_NEUTRAL: Neutral = {"images": ([],), "tool_calls": ([],), "tool_name": ("",), "thinking": ("",)}


class OllamaOptions(BaseModel):
    """``num_predict``: most tokens of the answer; -1 and -2: what the context leaves. ``seed`` -1 draws one.

    ``num_ctx``: positions of prompt and answer; more than the model has is as many as it has.
    """

    model_config = ConfigDict(extra="allow")

    num_predict: Whole | None = None
    num_ctx: Annotated[Whole, Field(ge=1)] | None = None
    temperature: Annotated[Number, Field(ge=0)] | None = None
    seed: Annotated[Whole, Field(ge=-(2**63), lt=2**64)] | None = None
    stop: StopTexts | None = None


class _Asking(BaseModel):
    model_config = ConfigDict(extra="allow")

    model: ModelName
    stream: Flag | None = None
    options: OllamaOptions | None = None
    keep_alive: KeepAlive = None
    truncate: Flag | None = None
    shift: Flag | None = None

    @property
    def streams(self) -> bool:
        """Whether the answer is sent line by line, as it is unless the caller says otherwise."""
        return self.stream is not False

    @property
    def unloads(self) -> bool:
        """Whether a request without a question says goodbye to the model."""
        return self.keep_alive in (0, "0", "0s", "0m")


class OllamaGenerateRequest(_Asking):
    """``raw``: the prompt stands for itself, and names of control tokens in it are these tokens.

    ``context``: token ids that come before the prompt, as an earlier answer returned them.
    """

    prompt: str | None = None
    system: str | None = None
    context: list[Whole] | None = None
    raw: Flag | None = None


class OllamaMessage(BaseModel):
    """A message of a conversation."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: str | None = None


class OllamaChatRequest(_Asking):
    """``messages`` without any: nothing is asked. A last message of the assistant is continued."""

    messages: list[OllamaMessage] = []


class OllamaEmbedRequest(BaseModel):
    """``truncate`` (true unless said otherwise): a text that is too long is cut at its end."""

    model_config = ConfigDict(extra="allow")

    model: ModelName
    input: str | list[str] = []
    truncate: Flag | None = None
    dimensions: Annotated[Whole, Field(ge=0)] | None = None
    options: OllamaOptions | None = None
    keep_alive: KeepAlive = None


class OllamaEmbeddingsRequest(BaseModel):
    """The older request: one text, one vector as the model gives it."""

    model_config = ConfigDict(extra="allow")

    model: ModelName
    prompt: str | None = None
    options: OllamaOptions | None = None
    keep_alive: KeepAlive = None


class OllamaModelRequest(BaseModel):
    """A request about one model; ``name`` is how older clients say it."""

    model: ModelName = Field(validation_alias=AliasChoices("model", "name"))
    stream: Flag | None = None
