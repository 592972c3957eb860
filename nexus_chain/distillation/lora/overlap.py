"""Whether a held-out problem is among the examples: then measuring it would show memory and no skill.

Equal prompts are found by hash after normalisation, near-duplicates by MinHash (``datasketch``) and then exactly, by
the Jaccard index of the words' trigrams. Prompts of one template differ in their numbers alone, and ask for different
things: whose numbers differ, in value, sign or order, is no near-duplicate. How a number or a sign is written makes no
difference.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nexus_chain.distillation.errors import MissingPackageError
from nexus_chain.distillation.lora.errors import OverlapError

NEARLY_ALIKE = 0.8
"""The Jaccard index from which on two prompts with the same numbers count as one."""
_CANDIDATES = 0.6  # of the MinHash index: lower, so that an estimate loses none
_PERMUTATIONS = 128
_NUMBER = r"[0-9]{1,3}(?:[,_'][0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?"
_WORD = re.compile(rf"{_NUMBER}|[^\W\d_]+|[^\w\s]")
_SIGNS = frozenset("+-*/")
_OTHER_SIGNS = {ord(sign): usual for usual, signs in {
    "-": "\N{MINUS SIGN}\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{EN DASH}\N{FULLWIDTH HYPHEN-MINUS}",
    "*": "\N{MULTIPLICATION SIGN}\N{DOT OPERATOR}\N{MIDDLE DOT}\N{ASTERISK OPERATOR}",
    "/": "\N{DIVISION SIGN}\N{DIVISION SLASH}",
    "'": "\N{RIGHT SINGLE QUOTATION MARK}",
}.items() for sign in signs}  # fmt: skip
_TIMES = re.compile(r"(?<=[0-9])\s*x\s*(?=[0-9])")


@dataclass(frozen=True)
class Overlap:
    """Numbers, from 0, of a held-out prompt and of the example it is too near to; ``likeness``: 1.0 where equal."""

    held_out: int
    example: int
    likeness: float


def normal_hash(prompt: str) -> str:
    """SHA-256 in hex of a prompt's words: case, spaces and forms of one letter make no difference."""
    return hashlib.sha256(" ".join(_words(prompt)).encode()).hexdigest()


def overlaps(training: Sequence[str], held_out: Sequence[str]) -> Iterable[Overlap]:
    """Each held-out prompt that is among the training prompts, or near one of them. Raises MissingPackageError."""
    known = {normal_hash(prompt): number for number, prompt in enumerate(training)}
    rest = []
    for number, prompt in enumerate(held_out):
        if (same := known.get(normal_hash(prompt))) is not None:
            yield Overlap(number, same, 1.0)
        else:
            rest.append(number)
    yield from _near(training, held_out, rest)


def require_disjoint(training: Sequence[str], held_out: Sequence[str]) -> None:
    """Raise OverlapError, which names the first overlap, if there is any."""
    found = list(overlaps(training, held_out))
    if not found:
        return
    first = found[0]
    how = "equals" if first.likeness == 1.0 else f"is nearly ({first.likeness:.0%} alike)"
    raise OverlapError(
        f"held-out problem {first.held_out + 1} ({_short(held_out[first.held_out])!r}) {how} example "
        f"{first.example + 1} ({_short(training[first.example])!r}); {len(found)} of {len(held_out)} overlap",
        advice="Take these problems out of the examples, or hold others out.",
    )


def _near(training: Sequence[str], held_out: Sequence[str], numbers: Sequence[int]) -> Iterable[Overlap]:
    """Near-duplicates. Shingles of prompts with different numbers are different, so only the same numbers meet."""
    shingles = [_shingles(prompt) for prompt in training]
    groups = {next(iter(one))[0] for one in shingles}
    asked = {number: _shingles(held_out[number]) for number in numbers}
    asked = {number: one for number, one in asked.items() if next(iter(one))[0] in groups}
    if not asked:
        return  # nothing has the same numbers, and MinHash takes time
    wanted = {next(iter(one))[0] for one in asked.values()}
    index = _index()
    for number, one in enumerate(shingles):
        if next(iter(one))[0] in wanted:
            index.insert(number, _min_hash(one))
    for number, one in asked.items():
        likeness = {other: _jaccard(one, shingles[other]) for other in index.query(_min_hash(one))}
        best = max(likeness, key=lambda other: (likeness[other], -other), default=None)
        if best is not None and likeness[best] >= NEARLY_ALIKE:
            yield Overlap(number, best, likeness[best])


def _shingles(prompt: str) -> frozenset[tuple[str, str]]:
    """(the prompt's numbers with their signs, three words) for each three words in a row; at least one."""
    words = _words(prompt)
    following = [*words[1:], ""][: len(words)]
    numbers = " ".join(
        word
        for word, after in zip(words, following, strict=True)
        if word[0].isdecimal() or (word in _SIGNS and after[:1].isdecimal())
    )
    return frozenset((numbers, " ".join(words[at : at + 3])) for at in range(max(1, len(words) - 2)))


def _words(prompt: str) -> list[str]:
    """Words, numbers, and each sign as a word of its own; what nobody sees is dropped."""
    seen = "".join(_seen(character) for character in prompt.translate(_OTHER_SIGNS))
    usual = _TIMES.sub("*", unicodedata.normalize("NFKC", seen).casefold())
    return [_canonical(word) if word[0].isdecimal() else word for word in _WORD.findall(usual)]


def _seen(character: str) -> str:
    """Format characters, such as a zero-width space, are nothing; digits of any script are those of ASCII."""
    if unicodedata.category(character) == "Cf":
        return ""
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)


def _canonical(number: str) -> str:
    """The shortest form: 1,000 is 1000, 03 is 3, 3.50 is 3.5."""
    whole, _, part = re.sub("[,_']", "", number).partition(".")
    whole, part = whole.lstrip("0") or "0", part.rstrip("0")
    return f"{whole}.{part}" if part else whole


def _jaccard(one: frozenset[Any], other: frozenset[Any]) -> float:
    return len(one & other) / len(one | other)


def _index() -> Any:
    try:
        from datasketch import MinHashLSH
    except ImportError as cause:
        raise MissingPackageError.of("datasketch") from cause
    return MinHashLSH(threshold=_CANDIDATES, num_perm=_PERMUTATIONS)


def _min_hash(shingles: frozenset[tuple[str, str]]) -> Any:
    from datasketch import MinHash

    found = MinHash(num_perm=_PERMUTATIONS)
    found.update_batch([f"{numbers}\0{words}".encode() for numbers, words in sorted(shingles)])
    return found


def _short(prompt: str) -> str:
    return prompt if len(prompt) <= 80 else prompt[:77] + "..."
