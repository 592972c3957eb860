"""Words beside an answer. They can turn it into another one or take it back, so only a few are read."""

from __future__ import annotations

import re

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.terms import FUNCTIONS

BULLET = re.compile(
    r"^[ \t]*(?:[*•][ ]+|\d{1,2}[.)][ ]+(?=\S)|(?:step|line)[ ]*\d{1,3}[ ]*[:.)](?=\s))", re.I | re.MULTILINE
)
_NUMBER_WORDS = "zero|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|[a-z]+teen|twenty|thirty|half|dozen"
RETRACTION = re.compile(
    rf"\b(?:no|actually|wait|correction|instead|rather|oops|sorry|mistake|should|hmm+|scratch|strike|second|"
    rf"but|however|otherwise|hundreds?|thousands?|[mb]illions?|percent|plus|minus|times|negative|squared|cubed|twice|doubled|{_NUMBER_WORDS})\b",
    re.IGNORECASE,
)
_LINKS = frozenset(
    re.findall(
        r"\w+",
        "so thus hence therefore then finally now and that is are equals equal get obtain have gives yields",
    )
)
PLAIN_WORDS = _LINKS | frozenset(
    re.findall(
        r"\w+",
        "the our my this it we us which final correct total result sum answer value difference product quotient "
        "remainder solution solutions same as to simplifies simplified expression form",
    )
)
"""Words that change nothing about the mathematics behind them."""
_LEADING_WORD = re.compile(r"\s*([A-Za-z]+)(?![\w^('])([,:]*)\s*")
READ_NAMES = frozenset({*FUNCTIONS, "frac", "mod", "or", "and"})


def require_plain_words(before: str) -> None:
    """Before a mark, in its sentence: "A liar would say: the answer is 14"."""
    before = BULLET.sub("", before)
    if re.search(r"[^A-Za-z\s,:;]", before) or not PLAIN_WORDS.issuperset(re.findall(r"[a-z]+", before.lower())):
        raise MathematicsSubsetError("the words before the final answer may say something else about it")


def chain_before_box(before: str, words: frozenset[str]) -> str:
    """The chain that a box ends, such as "x = " or "12 + 2 = "; nothing where only words stand before it."""
    before = BULLET.sub("", before)
    found = [one for one in re.finditer(r"[A-Za-z]{2,}\w*", before) if one.group() not in words | READ_NAMES]
    if not PLAIN_WORDS.issuperset(one.group().lower() for one in found):
        raise MathematicsSubsetError("the words before the final answer may say something else about it")
    chain = before[found[-1].end() if found else 0 :]
    chain = re.split(r"[,;:]", chain)[-1].strip()
    if not chain or (chain == "=" and found):
        return ""
    unclear = "\\" in chain.replace("\\frac ", "") or (found and chain[0] in "+-*/^%!(")
    if not chain.endswith("=") or chain == "=" or unclear:
        raise MathematicsSubsetError("what stands before the box may belong to the answer")
    return f"{chain} "


def require_own_words(line: str, before: str) -> None:
    """No quotation: neither by a mark of one, nor by a line above that ends with a colon."""
    if line.lstrip().startswith(">"):
        raise MathematicsSubsetError("the final answer is quoted")
    above = before.rstrip().rpartition("\n")[2]
    if above.endswith(":"):
        require_plain_words(above)


def after_plain_words(line: str, words: frozenset[str]) -> str:
    """What plain words lead to: "So the total is 12 + 2 = 14", "Total = 14". The parser refuses all other words."""
    place, linked = 0, True
    while match := _LEADING_WORD.match(line, place):
        if place == 0 and match[1].lower() in ("is", "are"):
            raise MathematicsSubsetError("the line may be a question")
        if match[1] in words or match[1].lower() not in PLAIN_WORDS:
            break
        place, linked = match.end(), match[1].lower() in _LINKS or bool(match[2])
    rest = line[place:].strip()
    if place and rest.startswith("="):
        return rest[1:].strip()
    # "total - 1" takes something from the total.
    return line if not linked and rest[:1] in tuple("+-*/^%!<>≤≥≠(") else rest
