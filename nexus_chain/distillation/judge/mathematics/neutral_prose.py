"""Prose around mathematics: what it may say beside an answer that is proved.

Nobody knows what free prose makes of the mathematics in it: "The following is a lie. 2+2=4" claims nothing. So an
answer is proved only where all of the prose is *neutral*: its words are those of one list, which has none that denies,
doubts, supposes, quotes or judges. A false answer is refuted beside other prose too, unless ``require_undoubted``
finds that the response itself denies, doubts, supposes or quotes something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nexus_chain.distillation.judge.errors import MathematicsSubsetError
from nexus_chain.distillation.judge.mathematics.plain_words import PLAIN_WORDS, READ_NAMES

_DISOWNS = re.compile(
    r"\b(?:not|never|cannot|wrong|incorrect|false|untrue|ignore|nobody|no one|none|nothing|neither|nor|hardly|barely|"
    r"without|opposite|contrary|den(?:y|ie[ds])|retract\w*|"
    r"about|approximately|roughly|around|nearly|almost|at least|at most|possibly|maybe|perhaps|might|could|doubt\w*|"
    r"guess\w*|believ\w+|thinks?|thought|"
    r"if|suppos\w+|assum\w+|unless|when|would|were|pretend\w*|imagin\w+|"
    r"lie[ds]?|lying|liars?|jok\w+|kidding|fiction\w*|fak\w+|bogus|nonsense|hoax\w*|"
    r"claim\w*|said|says?|saying|wrote|told|tells?|quot\w+)\b|n['’]t\b",
    re.IGNORECASE,
)
"""What denies, doubts, supposes, or is of somebody else."""
_NEUTRAL = PLAIN_WORDS | frozenset(
    re.findall(
        r"\w+",
        "a an these those its you your me i here there what be has of in on at by from with for into "
        "between and both each every all because since also first next exactly directly step steps "
        "add adds adding added subtract subtracts subtracting subtracted multiply multiplies multiplying multiplied "
        "divide divides dividing divided calculate calculates calculating calculated compute computes computing "
        "computed evaluate evaluates evaluating evaluated simplify simplifying expand expands expanding expanded "
        "factor factors factoring factored solve solves solving solved substitute substitutes substituting "
        "substituted combine combines combining combined rewrite rewriting rewritten write writing written find "
        "finding found getting obtaining obtained giving give yield let lets use uses using used apply applying "
        "start carry carrying collect collecting isolate isolating distribute distributing express "
        "convert reduce reduces determine see note follow follows following shows "
        "sums totals differences products number numbers digit digits integer integers expressions equation equations "
        "term terms values results side sides left right hand fraction fractions numerator denominator divisor "
        "divisors root roots square squares power powers exponent exponents base coefficient coefficients variable "
        "variables constant constants polynomial formula order operation operations calculation "
        "computation rule rules parentheses brackets column columns place ones tens carried list set common greatest "
        "least smallest largest maximum minimum absolute prime even positive whole simple simplest standard "
        "addition subtraction multiplication division",
    )
)
"""No word of it denies, doubts, supposes, quotes or judges: "odd", "problem" and "made up" do."""
_PHRASES = re.compile(
    r"\b(?:(?:we|you|i) (?:can|need to|want to|have to)|let['’]s|"
    r"two (?:numbers|digits|integers|terms|sides|fractions|equations|factors|roots|solutions|values))\b",
    re.IGNORECASE,
)
"""Words that say what they say only together."""
_COMMAND = re.compile(r"\\[A-Za-z]+")
_WORD = re.compile(r"[^\W\d_]{2,}\w*|[^\W\d_]\d*[^\W\d_]\w*")
_LETTER = re.compile(r"(?<![^\W_])[A-Za-z](?![^\W_])")
_SIGNS = frozenset("≤≥≠√∅•–—’％")
_STRANGE_SIGNS = frozenset("~@&")
_STRANGE = (
    (re.compile(r"[\"`]|(?<![A-Za-z])['’]|['’](?![A-Za-z])|^[ \t]*>", re.MULTILINE), "a quotation"),
    (re.compile(r"[:;]-?[()DPp](?![\w(])"), "a face of signs"),
    (re.compile(r"^[ \t]*[!^?]+[ \t]*$", re.MULTILINE), "a sign alone"),
    (re.compile(r"\.\.\."), "'...'"),
)
_QUESTION = re.compile(r"(?:^|(?<=[.:!?\n])\s)((?:[^.:!?\n]|[.:](?!\s))*)\?")
_OR = re.compile(r"(?:([^\W\d_]{2,})\s+)?\bor\b(?:\s+([^\W\d_]{2,}))?", re.IGNORECASE)
_RELATION = re.compile(r"[=<>≤≥≠]")


def require_undoubted(text: str, words: frozenset[str]) -> None:
    """Raises MathematicsSubsetError where a word denies, doubts, supposes or quotes: who knows which mathematics."""
    for match in _DISOWNS.finditer(text):
        if match.group() not in words:
            raise MathematicsSubsetError(f"{match.group()!r} in the response may take something in it back")


def strange_prose(text: str, names: frozenset[str]) -> str:
    """The first thing in ``text`` that is neither mathematics nor neutral, as a sentence says it; "" for nothing.

    ``text`` is plain (see ``characters``). ``names``: the variables that the claim and the answer have.
    """
    text = _COMMAND.sub(" ", text)
    for character in text:
        is_read = character.isascii() or character.isalpha() or character in _SIGNS
        if not is_read or character in _STRANGE_SIGNS:
            return f"the sign {character!r}"
    for pattern, what in _STRANGE:
        if pattern.search(text):
            return what
    if any(not re.match(r"\s*what\b", question, re.IGNORECASE) for question in _QUESTION.findall(text)):
        return "a question"
    prose = _PHRASES.sub(" ; ", text)
    for match in _WORD.finditer(prose):
        word = match.group()
        if word not in names | READ_NAMES and word.lower() not in _NEUTRAL and not _is_product(word, names):
            return f"the word {word[:40]!r}"
    for match in _OR.finditer(prose):
        if not names | READ_NAMES >= {word for word in match.groups() if word}:
            return "the word 'or'"
    letters = _letters_apart(prose, names)
    return f"the letter {letters!r}" if letters else ""


def _is_product(word: str, names: frozenset[str]) -> bool:
    """ "3xy" has no sign between its names; the parser refuses it where that may mean two things."""
    return len(word) == 2 and word.lower() != "no" and names.issuperset(word)


def _letters_apart(prose: str, names: frozenset[str]) -> str:
    """The first letter that is no name of the claim, and of no comparison: "n o t" is a word too."""
    known, others = {*names, "a", "A", "I"}, list[str]()
    for stretch in _stretches(prose):
        letters = _LETTER.findall(stretch)
        if _RELATION.search(stretch):
            known.update(letters)
        else:
            others += letters
    return next((letter for letter in others if letter not in known), "")


def _stretches(prose: str) -> Iterator[str]:
    for line in prose.split("\n"):
        yield from re.split(r"[^\W\d_]{2,}\w*|[.,:;!?](?!\d)", line)
