"""How far the answers of others agree with an answer.

A provider has one voice. Where several of its answers differ, the voice is divided among them, so that a hundred
names of one liar weigh as one. An answer's own provider is not heard: nobody vouches for himself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from nexus_chain.distillation.distiller.errors import EmbedderError
from nexus_chain.distillation.distiller.final_answer import final_answer
from nexus_chain.distillation.distiller.source import GivenAnswer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Agreement(Protocol):
    """How alike texts are."""

    @property
    def name(self) -> str:
        """Of the way in which it is measured; results that were kept under another name are not taken."""

    def likeness(self, texts: Sequence[str]) -> list[list[float]]:
        """[n][n] in 0..1, symmetric, 1 on the diagonal."""


class _Embedder(Protocol):
    """Texts to vectors."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32[n, width]; any length of a vector will do."""


class ExactAgreement:
    """1 for texts with the same final answer, 0 for others."""

    name = "exact"

    def likeness(self, texts: Sequence[str]) -> list[list[float]]:
        """See ``final_answer``."""
        answers = [final_answer(text) for text in texts]
        return [[float(one == other) for other in answers] for one in answers]


class EmbeddingAgreement:
    """The cosine of the texts' vectors, and 0 where it is negative.

    Sentences that contradict each other in a number or a "not" lie close together, so two texts whose final answers
    are different numbers agree by 0. Use it for prose, where there is no final answer to compare.
    """

    def __init__(self, embedder: _Embedder, name: str = "embeddings") -> None:
        self._embedder = embedder
        self.name = name

    def likeness(self, texts: Sequence[str]) -> list[list[float]]:
        """Raises EmbedderError for vectors that are none."""
        cosines = _cosines(self._embedder.embed(list(texts)), len(texts))
        numbers = [_number_or_none(text) for text in texts]
        for row, one in enumerate(numbers):
            for column, other in enumerate(numbers):
                if one is not None and other is not None and one != other:
                    cosines[row][column] = 0.0
        return cosines


def agreement_of(index: int, answers: Sequence[GivenAnswer], heard: Sequence[bool], alike: list[list[float]]) -> float:
    """0..1: the mean voice of the other providers on answer ``index``; 0 where no other one is heard.

    ``heard``: whose answers have a voice. ``alike``: an Agreement's matrix of the answers' texts.
    """
    voices: dict[str, list[float]] = {}
    for other, answer in enumerate(answers):
        if heard[other] and answer.provider != answers[index].provider:
            voices.setdefault(answer.provider, []).append(alike[index][other])
    if not voices:
        return 0.0
    return math.fsum(math.fsum(parts) / len(parts) for parts in voices.values()) / len(voices)


def _cosines(vectors: Any, count: int) -> list[list[float]]:
    import numpy

    found = numpy.asarray(vectors, dtype=numpy.float64)
    if found.ndim != 2 or len(found) != count or not numpy.isfinite(found).all():
        raise EmbedderError(
            f"the embedder gave no {count} finite vectors for {count} texts", advice="Give it a model for embeddings."
        )
    lengths = numpy.linalg.norm(found, axis=1, keepdims=True)
    units = found / numpy.where(lengths == 0, 1, lengths)
    cosines = numpy.clip(units @ units.T, 0, 1)
    numpy.fill_diagonal(cosines, 1)
    return [[float(value) for value in row] for row in (cosines + cosines.T) / 2]


def _number_or_none(text: str) -> str | None:
    found = final_answer(text)
    return found if found.lstrip("-").replace(".", "", 1).isdecimal() else None
