"""What a status says that is no answer, with the sentence that the server put into the body."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from nexus_chain.distillation.server_words import shown_words
from nexus_chain.distillation.teachers.config import TeacherConfig
from nexus_chain.distillation.teachers.errors import (
    TeacherBusyError,
    TeacherCallError,
    TeacherOutageError,
    TeacherRejectionError,
)
from nexus_chain.json_text import parse_json

_ADVICE = {
    401: "Check the key.",
    402: "Pay the provider's bill, or ask another teacher.",
    403: "Check what the key may do.",
    404: "Check the endpoint and the model's name.",
    413: "Ask something shorter.",
}


def refusal_of(config: TeacherConfig, status: int, headers: Mapping[str, str], body: bytes) -> TeacherCallError:
    """The error of a status other than 2xx. The key does not appear in it, whatever the server echoes."""
    said = _words(body)
    if config.api_key is not None:
        said = config.api_key.hide_in(said)
    said = shown_words(said)
    message = f"{config.name} answered with status {status}" + (f": {said}" if said else "")
    if status == 429:
        return TeacherBusyError(
            message, advice="Wait, or ask another teacher.", seconds_to_wait=seconds_asked(headers, time.time())
        )
    if status >= 500:
        return TeacherOutageError(
            message, advice="Wait, or ask another teacher.", seconds_to_wait=seconds_asked(headers, time.time())
        )
    return TeacherRejectionError(message, advice=_ADVICE.get(status, "Check the request's settings."), status=status)


def seconds_asked(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, of ``Retry-After`` (RFC 9110, 10.2.3: a number or a date) or ``retry-after-ms``; else None.

    ``now``: seconds since 1970.
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None


def _words(body: bytes) -> str:
    """The message in an error's body; nothing where there is none."""
    try:
        document: Any = parse_json(body)
    except (ValueError, RecursionError):
        return ""
    while isinstance(document, list) and document:  # as Gemini's address wraps it
        document = document[0]
    error = document.get("error", document) if isinstance(document, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""
