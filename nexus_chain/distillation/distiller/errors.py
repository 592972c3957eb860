"""What can go wrong while answers are asked for, weighed and kept.

DistillerError
├── DistillationRequestError    a request, weights or a set of sources that cannot be
├── SourceError                 one source gave no answer: it is reported, and the others go on
│   ├── UnusableAnswerError     it gave nothing, or more than anybody reads
│   └── AskedBeforeError        it was asked before, and asking again could be paid twice
├── NoSourceAnsweredError       none of them gave an answer
├── EmbedderError               vectors that are no vectors of the texts
└── DistillationJournalError    the journal cannot be opened, read or written
"""

from __future__ import annotations

from decimal import Decimal

from nexus_chain.distillation.errors import DistillationError


class DistillerError(DistillationError):
    """Root of this folder's errors."""


class DistillationRequestError(DistillerError):
    """Raised before anybody is asked: what is wanted cannot be."""


class SourceError(DistillerError):
    """A source gave no answer. ``maybe_paid``: money may be gone all the same. ``cost_usd``: what is known to be."""

    def __init__(self, message: str, *, advice: str, maybe_paid: bool = False, cost_usd: Decimal = Decimal(0)) -> None:
        super().__init__(message, advice=advice)
        self.maybe_paid = maybe_paid
        self.cost_usd = cost_usd


class UnusableAnswerError(SourceError):
    """Raised for an answer that is empty, too long or no text."""


class AskedBeforeError(SourceError):
    """Raised instead of asking a source twice that may have been paid already."""


class NoSourceAnsweredError(DistillerError):
    """Raised when no source gave an answer; the message has each one's reason."""


class EmbedderError(DistillerError):
    """Raised when an embedder returns something else than a finite vector for every text."""


class DistillationJournalError(DistillerError):
    """Raised when the journal or the record of sources is damaged, busy or cannot be written."""
