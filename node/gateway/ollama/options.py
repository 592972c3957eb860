"""Ollama's options as what the network is asked: followed, without effect here, or refused."""

from __future__ import annotations

from node.gateway.conversations import room_for_answer
from node.gateway.errors import InvalidRequestError
from node.gateway.generation import GenerationRequest, OfferedModel
from node.gateway.ollama.types import OllamaOptions
from node.gateway.parameters import Neutral, refuse_parameters, require_temperature

DEFAULT_TEMPERATURE = 0.8
"""Ollama's own."""
MACHINE_OPTIONS = frozenset(
    ("numa", "num_batch", "num_gpu", "main_gpu", "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mmap",
     "use_mlock", "embedding_only", "num_thread", "num_keep", "repeat_last_n", "penalize_newline", "mirostat_tau",
     "mirostat_eta", "draft_num_predict")
)  # fmt: skip
"""How a machine computes, and companions of options that are refused themselves: they change no answer here."""
NEUTRAL_OPTIONS: Neutral = {
    "top_k": (0,), "top_p": (1,), "min_p": (0,), "tfs_z": (1,), "typical_p": (1,), "repeat_penalty": (1,),
    "presence_penalty": (0,), "frequency_penalty": (0,), "mirostat": (0,),
}  # fmt: skip
CHOICE_OPTIONS = frozenset(("top_k", "top_p", "min_p", "tfs_z", "typical_p"))
"""They narrow down what is drawn from, so they change nothing where the likeliest token is taken."""


def refuse_options(options: OllamaOptions, *, greedy: bool) -> None:
    """Raise UnsupportedParameterError for an option that could change the answer."""
    skipped = MACHINE_OPTIONS | CHOICE_OPTIONS if greedy else MACHINE_OPTIONS
    extra = {name: value for name, value in (options.model_extra or {}).items() if name not in skipped}
    refuse_parameters(extra, NEUTRAL_OPTIONS, "options.")


def ollama_generation(model: OfferedModel, prompt: tuple[int, ...], options: OllamaOptions) -> GenerationRequest:
    """What ``options`` ask of the network. Raises InvalidRequestError."""
    temperature = DEFAULT_TEMPERATURE if options.temperature is None else options.temperature
    require_temperature(temperature, "options.temperature")
    refuse_options(options, greedy=temperature == 0)
    return GenerationRequest(
        model=model.name,
        prompt=prompt,
        max_tokens=_max_tokens(model, prompt, options),
        temperature=temperature,
        seed=None if options.seed == -1 else options.seed,
        stop=tuple(options.stop or ()),
    )


def _max_tokens(model: OfferedModel, prompt: tuple[int, ...], options: OllamaOptions) -> int | None:
    asked = options.num_predict
    if asked is not None and asked not in (-1, -2) and asked < 1:
        raise InvalidRequestError(
            f"options.num_predict {asked} is no number of tokens",
            advice="Give at least 1, or -1 for as many as the context leaves.",
            param="options.num_predict",
        )
    room = room_for_answer(model, prompt, options.num_ctx)
    if asked is None:
        return None if options.num_ctx is None else room
    return room if asked < 0 else min(asked, room)
