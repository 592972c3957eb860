"""From a question to an answer that is kept: choose, check, ask, save the evidence, close what was opened for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nexus_chain.client.answer import Answer, Transaction
from nexus_chain.client.answer_stream import AnswerStream
from nexus_chain.client.client import Client
from nexus_chain.client.errors import CapTooLowError
from nexus_chain.client.opening import WantedLock
from nexus_chain.client.order import AskOptions
from nexus_chain.client.request import Prompt
from nexus_chain.client.session import OnFailover, Session
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.workflows.library import ModelLibrary
from nexus_chain.workflows.sessions import SessionRequest, candidate_sessions, open_session
from nexus_chain.workflows.workspace import Workspace


@dataclass(frozen=True)
class SessionTerms:
    """A session that may be opened for an answer. ``allow``: told what to lock; it raises what forbids that."""

    request: SessionRequest
    allow: Callable[[WantedLock], None]


@dataclass(frozen=True)
class Purchase:
    """Who is asked, how and for whose money. ``direct``: for this answer alone, without a session.

    ``wanted``: the beginning of the model version's id where ``direct``, else of the session's; None: the newest.
    ``opening``: what is opened where none is wanted and none is open; None: that is an error.
    """

    options: AskOptions
    direct: bool = False
    wanted: str | None = None
    opening: SessionTerms | None = None


@dataclass(frozen=True)
class Wording:
    """How a user's text becomes a prompt.

    ``chat``: as a message in the model's chat format; None: where the model has one. ``special``: in a text that is
    continued, names of control tokens are these tokens; otherwise whatever users type is letters.
    """

    chat: bool | None = False
    special: bool = False

    def prompt(self, text: str, files: ModelFiles, max_tokens: int) -> str | list[int]:
        """The prompt: text, or token ids. Raises ChatFormatError and PromptTooLongError."""
        if files.program.is_encoder:
            return text
        if self.chat or (self.chat is None and files.codec.chat_template is not None):
            return files.chat_prompt([{"role": "user", "content": text}], max_tokens)
        return files.prompt_of(text, max_tokens, control=True) if self.special else text


@dataclass(frozen=True)
class KeptAnswer:
    """An answer, the file with its evidence, and the transaction that closed what was opened for it alone."""

    answer: Answer
    file: Path
    closing: Transaction | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON value without the proof, which is in the file."""
        document = {**self.answer.to_dict(), "answer_file": str(self.file)}
        document["transactions"] += [vars(self.closing)] if self.closing else []
        return document


class Inquiry:
    """One question under way. Iterate it for text as it is computed, then ``keep`` the answer.

    ``encoder``: whether the model has to be one, or has to be none. ``wording``: how the text becomes a prompt.
    """

    def __init__(
        self,
        client: Client,
        library: ModelLibrary,
        text: str,
        purchase: Purchase,
        *,
        encoder: bool = False,
        wording: Wording = Wording(),  # frozen
        on_failover: OnFailover | None = None,
    ) -> None:
        """Choose, route and price; reading it orders the answer.

        Raises ModelFilesError, SessionStateError and what ``Session.start`` raises.
        """
        self._client, self._direct = client, purchase.direct
        self._encoder, self._wording, self._on_failover = encoder, wording, on_failover or (lambda event: None)
        self._stream = self._start(library, text, purchase)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)

    def keep(self, answers: Path, file: Path | None = None) -> KeptAnswer:
        """Save the evidence in the folder ``answers``, or as ``file``. A direct answer's session is closed first.

        Of an answer that was stopped it keeps what was computed. Raises OSError.
        """
        answer = self._stream.answer
        closing = self._client.close_direct(answer) if self._direct else None
        path = answer.proof.save(file or answers / f"{answer.order_digest.hex()[:16]}.json")
        return KeptAnswer(answer, path, closing)

    def _start(self, library: ModelLibrary, text: str, purchase: Purchase) -> AnswerStream:
        options = purchase.options
        if not purchase.direct:
            return self._start_in_session(library, text, purchase)
        version = library.choose(purchase.wanted)
        files = library.files_of(version)
        prompt = self._prompt(text, files, options)
        return self._client.start_direct(version, files, prompt, options, self._on_failover)

    def _prompt(self, text: str, files: ModelFiles, options: AskOptions) -> str | list[int]:
        files.require(encoder=self._encoder)
        return self._wording.prompt(text, files, options.max_tokens)

    def _start_in_session(self, library: ModelLibrary, text: str, purchase: Purchase) -> AnswerStream:
        """In the session that is wanted, else in the newest open one that has money for it. Raises CapTooLowError."""
        failures: list[CapTooLowError] = []
        opening = purchase.opening
        new = None if opening is None else lambda: self._open(library, text, purchase.options, opening)
        for session in candidate_sessions(self._client, library, purchase.wanted, new):
            prompt = self._prompt(text, session.files, purchase.options)
            try:
                return session.start(prompt, purchase.options, self._on_failover)
            except CapTooLowError as error:
                failures.append(error)
        raise failures[0]

    def _open(self, library: ModelLibrary, text: str, options: AskOptions, opening: SessionTerms) -> Session:
        """A session that has money for this question at least. Raises what asking it would, before money is locked."""
        version = library.choose(opening.request.model)
        files = library.files_of(version)
        prompt = Prompt.of(self._prompt(text, files, options), files, options)
        tokens = max(opening.request.tokens, len(prompt.tokens) + options.max_tokens)
        request = replace(opening.request, model=version.hex(), tokens=tokens)
        return open_session(self._client, library, request, opening.allow).session


def embed(
    client: Client,
    workspace: Workspace,
    texts: Iterable[str],
    purchase: Purchase,
    on_failover: OnFailover | None = None,
) -> Iterator[KeptAnswer]:
    """The embedding of each text, its evidence among the home's answers. Raises as ``Inquiry`` does."""
    for text in texts:
        with workspace.observer.stage("Embedding"):
            inquiry = Inquiry(client, workspace.library, text, purchase, encoder=True, on_failover=on_failover)
            for _ in inquiry:
                pass
            kept = inquiry.keep(workspace.home.answers)
        yield kept
