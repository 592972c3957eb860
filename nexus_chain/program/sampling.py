"""What an order fixes about sampling: greedy, or Gumbel-max noise from a seed.

The noise keys of a position are part of the program's semantics, so they live beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import sha256

from nexus_chain.program.errors import SamplingError

NOISE_DOMAIN = b"nexus.gumbel.v1"
BETA_FRACTION = 16
BETA_MAX = 2**31 - 1


@dataclass(frozen=True)
class Sampling:
    """``beta`` is log2(e)/temperature in Q16, 0 for greedy; ``seed`` is 32 bytes fixed in the order."""

    beta: int = 0
    seed: bytes = bytes(32)

    def __post_init__(self) -> None:
        if not 0 <= self.beta <= BETA_MAX:
            raise SamplingError(
                f"Sampling parameter beta {self.beta} is outside [0, {BETA_MAX}]",
                advice="Use a temperature above 0.00005, or 0 for greedy.",
            )
        if len(self.seed) != 32:
            raise SamplingError(
                f"A sampling seed has 32 bytes, not {len(self.seed)}", advice="Draw it with secrets.token_bytes(32)."
            )

    @classmethod
    def at_temperature(cls, temperature: float, seed: bytes = bytes(32)) -> Sampling:
        """Sampling at a temperature; 0 is greedy."""
        if not math.isfinite(temperature) or temperature < 0:
            raise SamplingError(f"Temperature {temperature} is not a number >= 0", advice="Use 0 for greedy.")
        beta = round(2**BETA_FRACTION * math.log2(math.e) / temperature) if temperature else 0
        return cls(min(beta, BETA_MAX + 1), seed)

    def noise_keys(self, position: int) -> tuple[int, int]:
        """Two 32-bit keys of the noise added to the logits of ``position``."""
        digest = sha256(NOISE_DOMAIN + self.seed + position.to_bytes(8, "big")).digest()
        return int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:8], "big")
