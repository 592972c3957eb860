"""The providers' own clients, so that requests look as providers expect. Nothing routes between them but this project.

A client tries once: attempts, waits and the next teacher are decided by ``TeacherAPIs``, which counts the money.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nexus_chain.distillation.errors import MissingPackageError
from nexus_chain.distillation.teachers.answer import ReadAnswer, TeacherQuestion
from nexus_chain.distillation.teachers.answer_reading import read_answer
from nexus_chain.distillation.teachers.config import TeacherConfig
from nexus_chain.distillation.teachers.errors import TeacherAnswerError, TeacherCallError
from nexus_chain.distillation.teachers.presets import TeacherProtocol
from nexus_chain.distillation.teachers.refusals import refusal_of

if TYPE_CHECKING:
    import httpx2

    Sender = Callable[[TeacherQuestion], bytes]

NO_KEY = "the-transport-adds-it"
KEY_HEADERS = {TeacherProtocol.OPENAI: ("authorization", "Bearer "), TeacherProtocol.ANTHROPIC: ("x-api-key", "")}


class OfficialClient:
    """One teacher's client; many threads may ask at once. Raises MissingPackageError."""

    def __init__(self, config: TeacherConfig) -> None:
        self._config = config
        self._http = _http_client(config)
        self._send = (
            _openai(config, self._http) if config.protocol is TeacherProtocol.OPENAI else _anthropic(config, self._http)
        )

    def ask(self, question: TeacherQuestion) -> ReadAnswer:
        """One request, one answer. Raises TeacherCallError, with no cause that could hold what was sent."""
        config, failure = self._config, None
        try:
            body = self._send(question)
        except Exception as error:  # noqa: BLE001  # whatever a client makes of a hostile server
            failure = _failure(config, error)
        if failure is not None:
            raise failure
        answer = read_answer(config.protocol, config.name, body, config.max_text_characters)
        if config.api_key is None:
            return answer
        shown = config.api_key.hide_in(answer.text)  # a body may spell the key with JSON's escapes
        return ReadAnswer(shown, answer.prompt_tokens, answer.completion_tokens, answer.complete)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()


def _http_client(config: TeacherConfig) -> httpx2.Client:
    try:
        import httpx2

        from nexus_chain.distillation.teachers.transport import TeacherLine, TeacherTransport
    except ImportError:
        raise MissingPackageError.of(str(config.protocol)) from None
    line = TeacherLine(
        config.name, config.api_key, KEY_HEADERS[config.protocol], config.timeout_seconds, config.max_answer_bytes
    )
    return httpx2.Client(transport=TeacherTransport(line), trust_env=False, follow_redirects=False)


def _openai(config: TeacherConfig, http: httpx2.Client) -> Sender:
    try:
        import openai
    except ImportError:
        raise MissingPackageError.of("openai") from None
    client = openai.OpenAI(
        api_key=NO_KEY, base_url=config.endpoint, max_retries=0, http_client=http, timeout=config.timeout_seconds
    )

    def send(question: TeacherQuestion) -> bytes:
        messages: list[Any] = [{"role": "user", "content": question.prompt}]
        if question.system:
            messages.insert(0, {"role": "system", "content": question.system})
        options: dict[str, Any] = {str(config.length_field): question.max_tokens}
        if config.temperature is not None:
            options["temperature"] = config.temperature
        raw = client.chat.completions.with_raw_response.create(model=config.model, messages=messages, **options)
        return bytes(raw.http_response.content)

    return send


def _anthropic(config: TeacherConfig, http: httpx2.Client) -> Sender:
    try:
        import anthropic
    except ImportError:
        raise MissingPackageError.of("anthropic") from None
    client = anthropic.Anthropic(
        api_key=NO_KEY, base_url=config.endpoint, max_retries=0, http_client=http, timeout=config.timeout_seconds,
        open_telemetry=False,
    )  # fmt: skip

    def send(question: TeacherQuestion) -> bytes:
        options: dict[str, Any] = {} if config.temperature is None else {"temperature": config.temperature}
        if question.system:
            options["system"] = question.system
        raw = client.messages.with_raw_response.create(
            model=config.model,
            max_tokens=question.max_tokens,
            messages=[{"role": "user", "content": question.prompt}],
            **options,
        )
        return bytes(raw.http_response.content)

    return send


def _failure(config: TeacherConfig, error: Exception) -> TeacherCallError:
    """What went wrong, in this project's words: the transport's own error, or what the server's status means."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, TeacherCallError):
            return link.with_traceback(None)
        link = link.__cause__ or link.__context__
    response = getattr(error, "response", None)
    if response is not None:
        return refusal_of(config, response.status_code, response.headers, response.content)
    return TeacherAnswerError(
        f"the client of {config.name} failed ({type(error).__name__})",
        advice="Ask another teacher, and report this one's answer.",
        maybe_paid=True,
    )
