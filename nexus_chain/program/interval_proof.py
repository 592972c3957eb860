"""Small Z3 proofs that integer intermediates stay inside registers.

A :class:`Scope` collects variables with ranges and the facts that define floors, divisions and
products; :meth:`Scope.claim` proves a range of an expression and hands back a variable that has it.
Variables are *real* in Z3, because nonlinear arithmetic is decidable for reals and not for integers. Every integer
solution is a real solution, so what holds for the reals holds for the integers. Integers come back in one place: a
claim about ``[low, high]`` is proven as ``low - 1 < x < high + 1``, which is the same for an integer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import z3

from nexus_chain.program.errors import OverflowProofError

INT64 = (-(2**63), 2**63 - 1)
INT32 = (-(2**31), 2**31 - 1)
TIMEOUT_MS = 10_000


@dataclass(frozen=True)
class ProvenRange:
    """An intermediate and the range Z3 proved for it."""

    intermediate: str
    low: int
    high: int

    @property
    def bits(self) -> int:
        """Bits of its largest magnitude."""
        return max(abs(self.low), abs(self.high)).bit_length()


@dataclass
class Scope:
    """Variables and facts about one op (or one bit-length case of it)."""

    op: str
    facts: list[Any] = field(default_factory=list)
    proven: list[ProvenRange] = field(default_factory=list)

    def branch(self) -> Scope:
        """A case of this scope: inherits its facts, reports into the same list."""
        return Scope(self.op, list(self.facts), self.proven)

    def variable(self, name: str, low: int, high: int) -> Any:
        """A fresh value anywhere in ``[low, high]``."""
        value = z3.FreshReal(name)
        self.facts += [value >= low, value <= high]
        return value

    def claim(self, name: str, value: Any, low: int, high: int, register: tuple[int, int] = INT64) -> Any:
        """Prove ``low <= value <= high``, and that this lies in ``register``; a fresh value in that range."""
        self._prove(name, z3.Or(value <= low - 1, value >= high + 1))
        if low < register[0] or high > register[1]:
            self._prove(name, z3.Or(value < register[0], value > register[1]))
        self.proven.append(ProvenRange(name, low, high))
        return self.variable(name, low, high)

    def require(self, what: str, holds: bool) -> None:
        """A condition on parameters alone."""
        if not holds:
            raise OverflowProofError(f"Op {self.op}: {what}", advice="Do not serve this version; import it again.")

    def floor(self, name: str, numerator: Any, denominator: Any) -> Any:
        """A fresh value equal to ``numerator // denominator`` for a positive denominator."""
        quotient = z3.FreshReal(name)
        self.facts += [quotient * denominator <= numerator, numerator < (quotient + 1) * denominator]
        return quotient

    def rounded(self, name: str, value: Any, largest: int, shift: int) -> Any:
        """``rs(value, shift)`` of ``|value| <= largest``: at most ``(largest + half) >> shift``."""
        half = 1 << (shift - 1)
        before = self.claim(f"{name} before its shift", value + half, -largest + half, largest + half)
        return self.claim(
            name, self.floor(name, before, 1 << shift), (-largest + half) >> shift, (largest + half) >> shift
        )

    def rounded_by_any(self, name: str, value: Any, largest: int) -> Any:
        """``rs(value, s)`` for every s in [1, 62]: never larger than ``value``."""
        half = self.variable("half", 1, 2**61)
        self.claim(f"{name} before its shift", value + half, -largest + 1, largest + 2**61)
        return self.claim(name, self.floor(name, value + half, 2 * half), -largest, largest)

    def total(self, name: str, low: int, high: int, count: int, register: tuple[int, int] = INT64) -> Any:
        """A sum of ``count`` terms in ``[low, high]``, by induction over the number of terms."""
        number, term = self.variable("number", 0, count - 1), self.variable("term", low, high)
        partial = z3.FreshReal("partial")
        self.facts += [partial >= low * number, partial <= high * number]
        after = partial + term
        self._prove(name, z3.Or(after < low * (number + 1), after > high * (number + 1)))
        return self.claim(name, after, min(low * count, low), max(high * count, high), register)

    def _prove(self, name: str, violation: Any) -> None:
        """Raise :class:`OverflowProofError` unless ``violation`` contradicts the facts."""
        solver = z3.SolverFor("QF_NRA")
        solver.set("timeout", TIMEOUT_MS)
        solver.add(*self.facts, violation)
        answer = solver.check()
        if answer == z3.unsat:
            return
        example = f", for example with {solver.model()}" if answer == z3.sat else " (Z3 found no answer in time)"
        raise OverflowProofError(
            f"Op {self.op}: {name} can leave its range{example}",
            advice="Do not serve this version; import it with narrower activations or smaller chunks.",
        )
