"""The final answer and the steps in a response's text.

An answer is what ``\\boxed{}``, ``####`` or "the answer is" names, else the last line. Two different candidates are no
answer: nobody chooses between them. A text that could mean two things is refused and not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.characters import readable
from nexus_chain.distillation.judge.mathematics.terms import FUNCTIONS

MOST_DERIVATION_STEPS = 100
MOST_MARKED_ANSWERS = 20
"""Places that name a final answer, even the same one."""
_ANSWER = re.compile(
    r"(?:^|(?<=[.;:!?\n]))[ \t]*(?:(?:so|thus|hence|therefore|and|finally),?[ ]+)?(?:(?:the|my|our)[ ]+)?"
    r"(?:(?:final|correct)[ ]+)?answer[ ]*(?:is\b|:|=)[ ]*:?(?P<text>[^\n]*)",
    re.IGNORECASE | re.MULTILINE,
)
_ANY_ANSWER = re.compile(r"answer\s*(?:is|was|:|=)", re.IGNORECASE)
_HASHES = re.compile(r"^[ \t]*#{4}(?!#)(?P<text>[^\n]*)", re.MULTILINE)
_DOUBT = (
    r"not|never|cannot|wrong|incorrect|false|untrue|ignore|about|approximately|roughly|around|nearly|almost|"
    r"at least|at most|possibly|maybe|perhaps|might|could"
)
_DENIAL = re.compile(rf"\b(?:{_DOUBT})\b|n't\b", re.IGNORECASE)
_CONDITION = re.compile(rf"\b(?:{_DOUBT}|if|suppos\w+|assum\w+|unless|when|would|were)\b|n't\b", re.IGNORECASE)
_RETRACTION = re.compile(
    rf"\b(?:{_DOUBT}|no|actually|wait|correction|instead|rather|oops|sorry|mistake|should)\b|n't\b", re.IGNORECASE
)
_BOLD = re.compile(
    r"(?:(?<=[^\w)\]}]\s)|(?<=[A-Za-z]{2}\s)|^)\*\*(?=\S)([^*\n]+?)(?<=\S)\*\*(?=[\s.,;:!?]|$)", re.MULTILINE
)
_BULLET = re.compile(
    r"^[ \t]*(?:[*•][ ]+|\d{1,2}[.)][ ]+(?=\S)|(?:step|line)[ ]*\d{1,3}[ ]*[:.)])", re.I | re.MULTILINE
)
_DASH = re.compile(r"^[ \t]*-[ ]")
_TOKEN = re.compile(
    rf"(?P<keep>(?:{'|'.join(FUNCTIONS)}|mod|or|and|frac)(?![^\W\d_]))|(?P<word>[^\W\d_]{{2,}}\w*|[^\W\d_]'\w+)"
    r"|(?P<name>[^\W\d_]\d*(?:_\w+)?)|(?P<number>\d+(?:[.,]\d+)*|\.\d+)"
    r"|(?P<sign>\*\*|[-+*/^%=<>!(){}\[\]|,\\√≤≥≠])|(?P<space>[ \t]+)|(?P<other>.)"
)
_RELATION = re.compile(r"[=<>≤≥≠]")


@dataclass(frozen=True)
class Response:
    """``answer``: the text of the final answer. ``steps``: texts that have a relation, in order.

    ``unread``: places that state something in a way that is not read, such as "if x = 1".
    """

    answer: str
    steps: tuple[str, ...]
    unread: tuple[str, ...]


def read_response(text: str, words: frozenset[str] = frozenset()) -> Response:
    """Raises MathematicsSubsetError, also where there is not exactly one answer."""
    text = _BOLD.sub(r"\1", readable(text))
    candidates, rest = _marked(text)
    if not candidates:
        answer, rest = _last_line(text, words)
        candidates = [answer]
    answers = list(dict.fromkeys(_tidy(one) for one in candidates))
    if len(answers) != 1:
        raise MathematicsSubsetError("the response names more than one final answer")
    if not answers[0]:
        raise MathematicsSubsetError("the final answer is empty")
    steps, unread = _steps(rest, words)
    if len(steps) > MOST_DERIVATION_STEPS:
        raise MathematicsSubsetError(f"the response has more than {MOST_DERIVATION_STEPS} steps")
    return Response(answers[0], tuple(steps), tuple(unread))


def _tidy(text: str) -> str:
    """One form for the same answer: no spaces around it, no full stop, no box."""
    text = _unwrapped(text.strip())
    text = _unwrapped(text.removesuffix(".").strip())
    if "\\" in re.sub(r"\\frac ", "", text):
        raise MathematicsSubsetError("the final answer has text inside of mathematics")
    return re.sub(r"[ \t]+", " ", text).strip()


def _unwrapped(text: str) -> str:
    for command in ("boxed", "text", "textbf", "mathrm", "mathbf"):
        start = f"\\{command}{{"
        if text.startswith(start) and _closing(text, len(start)) == len(text) - 1:
            return text[len(start) : -1].strip()
    return text


def _closing(text: str, place: int) -> int:
    """Where the brace that was opened before ``place`` closes. Raises MathematicsSubsetError."""
    open_braces = 1
    for index in range(place, len(text)):
        open_braces += (text[index] == "{") - (text[index] == "}")
        if open_braces == 0:
            return index
    raise MathematicsSubsetError("a brace is not closed")


def _marked(text: str) -> tuple[list[str], str]:
    """What boxes, hashes and words name as the answer, and the text without it."""
    candidates, rest = list[str](), text
    marks = len(_ANSWER.findall(text)) + len(_HASHES.findall(text)) + text.count("\\boxed")
    if marks > MOST_MARKED_ANSWERS:
        raise MathematicsSubsetError(f"the response names a final answer more than {MOST_MARKED_ANSWERS} times")
    for pattern in (_ANSWER, _HASHES):
        for match in pattern.finditer(text):
            _require_plain_line(text, match.start("text"))
            _require_last_word(text[match.start("text") :])
            candidates.append(_sentence(match["text"]))
        rest = pattern.sub("\n", rest)
    if _ANY_ANSWER.search(_ANSWER.sub("\n", text)):
        raise MathematicsSubsetError("the response speaks of an answer in a way that is not read")
    while (place := rest.find("\\boxed")) >= 0:
        if not rest.startswith("\\boxed{", place):
            raise MathematicsSubsetError("a box is not written as \\boxed{…}")
        _require_plain_line(rest, place)
        end = _closing(rest, place + 7)
        _require_last_word(rest[end + 1 :])
        candidates.append(rest[place + 7 : end])
        rest = rest[:place] + " ; " + rest[end + 1 :]
    return candidates, rest


def _require_plain_line(text: str, place: int) -> None:
    """The line that marks an answer must not deny it, or hide it behind a LaTeX comment."""
    start, end = text.rfind("\n", 0, place) + 1, text.find("\n", place)
    line = text[start : end if end >= 0 else len(text)]
    if _DENIAL.search(line):
        raise MathematicsSubsetError("the line of the final answer denies something")
    if "%" in text[start:place]:
        raise MathematicsSubsetError("a percent sign before the final answer may begin a comment")


def _require_last_word(after: str) -> None:
    """What follows must not take the answer back: "The answer is 14. Wait, 15." names none."""
    if _RETRACTION.search(after):
        raise MathematicsSubsetError("what follows the final answer may take it back")


def _sentence(text: str) -> str:
    """Up to a full stop that ends a sentence; a decimal point does not."""
    if text.rstrip().endswith("!"):
        raise MathematicsSubsetError("'!' at the end may be a factorial or the end of a sentence")
    return re.split(r"\.(?=\s|$)", text, maxsplit=1)[0].split(" ; ")[0]


def _last_line(text: str, words: frozenset[str]) -> tuple[str, str]:
    """The last line as the answer, where it is mathematics alone, and the text with that line's own steps."""
    lines = [line for line in text.split("\n") if line.strip(" ;.")]
    if not lines:
        raise MathematicsSubsetError("the response is empty")
    last = lines[-1].strip()
    if "%" in text and re.search(r"%[^\n]*[A-Za-z]{3}", text):
        raise MathematicsSubsetError("a percent sign may begin a comment")
    if _DENIAL.search(last) or _DASH.match(lines[-1]):
        raise MathematicsSubsetError("the last line may mean two things")
    last = _BULLET.sub("", last)
    pieces = [piece for piece in last.split(" ; ") if piece.strip()]
    has_relation = _RELATION.search(last) is not None
    answer = _after_words(pieces[-1] if pieces else last, words)
    return answer, text if has_relation else "\n".join(lines[:-1])


