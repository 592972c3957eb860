"""The bodies of OpenAI's chat completions and Anthropic's messages, from servers that need not be honest.

Whatever the text says, it is text: no word in it means anything to the program.
"""

from __future__ import annotations

from typing import Any

from nexus_chain.distillation.teachers.answer import ReadAnswer
from nexus_chain.distillation.teachers.errors import TeacherAnswerError
from nexus_chain.distillation.teachers.presets import TeacherProtocol
from nexus_chain.json_text import parse_json

MOST_TOKENS = 10**9
"""No call uses as many."""


def read_answer(protocol: TeacherProtocol, name: str, body: bytes, max_characters: int) -> ReadAnswer:
    """The text and the counts in a body. Raises TeacherAnswerError, which may have been paid."""
    reader = _openai_answer if protocol is TeacherProtocol.OPENAI else _anthropic_answer
    fault = "is no JSON object"
    try:
        document = parse_json(body)
        if isinstance(document, dict):
            found = reader(document)
            fault = _fault(found.text, max_characters)
            if not fault:
                return found
    except _Malformed as error:
        fault = error.args[0]
    except (ValueError, RecursionError):
        pass
    raise TeacherAnswerError(
        f"the answer of {name} {fault}", advice="Ask again, or ask another teacher.", maybe_paid=True
    )


class _Malformed(Exception):
    """What is wrong with a body, as the end of a sentence."""


def _openai_answer(body: dict[str, Any]) -> ReadAnswer:
    choice = _first(body.get("choices"), "has no choices")
    message = choice.get("message")
    if not isinstance(message, dict):
        raise _Malformed("has no message")
    text = message.get("content")
    if text is None and isinstance(message.get("refusal"), str):
        raise _Malformed("is a refusal")
    read, written = _openai_counts(body.get("usage"))
    return ReadAnswer(
        text="" if text is None else _text(text),
        prompt_tokens=read,
        completion_tokens=written,
        complete=choice.get("finish_reason") == "stop",
    )


def _openai_counts(usage: Any) -> tuple[int | None, int | None]:
    """Tokens read and written. What the total has beside them was written too, such as hidden thoughts."""
    read, written, total = (_count(usage, f"{kind}_tokens") for kind in ("prompt", "completion", "total"))
    if read is not None and total is not None and (total > read or written is not None):
        written = max(written or 0, total - read)
    return read, written


def _anthropic_answer(body: dict[str, Any]) -> ReadAnswer:
    blocks = body.get("content")
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise _Malformed("has no content")
    usage = body.get("usage")
    read = [_count(usage, f"{kind}input_tokens") for kind in ("", "cache_creation_", "cache_read_")]
    return ReadAnswer(
        text="".join(_text(block.get("text")) for block in blocks if block.get("type") == "text"),
        prompt_tokens=None if read[0] is None else sum(count or 0 for count in read),
        completion_tokens=_count(usage, "output_tokens"),
        complete=body.get("stop_reason") in ("end_turn", "stop_sequence"),
    )


def _first(choices: Any, fault: str) -> dict[str, Any]:
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _Malformed(fault)
    return choices[0]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Malformed("has a content that is no text")
    return value


def _count(usage: Any, name: str) -> int | None:
    """A number of tokens; None where it is not said."""
    value = usage.get(name) if isinstance(usage, dict) else None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
        raise _Malformed(f"counts no number of {name}")
    return value


def _fault(text: str, max_characters: int) -> str:
    """What is wrong with a text, or nothing."""
    if not text.strip():
        return "is empty"
    if len(text) > max_characters:
        return f"is longer than {max_characters} characters"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is no Unicode text"
    return ""
