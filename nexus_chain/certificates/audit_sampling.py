"""Which examples, verdicts and problems an audit looks at.

The seed is made of the certificate's hash and of the auditor's own randomness. So the operator cannot know the sample
when the certificate is signed, and the auditor can show afterwards how it was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True)
class AuditSample:
    """Draws without replacement. ``size`` None: everything."""

    seed: bytes
    size: int | None

    def choose(self, what: str, total: int) -> Sequence[int]:
        """Indices below ``total``, ascending, each once. Another ``what`` draws others.

        Candidates are SHA-256(seed length || seed || what || counter) mod total: for fewer than 2^64 things the
        remainder favours none by more than 2^-192.
        """
        if self.size is None or self.size >= total:
            return range(total)
        prefix, chosen, counter = len(self.seed).to_bytes(8, "big") + self.seed + what.encode(), set[int](), 0
        while len(chosen) < self.size:
            digest = sha256(prefix + counter.to_bytes(8, "big")).digest()
            chosen.add(int.from_bytes(digest, "big") % total)
            counter += 1
        return sorted(chosen)
