"""Teachers and the local engine as sources.

They are known by what they do and not by their classes: a teacher is whoever has ``query_single``, a local model
whatever gives a text and says how long it took.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from nexus_chain.distillation.distiller.source import SourceAnswer


class TeacherAnswer(Protocol):
    """What a teacher's response has; see component 2 of the design."""

    @property
    def text(self) -> str: ...

    @property
    def tokens_used(self) -> int: ...

    @property
    def cost_usd(self) -> Decimal: ...

    @property
    def latency_ms(self) -> float: ...


class TeacherDesk(Protocol):
    """Where teachers are asked by name."""

    def query_single(self, teacher: str, prompt: str) -> TeacherAnswer: ...


@dataclass(frozen=True)
class TeacherSource:
    """A teacher. ``provider``: who runs it, such as the host of its address. It keeps its own budget and retries."""

    desk: TeacherDesk
    name: str
    provider: str
    is_free: bool = False
    is_local: bool = False

    def ask(self, prompt: str) -> SourceAnswer:
        """Raises what the teacher raises."""
        found = self.desk.query_single(self.name, prompt)
        return SourceAnswer(found.text, Decimal(found.cost_usd), found.tokens_used, found.latency_ms)


class LocalAnswer(Protocol):
    """What a local model's response has; see component 1 of the design."""

    @property
    def text(self) -> str: ...

    @property
    def tokens_generated(self) -> int: ...

    @property
    def latency_ms(self) -> float: ...


@dataclass(frozen=True)
class LocalSource:
    """A model on this user's machines, which costs nothing. ``generate``: a prompt to an answer."""

    name: str
    generate: Callable[[str], LocalAnswer]
    provider: str = "local"
    is_free: bool = True
    is_local: bool = True

    def ask(self, prompt: str) -> SourceAnswer:
        """Raises what the engine raises."""
        found = self.generate(prompt)
        return SourceAnswer(found.text, Decimal(0), found.tokens_generated, found.latency_ms)
