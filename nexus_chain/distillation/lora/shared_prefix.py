"""Prompts made by one template begin alike: what they share is computed once for the whole batch.

A decoder's row depends on the rows before it alone, so this is the same function of the weights as one pass over
each whole prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nexus_chain.distillation.lora.chat_examples import EncodedExample

IGNORED_LABEL = -100


def common_prefix(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens all rows begin with; at least the last token of each stays outside."""
    longest = min(len(row) for row in rows) - 1
    for at in range(longest):
        if any(row[at] != rows[0][at] for row in rows):
            return at
    return max(longest, 0)


def prefixed_cache(decoder: Any, prefix: Sequence[int], rows: int) -> Any:
    """Keys and values of ``prefix`` for ``rows`` rows; gradients flow through them. None for no prefix."""
    if not prefix:
        return None
    cache = decoder(input_ids=torch.tensor([list(prefix)]), use_cache=True).past_key_values
    cache.batch_repeat_interleave(rows)
    return cache


def answer_logits(model: Any, batch: Sequence[EncodedExample]) -> tuple[Tensor, Tensor, Tensor]:
    """What ``model`` predicts where the batch's answers stand.

    Returns logits float32[N, vocab], the answers' tokens i64[N], and the example of each i64[N], over all N tokens
    of all answers. The head computes those rows only.
    """
    shared = common_prefix([one.prompt for one in batch])
    width = max(one.length for one in batch) - shared
    tokens = torch.zeros(len(batch), width, dtype=torch.int64)  # padding comes last, where no row looks at it
    labels = torch.full((len(batch), width), IGNORED_LABEL)
    for row, one in enumerate(batch):
        rest = (*one.prompt[shared:], *one.answer)
        tokens[row, : len(rest)] = torch.tensor(rest)
        start = len(one.prompt) - shared - 1  # the row before a token predicts it
        labels[row, start : start + len(one.answer)] = torch.tensor(one.answer)
    cache = prefixed_cache(model.model, batch[0].prompt[:shared], len(batch))
    hidden = model.model(input_ids=tokens, past_key_values=cache, use_cache=cache is not None).last_hidden_state
    example, position = torch.nonzero(labels != IGNORED_LABEL, as_tuple=True)
    return model.lm_head(hidden[example, position]), labels[example, position], example
