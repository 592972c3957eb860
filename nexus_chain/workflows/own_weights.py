"""What this machine computes by itself with a version's weights: log-probabilities of texts, and answers again."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nexus_chain.chain.model_registry import ModelVersion
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.program.file_names import WEIGHTS_FILE
from nexus_chain.versions.model_files import ModelFiles

if TYPE_CHECKING:
    from nexus_chain.evidence.verify import PositionProgress, VerificationReport
    from nexus_chain.program.model import IntegerModel

ROWS_AT_ONCE = 64
"""Rows of logits that are turned into log-probabilities at once: a row has as many as the vocabulary."""


@dataclass(frozen=True)
class ScoredToken:
    """A token's log-probability in nats after those before it, and the likeliest ones there with theirs.

    The first of a text has None and none: nothing predicts it.
    """

    token: int
    logprob: float | None
    top: tuple[tuple[int, float], ...] = ()


class OwnWeights:
    """One version's weights, loaded and checked against the chain's root at the first use. Any thread may use it.

    One computation at a time: each takes the machine as a whole.
    """

    def __init__(self, files: ModelFiles, version: ModelVersion) -> None:
        self._files, self._version = files, version
        self._turn = threading.Lock()
        self._loaded: IntegerModel | None = None

    @property
    def are_here(self) -> bool:
        """Whether the weights lie on this machine."""
        return (self._files.folder / WEIGHTS_FILE).is_file()

    def load(self) -> None:
        """Have them in memory and checked. Raises ModelFilesError."""
        if self._loaded is None:  # whoever computes with them need not be waited for
            with self._turn:
                self._model()

    def score(self, tokens: Sequence[int], top: int = 0) -> list[ScoredToken]:
        """Each token's log-probability, as the integer program has it, with the ``top`` likeliest in its place.

        Raises ModelFilesError.
        """
        import torch

        from nexus_chain.engine.engine import Engine
        from nexus_chain.quality.held_out import LOGIT_UNIT

        found = [ScoredToken(tokens[0], None)] if tokens else []
        if len(tokens) < 2:
            return found
        with self._turn:
            model = self._model()
            logits = Engine(model.program, model.weights).logits(torch.tensor(tokens[:-1], dtype=torch.int32))
        for start in range(0, len(logits), ROWS_AT_ONCE):
            logs = (logits[start : start + ROWS_AT_ONCE].to(torch.float64) * LOGIT_UNIT).log_softmax(1)
            following = tokens[start + 1 : start + 1 + len(logs)]
            values, ids = logs.topk(min(top, logs.shape[1]), 1)
            for row, token in enumerate(following):
                likeliest = zip(ids[row].tolist(), values[row].tolist(), strict=True)
                found.append(ScoredToken(token, float(logs[row, token]), tuple(likeliest)))
        return found

    def verify(
        self,
        proof: InferenceProof,
        receipt_keys: Mapping[str, str],
        progress: PositionProgress = lambda done, total: None,
    ) -> VerificationReport:
        """Recompute an answer; ``receipt_keys`` are the chain's, by node. Raises ModelFilesError.

        ``progress``: see ``verify_proof``; what it raises ends the computation.
        """
        from nexus_chain.evidence.verify import FULL, verify_proof

        with self._turn:
            return verify_proof(proof, self._model(), FULL, receipt_keys=receipt_keys, progress=progress)

    def _model(self) -> IntegerModel:
        if self._loaded is None:
            self._loaded = self._files.model(self._version)
        return self._loaded
