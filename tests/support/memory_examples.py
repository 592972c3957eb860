"""Examples for tests of the memory, and an embedder that needs no model."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nexus_chain.distillation.memory.example import VerifiedExample

WORDS = tuple(
    first + second + third
    for first in ("ba", "de", "fi", "go", "lu", "me", "no", "pa", "ri", "su", "ta", "vo")
    for second in ("ban", "der", "fil", "gon", "lum", "met", "nor", "pal", "rin", "sut", "tav", "vos")
    for third in ("a", "e", "i", "o", "u", "y", "as", "es", "is", "os", "us", "an", "en", "in", "on", "un")
)


def example(prompt: str, response: str = "It is so.", **fields: object) -> VerifiedExample:
    """An example of which only what matters is given."""
    given = {"source": "oracle", "confidence": 0.9, "category": "text", "timestamp": 1000.0, **fields}
    return VerifiedExample.of(prompt, response, **given)  # type: ignore[arg-type]


def random_examples(count: int, seed: int = 0, words: int = 30) -> list[VerifiedExample]:
    """Examples of random words: no two are near-duplicates. The same for the same arguments."""
    draw = random.Random(seed)
    return [
        example(
            " ".join(draw.choices(WORDS, k=words)),
            " ".join(draw.choices(WORDS, k=words)),
            source=draw.choice(("oracle", "parrot")),
            confidence=draw.random(),
            category=draw.choice(("code", "math", "logic", "text")),
            timestamp=float(number),
            verification_proof=draw.choice((None, "proof")),
        )
        for number in range(count)
    ]


class WordHashEmbedder:
    """Sums a fixed random direction for each word: texts with the same words lie in the same direction."""

    def __init__(self, width: int = 96, name: str = "word-hash") -> None:
        self.name, self._width = name, width
        self._directions: dict[str, npt.NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """f32[n, width]."""
        rows = [sum((self._direction(word) for word in text.casefold().split()), self._zero) for text in texts]
        return np.stack(rows)

    @property
    def _zero(self) -> npt.NDArray[np.float32]:
        return np.zeros(self._width, np.float32)

    def _direction(self, word: str) -> npt.NDArray[np.float32]:
        if word not in self._directions:
            draw = np.random.default_rng(zlib.crc32(word.encode()))
            self._directions[word] = draw.standard_normal(self._width, np.float32)
        return self._directions[word]
