"""Which text is the final answer: what ``\\boxed{}``, ``####`` or "the answer is" names, else the last line.

Two different candidates are no answer: nobody chooses between them. Words beside an answer can turn it into another
one or take it back, so only a few are read: before a mark those of an allow-list, and after it no mathematics at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.plain_words import (
    BULLET,
    RETRACTION,
    after_plain_words,
    chain_before_box,
    require_own_words,
    require_plain_words,
)

MOST_MARKED_ANSWERS = 20
"""Places that name a final answer, even the same one."""
DASH = re.compile(r"^[ \t]*-[ ]")
RELATION = re.compile(r"[=<>≤≥≠]")
_ANSWER = re.compile(
    r"(?:^|(?<=[.;:!?\n]))[ \t]*(?:(?:so|thus|hence|therefore|and|finally),?[ ]+)?(?:(?:the|my|our)[ ]+)?"
    r"(?:(?:final|correct)[ ]+)?answer[ ]*(?:is\b|:|=)[ ]*:?(?P<text>[^\n]*)",
    re.IGNORECASE | re.MULTILINE,
)
_ANY_ANSWER = re.compile(r"answer\s*(?:is|was|:|=)", re.IGNORECASE)
_HASHES = re.compile(r"^[ \t]*#{4}(?!#)(?P<text>[^\n]*)", re.MULTILINE)
_SENTENCE_END = re.compile(r"[.?!](?=\s)|\n")
_VALUE = re.compile(r"(?:([A-Za-z]\w*) ?= ?)?(-?\d[\d.,/]*)")


@dataclass(frozen=True)
class FinalAnswer:
    """``text`` of the answer, the ``rest`` of the response, and whether it is certain that it is meant as one.

    ``after``: what follows the last place that names it.
    """

    text: str
    rest: str
    is_certain: bool
    after: str = ""


def one_final_answer(text: str, words: frozenset[str]) -> FinalAnswer:
    """``text`` is plain (see ``characters``). Raises MathematicsSubsetError where there is not exactly one answer."""
    candidates, rest, after = _marked(text, words)
    if not candidates:
        return _last_line(text, words)
    answers = list(dict.fromkeys(_tidy(one) for one in candidates))
    if "" in answers:
        raise MathematicsSubsetError("the final answer is empty")
    # "12 + 2 = 14" and "14" name the same one; the longer has to be right as a whole.
    longer = [one for one in answers if _end(one) != one] or answers
    if len({_end(one) for one in answers}) != 1 or len(longer) != 1:
        raise MathematicsSubsetError("the response names more than one final answer")
    return FinalAnswer(longer[0], rest, is_certain=True, after=after)


def _end(answer: str) -> str:
    return answer if re.search(r",|\b(?:or|and)\b", answer) else answer.rpartition("=")[2].strip()


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


def _marked(text: str, words: frozenset[str]) -> tuple[list[str], str, str]:
    """What boxes, hashes and words name as the answer, the text without it, and what follows the last of them."""
    candidates, rest, last = list[str](), text, text
    marks = len(_ANSWER.findall(text)) + len(_HASHES.findall(text)) + text.count("\\boxed")
    if marks > MOST_MARKED_ANSWERS:
        raise MathematicsSubsetError(f"the response names a final answer more than {MOST_MARKED_ANSWERS} times")
    for pattern in (_ANSWER, _HASHES):
        for match in pattern.finditer(text):
            _require_plain_line(text, match.start("text"))
            require_plain_words(text[_sentence_start(text, match.start()) : match.start()])
            candidate = _sentence(match["text"])
            after = text[match.start("text") + len(candidate) :]
            _require_last_word(after, candidate)
            last = min(last, after, key=len)
            candidates.append(_one_piece(candidate))
        rest = pattern.sub("\n", rest)
    if _ANY_ANSWER.search(_ANSWER.sub("\n", text)):
        raise MathematicsSubsetError("the response speaks of an answer in a way that is not read")
    while (place := rest.find("\\boxed")) >= 0:
        if not rest.startswith("\\boxed{", place):
            raise MathematicsSubsetError("a box is not written as \\boxed{…}")
        _require_plain_line(rest, place)
        end = _closing(rest, place + 7)
        content = _one_piece(rest[place + 7 : end])
        if re.match(r"[ \t]*[^\s.,;:)]", rest[end + 1 :]):
            raise MathematicsSubsetError("what follows the box may belong to the answer")
        _require_last_word(rest[end + 1 :], content)
        last = min(last, rest[end + 1 :], key=len)
        chain = chain_before_box(rest[_sentence_start(rest, place) : place], words)
        candidates.append(chain + content)
        # The end of a chain is a part of a step too.
        rest = rest[:place] + (content if chain else " ; ") + rest[end + 1 :]
    return candidates, rest, last


def _sentence_start(text: str, place: int) -> int:
    ends = [match.end() for match in _SENTENCE_END.finditer(text, text.rfind("\n", 0, place) + 1, place + 1)]
    ends = [end for end in ends if end <= place]
    return ends[-1] if ends else text.rfind("\n", 0, place) + 1


def _require_plain_line(text: str, place: int) -> None:
    """The line that marks an answer must not quote it, or hide it behind a LaTeX comment."""
    start, end = text.rfind("\n", 0, place) + 1, text.find("\n", place)
    line = text[start : end if end >= 0 else len(text)]
    if "%" in text[start:place]:
        raise MathematicsSubsetError("a percent sign before the final answer may begin a comment")
    require_own_words(line, text[:start])


def _require_last_word(after: str, answer: str) -> None:
    """What follows must not take the answer back: "The answer is 14. Wait, 15." names none."""
    if RETRACTION.search(after):
        raise MathematicsSubsetError("what follows the final answer may take it back")
    for same in {_tidy(answer), _end(_tidy(answer))} - {""}:
        after = re.sub(rf"(?<![\w.,]){re.escape(same)}(?!\w|[.,]\d)", "", after)
    if re.search(r"[\d=<>≤≥≠+*/^√%％|]|(?<![\w'’])[B-HJ-Zb-z](?![\w'’])", after):
        raise MathematicsSubsetError("what follows the final answer may be another one")


def _sentence(text: str) -> str:
    """Up to a full stop that ends a sentence; a decimal point does not."""
    if text.rstrip().endswith("!"):
        raise MathematicsSubsetError("'!' at the end may be a factorial or the end of a sentence")
    return re.split(r"\.(?=\s|$)", text, maxsplit=1)[0]


def _one_piece(text: str) -> str:
    pieces = [piece for piece in text.split(" ; ") if piece.strip()]
    if len(pieces) > 1:
        raise MathematicsSubsetError("an arrow stands in the final answer")
    return pieces[0] if pieces else ""


def _last_line(text: str, words: frozenset[str]) -> FinalAnswer:
    """The last line, where it is mathematics behind plain words; the rest has that line's own steps."""
    lines = [line for line in text.split("\n") if line.strip(" ;.")]
    if not lines:
        raise MathematicsSubsetError("the response is empty")
    if any(re.search(r"[A-Za-z]{3}", line.partition("%")[2]) for line in lines):
        raise MathematicsSubsetError("a percent sign may begin a comment")
    last = lines[-1].strip()
    if DASH.match(lines[-1]):
        raise MathematicsSubsetError("the last line may mean two things")
    require_own_words(last, "\n".join(lines[:-1]))
    _require_whole(last, lines[-2].strip() if len(lines) > 1 else "")
    pieces = [piece for piece in BULLET.sub("", last).split(" ; ") if piece.strip()]
    if len(pieces) > 1 and not RELATION.search(pieces[-1]):
        raise MathematicsSubsetError("an arrow stands in the final answer")
    answer = _tidy(after_plain_words(pieces[-1] if pieces else last, words))
    if not answer:
        raise MathematicsSubsetError("the final answer is empty")
    for line in lines[:-1]:
        _require_same_value(after_plain_words(line, words), answer)
    is_certain = len(pieces) == 1 and not any(re.search(r"\d|[=<>≤≥≠]", line) for line in lines[:-1])
    return FinalAnswer(answer, text if RELATION.search(last) else "\n".join(lines[:-1]), is_certain)


def _require_whole(last: str, above: str) -> None:
    """The last line must not go on from the one above: "12" and "+ 2" below it."""
    goes_on = last[0] in "+/^=" or (last[0] in "*-" and above and not re.search(r"[A-Za-z]{2}", above))
    if goes_on or (above and above[-1] in "+-*/^=("):
        raise MathematicsSubsetError("the last line may go on from the one above it")


def _require_same_value(earlier: str, answer: str) -> None:
    """ "x = 15" above "x = 14" leaves open which one is meant."""
    first, last = _VALUE.fullmatch(earlier.strip(" .")), _VALUE.fullmatch(answer)
    if first and last and first[1] == last[1] and first[2] != last[2]:
        raise MathematicsSubsetError("the response gives two values")
