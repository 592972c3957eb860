"""Making a draft table: the model goes on from pieces of a text, and what it says is counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from nexus_chain.drafting.draft_table import DRAFT_CONTEXT, DraftTable
from nexus_chain.drafting.errors import DraftTableError
from nexus_chain.engine.engine import Engine
from nexus_chain.program.sampling import Sampling

ANSWER_TOKENS = 1_600_000
"""Tokens of answers that a table is made from; measured, a third of it costs an answer one round of 24."""
PIECE, ANSWER = 64, 128
"""Tokens of a prompt and of its answer, or half the model's context where that is shorter."""
BATCH = 32


def distil(
    engine: Engine,
    texts: Sequence[Sequence[int]],
    tokens: int = ANSWER_TOKENS,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[DraftTable, int]:
    """The table of what ``engine``, which holds all layers, says greedily after pieces of ``texts``.

    The pieces lie evenly over the texts, as many as answers of about ``tokens`` tokens need or as there are.
    ``advance`` is told of (tokens answered, tokens in all), which is returned too. The same input makes the
    same table. Raises DraftTableError where no text is long enough for a piece.
    """
    half = engine.program.shape.context // 2
    size, length = min(PIECE, half), min(ANSWER, half)
    prompts = _pieces(texts, size, max(1, tokens // length))
    if not prompts or size < DRAFT_CONTEXT:
        raise DraftTableError(
            f"no text has {max(size, DRAFT_CONTEXT)} tokens, as the model needs to go on from",
            advice="Give --text with more to read, like what the model will be asked.",
        )
    answers = []
    for start in range(0, len(prompts), BATCH):
        answers.append(_answers(engine, prompts[start : start + BATCH], length))
        advance(min(start + BATCH, len(prompts)) * length, len(prompts) * length)
    return DraftTable.of(np.concatenate(answers)), len(prompts) * length


def _pieces(texts: Sequence[Sequence[int]], size: int, most: int) -> list[list[int]]:
    """Pieces of ``size`` tokens, at most ``most`` of them, spread evenly over the texts."""
    places = [(text, start) for text in texts for start in range(0, len(text) - size + 1, size)]
    count = min(most, len(places))
    chosen = (places[number * len(places) // count] for number in range(count))
    return [list(text[start : start + size]) for text, start in chosen]


def _answers(engine: Engine, prompts: Sequence[Sequence[int]], length: int) -> NDArray[np.int32]:
    """i32[B, DRAFT_CONTEXT + length]: the end of each prompt and its greedy answer."""
    rows = [torch.tensor(prompt, dtype=torch.int32) for prompt in prompts]
    states = [engine.open(len(prompt), Sampling(), len(prompt) + length) for prompt in rows]
    found = [torch.stack([prompt[-DRAFT_CONTEXT:] for prompt in rows])]
    for _ in range(length):
        rows = engine.forward(list(zip(states, rows, strict=True)))
        found.append(torch.stack(rows))
    return torch.cat(found, dim=1).numpy()
