"""What an integer program makes of an evaluation set, and the figures that certificates state about it.

The program answers greedily, so its answers are the same on every machine, and so are the hits. Losses are sums of
float64 logarithms, rounded to thousandths of a nat for each problem; everything after that is exact arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import torch

from nexus_chain.certificates.distillation_certificate import EXACT_MATCH, LAST_NUMBER, CertifiedScore
from nexus_chain.certificates.distillation_records import ProblemRecord
from nexus_chain.certificates.errors import EvaluationSetError
from nexus_chain.distillation.lora.accuracy import EXACT, MeasuredAccuracy, rises_enough
from nexus_chain.engine.engine import Engine
from nexus_chain.program.sampling import Sampling
from nexus_chain.quality.held_out import LOGIT_UNIT
from nexus_chain.versions.text_codec import TextCodec

_BATCH = 16  # problems that are answered together: it changes no answer
_NUMBER = re.compile(r"(?<![\d.])-?\d+(?:\.\d+)?")
_LARGEST_EXPONENT = Decimal(100)
"""Nats: beyond it a perplexity says no more, and has more digits than the arithmetic here."""


@dataclass(frozen=True)
class ProblemResult:
    """One problem: the answer that was given, whether it is right, and the loss of the expected one.

    ``loss``: thousandths of a nat over ``tokens`` tokens.
    """

    answer: str
    hit: bool
    loss: int
    tokens: int


@dataclass(frozen=True)
class Evaluator:
    """A model version's integer program with its text codec. ``max_tokens``: of an answer. ``metric``: see METRICS."""

    engine: Engine
    codec: TextCodec
    max_tokens: int
    metric: str = EXACT_MATCH

    def results(self, problems: Sequence[ProblemRecord]) -> Iterator[ProblemResult]:
        """The results of ``problems``, in order. Raises EvaluationSetError and the engine's errors."""
        for start in range(0, len(problems), _BATCH):
            group = problems[start : start + _BATCH]
            prompts = [self.prompt(problem) for problem in group]
            answers = self._answers(prompts)
            for problem, prompt, answer in zip(group, prompts, answers, strict=True):
                tokens = self.expected(problem)
                yield ProblemResult(
                    answer, is_hit(answer, problem, self.metric), self._loss(prompt, tokens), len(tokens)
                )

    def prompt(self, problem: ProblemRecord) -> list[int]:
        """Token ids of a problem: a conversation for a model that has them. Raises EvaluationSetError if too long."""
        if self.codec.chat_template is None:
            tokens = self.codec.encode_plain(problem.prompt, special=True)
        else:
            tokens = self.codec.chat_prompt([{"role": "user", "content": problem.prompt}])
        context = self.engine.program.shape.context
        if len(tokens) + self.max_tokens - 1 > context or len(tokens) + len(self.expected(problem)) > context:
            raise EvaluationSetError(
                f"the problem {problem.prompt[:40]!r} and its answer exceed the model's context of {context} tokens",
                advice="Leave such problems out of the evaluation set.",
            )
        return tokens

    def expected(self, problem: ProblemRecord) -> list[int]:
        """Token ids of the expected answer."""
        return self.codec.encode_plain(problem.answer)

    def _answers(self, prompts: Sequence[list[int]]) -> list[str]:
        """Greedy answers up to a token that ends them."""
        engine, given = self.engine, [list[int]() for _ in prompts]
        states = [engine.open(len(prompt), Sampling(), len(prompt) + self.max_tokens - 1) for prompt in prompts]
        rows = {index: torch.tensor(prompt, dtype=torch.int32) for index, prompt in enumerate(prompts)}
        for _ in range(self.max_tokens):
            outputs = engine.forward([(states[index], row) for index, row in rows.items()])
            said = {index: output[-1:] for index, output in zip(rows, outputs, strict=True)}
            rows = {index: token for index, token in said.items() if int(token) not in self.codec.end_tokens}
            for index, token in rows.items():
                given[index].append(int(token))
            if not rows:
                break
        return [self.codec.decode(tokens) for tokens in given]

    def _loss(self, prompt: Sequence[int], answer: Sequence[int]) -> int:
        tokens = torch.tensor([*prompt, *answer], dtype=torch.int32)
        scores = self.engine.logits(tokens[:-1])[len(prompt) - 1 :].to(torch.float64) * LOGIT_UNIT
        chosen = scores.gather(1, tokens[len(prompt) :, None].long())[:, 0]
        return round(1000 * max(0.0, float((scores.logsumexp(1) - chosen).sum())))


def is_hit(answer: str, problem: ProblemRecord, metric: str = EXACT_MATCH) -> bool:
    """Whether ``answer`` is right; blanks around either do not count. ``metric``: one of METRICS."""
    given, expected = answer.strip(), problem.answer.strip()
    if metric == LAST_NUMBER:
        numbers = _NUMBER.findall(given.replace(",", ""))
        given = numbers[-1] if numbers else ""
    return given == expected


def score_of(results: Sequence[ProblemResult]) -> CertifiedScore:
    """What a certificate states about the results of a whole evaluation set."""
    return score_from(
        [result.hit for result in results],
        [result.loss for result in results],
        sum(result.tokens for result in results),
    )


def score_from(hits: Sequence[bool], losses: Sequence[int], answer_tokens: int) -> CertifiedScore:
    """Every figure of a score, from what was found for each problem."""
    measured = MeasuredAccuracy(sum(hits), len(hits))
    low, high = measured.interval
    loss = EXACT.divide(Decimal(sum(losses)), Decimal(1000 * answer_tokens))
    return CertifiedScore(
        hits=sum(hits),
        hit_bits=packed_bits(hits),
        accuracy=_written(measured.value),
        accuracy_low=_written(low),
        accuracy_high=_written(high),
        losses=tuple(losses),
        answer_tokens=answer_tokens,
        loss=_written(loss),
        perplexity=_written(EXACT.exp(min(loss, _LARGEST_EXPONENT)), "0.0001"),
    )


def packed_bits(bits: Sequence[bool]) -> str:
    """0x hex: bit i is bit i % 8, the lowest first, of byte i // 8."""
    found = bytearray((len(bits) + 7) // 8)
    for index, bit in enumerate(bits):
        found[index // 8] |= bit << index % 8
    return "0x" + found.hex()


def unpacked_bits(text: str, count: int) -> list[bool] | None:
    """The ``count`` bits of ``packed_bits``; None where ``text`` does not hold exactly as many."""
    data = bytes.fromhex(text[2:])
    bits = [bool(data[index // 8] >> index % 8 & 1) for index in range(8 * len(data))][:count]
    return bits if packed_bits(bits) == text and len(bits) == count else None


def is_deployable(before: CertifiedScore, after: CertifiedScore) -> bool:
    """Whether accuracy rose by more than 5 points and the new interval lies above the old accuracy."""
    return rises_enough(Decimal(before.accuracy), Decimal(after.accuracy), Decimal(after.accuracy_low))


def _written(value: Decimal, unit: str = "0.000001") -> str:
    return f"{value.quantize(Decimal(unit), context=EXACT):f}"
