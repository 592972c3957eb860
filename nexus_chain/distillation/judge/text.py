"""Agreement of answers in plain text, by embeddings. It is never a proof: liars may agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nexus_chain.distillation.judge.errors import ClaimError
from nexus_chain.distillation.judge.verdict import Kind, Outcome, Verdict

MOST_ANSWERS = 256
"""Answers that are compared with each other."""


class AnswerEmbedder(Protocol):
    """Whatever makes a vector of a text."""

    def embed(self, texts: Sequence[str]) -> NDArray[Any]:
        """Numbers [texts, width]; rows need not have length 1."""


def agreement(answers: Sequence[str], embedder: AnswerEmbedder) -> list[float]:
    """Each answer's mean cosine similarity with the others, in [0, 1]: below 0 counts as 0, and one alone has 0.

    Raises ClaimError for more than ``MOST_ANSWERS`` answers, and for vectors that are no numbers.
    """
    if len(answers) > MOST_ANSWERS:
        raise ClaimError(f"{len(answers)} answers are too many to compare", advice=f"Give at most {MOST_ANSWERS}.")
    if len(answers) < 2:
        return [0.0] * len(answers)
    vectors = np.asarray(embedder.embed(answers), np.float64)
    if vectors.ndim != 2 or len(vectors) != len(answers) or not np.isfinite(vectors).all():
        raise ClaimError("the embedder gave no vector for each answer", advice="Use an embedding model.")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    others = (units @ units.T).clip(0.0, 1.0)
    np.fill_diagonal(others, 0.0)
    return [float(total) for total in (others.sum(axis=1) / (len(answers) - 1)).clip(0.0, 1.0)]


def judge_text(answers: Sequence[str], embedder: AnswerEmbedder) -> Verdict:
    """Always *unknown*; ``checked`` has each answer's agreement, in their order. Raises ClaimError."""
    shown = ", ".join(f"{one:.3f}" for one in agreement(answers, embedder)) or "none"
    checked = f"The agreement by embeddings of each of {len(answers)} answers with the others: {shown}."
    return Verdict(Kind.TEXT, Outcome.UNKNOWN, checked, "Agreement is no proof: answers may agree and be wrong.")
