"""The final answer and the steps in a response's text. What could mean two things is refused and not guessed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.characters import readable
from nexus_chain.distillation.judge.mathematics.final_answer import DASH, RELATION, one_final_answer
from nexus_chain.distillation.judge.mathematics.neutral_prose import require_undoubted
from nexus_chain.distillation.judge.mathematics.number_signs import NumberSigns
from nexus_chain.distillation.judge.mathematics.plain_words import BULLET
from nexus_chain.distillation.judge.mathematics.terms import FUNCTIONS

MOST_DERIVATION_STEPS = 100
_BOLD = re.compile(
    r"(?:(?<=[^\w)\]}]\s)|(?<=[A-Za-z]{2}\s)|^)\*\*(?=\S)([^*\n]+?)(?<=\S)\*\*(?=[\s.,;:!?]|$)", re.MULTILINE
)
_TOKEN = re.compile(
    rf"(?P<keep>(?:{'|'.join(FUNCTIONS)}|mod|or|and|frac)(?![^\W\d_]))|(?P<word>[^\W\d_]{{2,}}\w*|[^\W\d_]'\w+)"
    r"|(?P<name>[^\W\d_]\d*(?:_\w+)?)|(?P<number>\d+(?:[.,]\d+)*|\.\d+)"
    r"|(?P<sign>\*\*|[-+*/^%=<>!(){}\[\]|,\\√≤≥≠])|(?P<space>[ \t]+)|(?P<other>.)"
)


@dataclass(frozen=True)
class Response:
    """``answer``: the text of the final answer. ``steps``: texts that have a relation, in order.

    ``unread``: places that state something in a way that is not read, such as "- x = 1" or "12+7 gives 20".
    ``is_certain``: whether ``answer`` is named as the answer, or is all that the response says.
    ``text``: all of it, in plain form (see ``characters``). ``after``: what follows the last place that names the
    answer. ``signs``: how it writes numbers.
    """

    answer: str
    steps: tuple[str, ...]
    unread: tuple[str, ...]
    is_certain: bool
    text: str
    after: str

    @property
    def signs(self) -> NumberSigns:
        return NumberSigns.of(self.text)


def read_response(text: str, words: frozenset[str] = frozenset()) -> Response:
    """Raises MathematicsSubsetError, also where there is not exactly one answer."""
    # Long spaces first: patterns that look beyond each of them would take very long.
    text = re.sub(r"[ \t]+", " ", readable(text))
    require_undoubted(text, words)
    found = one_final_answer(_BOLD.sub(r"\1", text), words)
    steps, unread = _steps(found.rest, words)
    if len(steps) > MOST_DERIVATION_STEPS:
        raise MathematicsSubsetError(f"the response has more than {MOST_DERIVATION_STEPS} steps")
    return Response(found.text, tuple(steps), tuple(unread), found.is_certain, text, found.after)


def _steps(text: str, words: frozenset[str]) -> tuple[list[str], list[str]]:
    steps, unread = list[str](), list[str]()
    for line in text.split("\n"):
        plain = BULLET.sub("", line)
        unclear = DASH.match(plain) or "\\" in plain.replace("\\frac ", "")
        if unclear and re.search(r"\d|[=<>≤≥≠]", plain):
            unread.append(plain.strip())
            continue
        for run in _runs(plain, words):
            (steps if RELATION.search(run) and _is_whole(run) else unread).append(run)
    return steps, unread


def _is_whole(run: str) -> bool:
    """A run that begins or ends with a sign has lost an operand to a word beside it, or ends a sentence with "!"."""
    return run[0] not in "=<>≤≥≠+*/^%,)" and run[-1] not in "=<>≤≥≠+-*/^(,!"


def _runs(line: str, words: frozenset[str]) -> Iterator[str]:
    """Stretches of mathematics between words, those that have a relation or a number."""
    run = list[str]()
    for match in [*_TOKEN.finditer(line), None]:
        if match is None or _breaks(match, line, words):
            while run and run[0].strip(" ,") in ("", "or", "and"):
                del run[0]
            while run and run[-1].strip(" ,") in ("", "or", "and"):
                run.pop()
            if re.search(r"\d|[=<>≤≥≠]", text := "".join(run)):
                yield text
            run = []
        else:
            run.append(match.group())


def _breaks(match: re.Match[str], line: str, words: frozenset[str]) -> bool:
    if match.lastgroup == "word":
        return match.group() not in words
    if match.lastgroup == "name":
        # "a" and "I" between spaces are words, unless a sign stands beside them.
        around = line[: match.start()].rstrip()[-1:] + line[match.end() :].lstrip()[:1]
        return match.group() in ("a", "A", "I") and not re.search(r"[-+*/^=<>≤≥≠(|)]", around)
    return match.lastgroup == "other"
