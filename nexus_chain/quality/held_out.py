"""The held-out sample and what is measured on it: texts nobody trained on, cut into windows.

The sample is canonical JSON of (path, text) pairs, gzipped. Each text must be in the certified listing. The token
stream has the end-of-text token before every file, as in training. It is cut into windows of ``window`` tokens. Every
token but the stream's first is predicted from the tokens before it in its window.

Integer measurements are exact: the same sample and program give the same counts on any machine.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

import torch
from tokenizers import Tokenizer
from torch import Tensor

from nexus_chain.content.canonical import canonical_bytes, read_canonical, require
from nexus_chain.content.errors import CanonicalFormatError
from nexus_chain.content.listing import DataListing, ListedFile
from nexus_chain.quality.errors import MeasurementError
from nexus_chain.versions.tokenizer_faults import tokenizer_faults

_FORMAT = "nexus.held-out-sample.v1"
END_OF_TEXT = "<|endoftext|>"
LOGIT_UNIT = 2.0**-12
MAX_SAMPLE_BYTES = 16 << 20

#: Name of the sample in a checkpoint's folder.
SAMPLE_FILE = "held_out.json.gz"


class LogitModel(Protocol):
    """Anything that gives logits: ``nexus_chain.engine``'s Engine over all layers."""

    def logits(self, tokens: Tensor) -> Tensor:
        """Logits [T, vocab] after each of the tokens i32[T]."""


@dataclass(frozen=True)
class HeldOutText:
    """One held-out file."""

    path: str
    text: str


@dataclass(frozen=True)
class HeldOutSample:
    """Some whole held-out files."""

    texts: tuple[HeldOutText, ...]
    format: str = _FORMAT

    def __post_init__(self) -> None:
        require(self.format == _FORMAT, "sample.format", f"must be {_FORMAT}")

    @classmethod
    def choose(cls, files: Iterable[tuple[str, str]], tokenizer: Tokenizer, tokens: int) -> HeldOutSample:
        """Whole files in the order of their paths' hashes until ``tokens`` tokens are reached."""
        chosen, count = [], 0
        for path, text in sorted(files, key=lambda item: sha256(item[0].encode()).digest()):
            if count >= tokens:
                break
            chosen.append(HeldOutText(path, text))
            count += 1 + len(_tokens(tokenizer, text))
        return cls(tuple(chosen))

    @classmethod
    def from_bytes(cls, data: bytes) -> HeldOutSample:
        """Read ``to_bytes``; CanonicalFormatError for anything else."""
        try:
            inflater = zlib.decompressobj(wbits=31)
            plain = inflater.decompress(data, MAX_SAMPLE_BYTES)
        except zlib.error as error:
            raise CanonicalFormatError(f"the sample is not gzip ({error})", advice="Fetch it again") from error
        require(inflater.eof, "sample", f"is truncated or larger than {MAX_SAMPLE_BYTES} bytes")
        return read_canonical(cls, plain, "sample")

    def to_bytes(self) -> bytes:
        """Gzipped canonical JSON; the same bytes every time."""
        return gzip.compress(canonical_bytes(self), mtime=0)

    def require_listed(self, listing: DataListing) -> None:
        """Raise MeasurementError unless every text is a held-out file of ``listing``."""
        listed = {file.path: file for file in listing.held_out}
        for text in self.texts:
            if listed.get(text.path) != ListedFile.of(text.path, text.text):
                raise MeasurementError(
                    f"{text.path!r} of the sample is not that held-out file of the data listing",
                    advice="Do not trust the metrics: they were measured on something else",
                )

    def windows(self, tokenizer: Tokenizer, window: int) -> list[Tensor]:
        """i64[window + 1] each: the window's tokens and the one after; the incomplete last is dropped."""
        end = tokenizer.token_to_id(END_OF_TEXT)
        if end is None:
            raise MeasurementError(f"the tokenizer has no {END_OF_TEXT}", advice="Use the model's own tokenizer")
        stream: list[int] = []
        for text in self.texts:
            stream += [end, *_tokens(tokenizer, text.text)]
        return cut(stream, window)


@dataclass(frozen=True)
class SampleMeasurement:
    """Hits per window, sum of losses in nats, and the largest logit's index everywhere i64[tokens]."""

    hits: tuple[int, ...]
    loss: float
    best: Tensor

    @property
    def perplexity(self) -> float:
        """exp of the mean loss, to the 4 decimals that certificates state."""
        return round(float(torch.tensor(self.loss / len(self.best), dtype=torch.float64).exp()), 4)


def cut(stream: Sequence[int], window: int) -> list[Tensor]:
    """i64[window + 1] each: a window's tokens and the one after; the incomplete last is dropped."""
    starts = range(0, len(stream) - window, window)
    return [torch.tensor(stream[start : start + window + 1], dtype=torch.int64) for start in starts]


def measure(model: LogitModel, windows: Sequence[Tensor], unit: float = LOGIT_UNIT) -> SampleMeasurement:
    """Run ``model`` over every window; ``unit`` is the real value of one logit step (1 for floats)."""
    hits, loss, best = [], 0.0, []
    for window in windows:
        logits, following = model.logits(window[:-1].to(torch.int32)), window[1:]
        chosen = _first_largest(logits)
        hits.append(int((chosen == following).sum()))
        scores = logits.to(torch.float64) * unit
        loss += float((scores.logsumexp(1) - scores.gather(1, following[:, None])[:, 0]).sum())
        best.append(chosen)
    if not best:
        raise MeasurementError("the sample is shorter than one window", advice="Use a longer held-out sample")
    return SampleMeasurement(tuple(hits), loss, torch.cat(best))


def _first_largest(logits: Tensor) -> Tensor:
    """Index of the largest entry of every row, the lowest where several are largest."""
    top = logits.amax(1, keepdim=True)
    index = torch.arange(logits.shape[1]).expand_as(logits)
    return index.masked_fill(logits != top, logits.shape[1]).amin(1)


def _tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    with tokenizer_faults("the tokenizer fails at a held-out text"):
        return list(tokenizer.encode(text).ids)
