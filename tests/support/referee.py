"""A model, a trace of it and the real step verifier: what the tests of single steps share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nexus_chain.commitments.tensor import RowLayout
from nexus_chain.disputes import challenger, defender
from nexus_chain.disputes.stored_trace import StoredTrace
from nexus_chain.disputes.trace import Trace, TracedSequence
from nexus_chain.disputes.witness_abi import ScorePart
from nexus_chain.disputes.witnesses import PublishedModel, WitnessBuilder
from nexus_chain.engine.engine import Engine
from nexus_chain.program import IntegerModel, Sampling
from nexus_chain.program.dtypes import DTYPE_BYTES
from tests.support.evm import Contract, Machine

SALT = bytes(range(100, 132))


def random_tokens(model: IntegerModel, positions: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, model.program.shape.vocab, (positions,), generator=generator, dtype=torch.int32)


def honest_trace(
    model: IntegerModel, layers: tuple[int, int], positions: int, prompt: int, sampling: Sampling, seed: int = 1
) -> StoredTrace:
    """Trace of a segment on random tokens (of which the sampled ones need not be the program's)."""
    rows = tokens = random_tokens(model, positions, seed)
    if layers[0]:
        engine = Engine(model.program, model.weights, 0, layers[0])
        rows = engine.forward([(engine.open(prompt, sampling, positions), tokens)])[0]
    sequence = TracedSequence(rows, tokens[:prompt], sampling, SALT)
    return StoredTrace.of(Trace(model.program, model.weights, layers, sequence))


@dataclass(frozen=True)
class Verdict:
    """What the verifier said about one element, and the gas and calldata that it took."""

    convicted: bool
    gas: int
    calldata: int
    part: ScorePart | None = None


class Referee:
    """Asks the step verifier about elements of posted traces."""

    def __init__(self, model: PublishedModel) -> None:
        self.model = model
        self.machine = Machine()
        self.verifier: Contract = self.machine.deploy("StepVerifier")
        self._builder: WitnessBuilder | None = None

    def judge(self, posted: StoredTrace, number: int, element: int, own: Trace | None = None) -> Verdict:
        """Step element ``element`` (row-major) of tensor ``number`` of the trace ``posted``.

        ``own`` is the challenger's trace; its score row is compared where attention is stepped.
        """
        spec = posted.layout.tensor(number)
        per_leaf = RowLayout.of(spec.dtype, spec.shape).leaf_bytes // DTYPE_BYTES[spec.dtype]
        leaf, within = divmod(element, per_leaf)
        builder = self.builder(posted)
        data = defender.leaf(posted, number, leaf).data
        claim = builder.claim(number, leaf, data)
        subject = builder.subject().values()
        if spec.op is not None and spec.op.kind == "attention":
            return self._judge_scores(posted, builder, (number, leaf, data, within), own or posted)
        witness = builder.witness(number, leaf, data, within).encoded()
        return self._ask("convicts", subject, claim.values(), witness)

    def builder(self, posted: StoredTrace) -> WitnessBuilder:
        """Builder over the posted trace; the last one is kept."""
        if self._builder is None or self._builder.trace is not posted:
            self._builder = WitnessBuilder(self.model, posted, posted.roots())
        return self._builder

    def _judge_scores(
        self, posted: StoredTrace, builder: WitnessBuilder, claimed: tuple[int, int, bytes, int], own: Trace
    ) -> Verdict:
        number, leaf, _, element = claimed
        theirs = builder.score_row(number, leaf, element)
        right = WitnessBuilder(self.model, own, builder.roots).score_row(number, leaf, element)
        row = theirs.record_bytes, theirs.score_bytes
        return self.judge_row(builder, claimed, row, challenger.wrong_statement(row, right))

    def judge_row(
        self,
        builder: WitnessBuilder,
        claimed: tuple[int, int, bytes, int],
        row: tuple[bytes, bytes],
        wrong: tuple[ScorePart, int],
    ) -> Verdict:
        """Step one statement of a posted score row (records, scores)."""
        number, leaf, data, element = claimed
        subject, claim = builder.subject().values(), builder.claim(number, leaf, data).values()
        root = self.verifier.call("scoreRoot", subject, claim, element, builder.descriptor(number).values(), *row)
        witness = builder.score_witness(claimed, row, wrong).encoded()
        verdict = self._ask("convictsScores", subject, claim, element, root, witness)
        return Verdict(verdict.convicted, verdict.gas, verdict.calldata, wrong[0])

    def _ask(self, function: str, *arguments: object) -> Verdict:
        convicted = self.verifier.call(function, *arguments)
        calldata = len(self.verifier.encode(function, *arguments))
        return Verdict(bool(convicted), self.verifier.gas_used, calldata)


def size_of(trace: Trace, number: int) -> int:
    """Elements of a tensor."""
    return math.prod(trace.layout.tensor(number).shape)
