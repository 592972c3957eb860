"""Teachers and local models, as whoever has their methods, as sources."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from nexus_chain.distillation.distiller.adapters import LocalSource, TeacherSource
from nexus_chain.distillation.distiller.source import AnswerSource, SourceAnswer


@dataclass(frozen=True)
class Response:
    text: str
    tokens_used: int
    cost_usd: Decimal
    latency_ms: float


@dataclass(frozen=True)
class Generated:
    text: str
    tokens_generated: int
    latency_ms: float


class Desk:
    def query_single(self, teacher: str, prompt: str) -> Response:
        return Response(f"{teacher}: {prompt}", 12, Decimal("0.25"), 3.0)


def test_a_teacher_is_a_source_with_its_cost() -> None:
    source: AnswerSource = TeacherSource(Desk(), "claude", provider="anthropic")
    assert source.ask("x") == SourceAnswer("claude: x", Decimal("0.25"), 12, 3.0)
    assert (source.is_free, source.is_local) == (False, False)


def test_a_local_model_is_a_free_source() -> None:
    source: AnswerSource = LocalSource("smollm2", lambda prompt: Generated(prompt.upper(), 3, 4.0))
    assert source.ask("x") == SourceAnswer("X", Decimal(0), 3, 4.0)
    assert (source.is_free, source.is_local, source.provider) == (True, True, "local")
