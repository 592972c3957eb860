"""Answers as greedy decoding gives them, many prompts at once, without padding: what is measured is what is served."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from nexus_chain.distillation.lora.accuracy import MeasuredAccuracy
from nexus_chain.distillation.lora.chat_examples import PromptWriter
from nexus_chain.distillation.lora.shared_prefix import common_prefix, prefixed_cache

_ROWS = 64  # prompts that go through together


@torch.inference_mode()
def greedy_answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    max_tokens: int,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """The likeliest answer to each prompt, of at most ``max_tokens`` tokens. Raises TrainingDataError.

    ``model``: a causal language model of ``transformers``, with or without an adapter.
    """
    model.eval()
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    writer = PromptWriter(tokenizer)
    encoded = [writer.tokens(prompt) for prompt in prompts]
    answers = [""] * len(prompts)
    done = 0
    for batch in _of_one_length(encoded):
        found = _decode(inner, [encoded[number] for number in batch], tokenizer.eos_token_id, max_tokens)
        for number, tokens in zip(batch, found, strict=True):
            answers[number] = str(tokenizer.decode(tokens, skip_special_tokens=True))
        done += len(batch)
        advance(done, len(prompts))
    return answers


def measure_greedy(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    is_right: Callable[[int, str], bool],
    max_tokens: int,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> MeasuredAccuracy:
    """Accuracy of the greedy answers; ``is_right`` judges an answer to the prompt of that number, exactly."""
    answers = greedy_answers(model, tokenizer, prompts, max_tokens, advance)
    return MeasuredAccuracy(sum(is_right(number, answer) for number, answer in enumerate(answers)), len(answers))


def _of_one_length(encoded: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Numbers of prompts that have the same number of tokens, so that none needs padding."""
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for number, tokens in enumerate(encoded):
        groups[len(tokens)].append(number)
    for numbers in groups.values():
        for at in range(0, len(numbers), _ROWS):
            yield numbers[at : at + _ROWS]


def _decode(model: Any, prompts: Sequence[Sequence[int]], end: int, max_tokens: int) -> list[list[int]]:
    shared = common_prefix(prompts)
    cache = prefixed_cache(model.model, prompts[0][:shared], len(prompts))
    rest = torch.tensor([list(prompt[shared:]) for prompt in prompts])
    answers: list[list[int]] = [[] for _ in prompts]
    open_rows = list(range(len(prompts)))
    for _ in range(max_tokens):
        found = model.model(input_ids=rest, past_key_values=cache, use_cache=True)
        cache = found.past_key_values
        chosen: Tensor = model.lm_head(found.last_hidden_state[:, -1]).argmax(dim=1)
        going = [at for at, token in enumerate(chosen.tolist()) if token != end]
        for at in going:
            answers[open_rows[at]].append(int(chosen[at]))
        if not going:
            break
        if len(going) < len(open_rows):  # who has ended costs nothing more
            kept = torch.tensor(going)
            cache.batch_select_indices(kept)
            chosen = chosen[kept]
        open_rows = [open_rows[at] for at in going]
        rest = chosen[:, None]
    return answers
