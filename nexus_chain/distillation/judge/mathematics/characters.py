"""Which characters and LaTeX commands are read, and how LaTeX becomes plain text.

What looks like one thing and is another is refused by name: digits of another script, letters that resemble Latin
ones, characters without width. What a page does not show (comments, phantoms) is refused too.
"""

from __future__ import annotations

import re
import unicodedata

from nexus_chain.distillation.judge.errors import MathematicsSubsetError

LONGEST_RESPONSE = 20_000
"""Characters of a response."""

_SIGNS = str.maketrans(
    {"×": "*", "·": "*", "⋅": "*", "∗": "*", "÷": "/", "−": "-", "≤": " ≤ ", "≥": " ≥ ", "≠": " ≠ ", "∅": " ∅ "}
    | {"√": " √ ", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\t": " ", "\r": " "}
    | {"∨": " or ", "∧": " and ", "⇒": " ; ", "⟹": " ; ", "→": " ; ", "⇔": " ; "}
)
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_RAISED = re.compile(f"[{_SUPERSCRIPTS}]+")
_HIDDEN = re.compile(
    r"<!|</[A-Za-z]|<(?:del|strike|span|div|details|style|script|template)\b|```|~~"
    r"|<[A-Za-z]{1,20}\d?(?:\s+[\w-]{1,40}\s*=\s*[\"'][^<>\n]*)?\s*/?>"
)
_COMMANDS = {
    **dict.fromkeys(["cdot", "times", "ast"], "*"),
    **dict.fromkeys(["div"], "/"),
    **dict.fromkeys(["le", "leq", "leqslant"], " ≤ "),
    **dict.fromkeys(["ge", "geq", "geqslant"], " ≥ "),
    **dict.fromkeys(["ne", "neq"], " ≠ "),
    **dict.fromkeys(["lt"], "<"),
    **dict.fromkeys(["gt"], ">"),
    **dict.fromkeys(["frac", "dfrac", "tfrac"], " \\frac "),
    **dict.fromkeys(["sqrt"], " √ "),
    **dict.fromkeys(["gcd", "min", "max", "lcm"], None),
    **dict.fromkeys(["bmod", "mod"], " mod "),
    **dict.fromkeys(["emptyset", "varnothing"], " ∅ "),
    **dict.fromkeys(["lor", "vee"], " or "),
    **dict.fromkeys(["land", "wedge"], " and "),
    **dict.fromkeys(["left", "right", "big", "Big", "bigl", "bigr", "displaystyle"], " "),
    **dict.fromkeys(["quad", "qquad", "space", "implies", "Rightarrow", "iff", "therefore", "hline"], " ; "),
    **dict.fromkeys(["lbrace"], "{"),
    **dict.fromkeys(["rbrace"], "}"),
    **dict.fromkeys(["lvert", "rvert", "vert"], "|"),
    # Kept as they are: the response's reader looks for them.
    **dict.fromkeys(["boxed", "text", "textbf", "mathrm", "mathbf"], None),
}
_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
_ESCAPED = {",": " ", ";": " ", "!": "", ":": " ", " ": " ", "{": "{", "}": "}", "%": "% ", "$": " ", "\\": "\n"}
_DELIMITERS = {"(": " ", ")": " ", "[": "\n", "]": "\n"}
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{(?:align|aligned|equation|gather|gathered)\*?\}")


def readable(text: str) -> str:
    """``text`` in plain form: LaTeX commands are replaced, "$" is dropped. Raises MathematicsSubsetError."""
    if len(text) > LONGEST_RESPONSE:
        raise MathematicsSubsetError(f"the text is longer than {LONGEST_RESPONSE} characters")
    for character in text:
        _require_honest(character)
    if _HIDDEN.search(text):
        raise MathematicsSubsetError("a comment, a tag, a stroke or a block of code may hide what the answer is")
    if re.search(r"\\sqrt\s*\d[\d.,]*\d", text):
        raise MathematicsSubsetError("the root of digits without braces is that of the first one only")
    text = text.replace("{,}", ",").replace("$", " ")
    if "\\begin" in text:
        text = _ENVIRONMENT.sub("\n", text).replace("&", " ")
    text = _COMMAND.sub(_replaced, text)
    text = _RAISED.sub(lambda run: f"^{{{''.join(str(_SUPERSCRIPTS.index(one)) for one in run.group())}}}", text)
    return text.translate(_SIGNS)


def _require_honest(character: str) -> None:
    if character.isascii():
        if (character < " " and character not in "\n\r\t") or character == "\x7f":
            raise MathematicsSubsetError(f"the text has the control character U+{ord(character):04X}")
        return
    category = unicodedata.category(character)
    name = unicodedata.name(character, f"U+{ord(character):04X}")
    if category == "Nd":
        raise MathematicsSubsetError(f"the digit {name} is of another script than 0 to 9")
    if category[0] == "C":
        raise MathematicsSubsetError(f"the character {name} is not seen by a reader")


def require_latin(text: str) -> None:
    """Raises MathematicsSubsetError for a letter that is not of a to z: in mathematics it looks like another."""
    for character in text:
        if character.isalpha() and not character.isascii():
            name = unicodedata.name(character, f"U+{ord(character):04X}")
            raise MathematicsSubsetError(f"the letter {name} is not one of a to z")


def _replaced(match: re.Match[str]) -> str:
    command = match.group(1)
    if command == "%" and re.match(r"\s*[0-9A-Za-z({\[]", match.string[match.end() : match.end() + 80]):
        return "％"  # a percentage, and never a remainder: it is no sign of the subset
    if command in _ESCAPED:
        return _ESCAPED[command]
    if command in _DELIMITERS:
        return _DELIMITERS[command]
    if command not in _COMMANDS:
        raise MathematicsSubsetError(f"the command \\{command} is not in the subset")
    plain = _COMMANDS[command]
    if plain is not None:
        return plain
    return f" {command} " if command in ("gcd", "min", "max", "lcm") else match.group()
