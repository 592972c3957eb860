"""What the client of Ollama raises, in this project's words."""

from __future__ import annotations

import httpx
import ollama

from nexus_chain.distillation.local.bounded_reading import ReadLimitError
from nexus_chain.distillation.local.errors import (
    LocalAnswerError,
    LocalConnectionError,
    LocalEngineError,
    LocalModelMissingError,
    LocalServerError,
    LocalTimeoutError,
)
from nexus_chain.distillation.server_words import shown_words

CLIENT_ERRORS = (
    LocalEngineError,
    ollama.ResponseError,
    ollama.RequestError,
    httpx.HTTPError,
    httpx.InvalidURL,
    ConnectionError,
    ValueError,  # no JSON, no UTF-8, another form than the protocol's
    TypeError,
    AttributeError,
    RecursionError,
)
"""All that a call of the client may raise, whatever a server sends."""
_MISSING = ("not found", "file does not exist")


def local_failure(error: Exception, host: str, model: str) -> LocalEngineError:
    """The error to raise for one of CLIENT_ERRORS. ``host``: as it may be shown; ``model``: empty: none was asked."""
    if isinstance(error, LocalEngineError):
        return error
    if isinstance(error, ollama.ResponseError):
        return _refusal(error, host, model)
    if (
        isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.InvalidURL)
        or type(error) is ConnectionError
    ):
        return LocalConnectionError(
            f"no server of models answers at {host}", advice="Start one with `ollama serve`, or set OLLAMA_HOST."
        )
    if isinstance(error, httpx.TimeoutException):
        return LocalTimeoutError(
            f"the server at {host} did not answer in time", advice="Raise the time-out, or ask a faster model."
        )
    if isinstance(error, ReadLimitError):
        return LocalAnswerError(f"the answer of {host} is too large", advice="Ask for fewer tokens.")
    if isinstance(error, httpx.HTTPError | ConnectionError):
        return LocalConnectionError(f"the connection to {host} broke", advice="Ask again, or restart the server.")
    return LocalAnswerError(
        f"the server at {host} does not speak as Ollama does", advice="Check the address, and the server's version."
    )


def _refusal(error: ollama.ResponseError, host: str, model: str) -> LocalEngineError:
    said = shown_words(str(error.error))
    missing = error.status_code == 404 or (error.status_code == -1 and any(word in said for word in _MISSING))
    if missing and model:
        return LocalModelMissingError(
            f"the server at {host} has no model {model!r}",
            advice=f"Fetch it with `ollama pull {model}`, or ask another.",
        )
    status = 500 if error.status_code == -1 else error.status_code  # -1: in the middle of a stream
    advice = "Check the key." if status in (401, 403) else "Read the server's log, or ask again."
    return LocalServerError(f"the server at {host} answered with status {status}: {said}", advice=advice, status=status)