def _after_words(line: str, words: frozenset[str]) -> str:
    """The mathematics that ends a line: "So the total is 12 + 2 = 14", "Total = 14". Else the line as it is."""
    runs = list(_runs(line, words))
    if len(runs) != 1 or not re.sub(r"\s+", " ", line.rstrip(" .")).endswith(runs[0]):
        return line
    return runs[0].lstrip("= ")


def _steps(text: str, words: frozenset[str]) -> tuple[list[str], list[str]]:
    steps, unread = list[str](), list[str]()
    for line in text.split("\n"):
        plain = _BULLET.sub("", line)
        if not _RELATION.search(plain):
            continue
        if _CONDITION.search(plain) or _DASH.match(plain) or "\\" in re.sub(r"\\frac ", "", plain):
            unread.append(plain.strip())
            continue
        for run in _runs(plain, words):
            (steps if _is_whole(run) else unread).append(run)
    return steps, unread


def _is_whole(run: str) -> bool:
    """A run that begins or ends with a sign has lost an operand to a word beside it, or ends a sentence with "!"."""
    return run[0] not in "=<>≤≥≠+*/^%,)" and run[-1] not in "=<>≤≥≠+-*/^(,!"


def _runs(line: str, words: frozenset[str]) -> Iterator[str]:
    """Stretches of mathematics between words, those that have a relation."""
    run = list[str]()
    for match in [*_TOKEN.finditer(line), None]:
        if match is None or _breaks(match, line, words):
            text = re.sub(r"^(?:\s|,|\b(?:or|and)\b)+|(?:\s|,|\b(?:or|and)\b)+$", "", "".join(run))
            if _RELATION.search(text):
                yield re.sub(r"\s+", " ", text)
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
