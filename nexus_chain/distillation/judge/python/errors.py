"""What can go wrong with claims about Python. Code that is odd, hostile or wrong is no error: it gets a verdict.

PythonClaimError    a document that is no claim
"""

from __future__ import annotations

from nexus_chain.distillation.judge.errors import JudgeError


class PythonClaimError(JudgeError):
    """Raised for a claim whose own fields are malformed: its domain, contract, reference or examples."""


class OutsideSubsetError(Exception):
    """Inside this folder only: a construct that is not translated, and its line. It becomes the reason of *unknown*."""

    def __init__(self, construct: str, line: int | None = None) -> None:
        self.construct = construct
        super().__init__(construct if line is None else f"line {line}: {construct}")
