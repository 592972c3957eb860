"""A large file over HTTP: resumed where a transfer broke off, checked by its SHA-256, and there whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from nexus_chain.log_output import without_secrets
from nexus_chain.workflows.errors import DownloadError
from nexus_chain.workflows.observer import Advance

TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and to wait for the next bytes."""
ATTEMPTS = 3
"""Attempts in a row that bring no byte, before a transfer is given up."""
CHUNK = 1 << 16
"""Bytes at once: a transfer that breaks off loses no more."""
GOES_ON = "Try again: what came is kept, and the transfer goes on from there."


@dataclass(frozen=True)
class RemoteFile:
    """Where a file is and what it has to be. ``size`` is in bytes, None where unknown; ``sha256`` is hexadecimal."""

    url: str
    sha256: str
    size: int | None = None

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.url.split("?")[0].rsplit("/", 1)[-1]


def download(
    file: RemoteFile,
    target: Path,
    advance: Advance,
    session: requests.Session | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Fetch ``file`` to ``target``. What a broken transfer brought stays beside it, and the next call goes on there.

    Raises DownloadError: no connection, no such file, another checksum, a full disk.
    """
    part = target.with_name(f".{target.name}.{file.sha256[:8]}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with session or requests.Session() as opened:
            _Transfer(file, part, advance, opened, wait).run()
        check_sha256(part, file.sha256)
        os.replace(part, target)
    except OSError as error:
        raise _disk_error(error, part, file) from error


def check_sha256(path: Path, expected: str) -> None:
    """Raise DownloadError unless the file has this SHA-256; one that has another is deleted. Raises OSError."""
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != expected:
        path.unlink()
        raise DownloadError(
            f"the file that came has SHA-256 {found}, not {expected}; it is deleted",
            advice="Try again; if that repeats, the server holds another file, so fetch from another one.",
        )


@dataclass
class _Transfer:
    file: RemoteFile
    part: Path
    advance: Advance
    session: requests.Session
    wait: Callable[[float], None]

    def run(self) -> None:
        """Until all of the file is in ``part``."""
        failures = 0
        while True:
            before = self._have()
            try:
                if self._attempt():
                    return
                problem = "the server ended the transfer early"
            except requests.RequestException as error:
                problem = _reason(error)
            failures = 0 if self._have() > before else failures + 1
            if failures >= ATTEMPTS:
                raise DownloadError(f"{self.file.name} could not be fetched ({problem})", advice=_advice(before))
            self.wait(float(failures))

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _attempt(self) -> bool:
        """Ask for what is missing; whether all of it is there now. Raises RequestException, DownloadError, OSError."""
        have = self._have()
        if self.file.size is not None and have >= self.file.size:
            if have == self.file.size:
                return True
            self.part.unlink()
            have = 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with self.session.get(self.file.url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                self.part.unlink()  # longer than the server's file, or whole and of unknown size
                return False
            self._require_found(answer)
            resumed = answer.status_code == requests.codes.partial_content and _starts_at(answer, have)
            total = self._total(answer, have if resumed else 0)
            return self._take(answer, have if resumed else 0, total)

    def _require_found(self, answer: requests.Response) -> None:
        if answer.status_code in (401, 403, 404, 410):
            raise DownloadError(
                f"{self.file.name} is not there for us (HTTP {answer.status_code})",
                advice="Check which package index or hub this machine is set up to use, or fetch the file by hand.",
            )
        answer.raise_for_status()

    def _total(self, answer: requests.Response, have: int) -> int | None:
        """Bytes that the whole file has; what the server says may not differ from what is known."""
        length = answer.headers.get("Content-Length", "")
        said = have + int(length) if length.isdecimal() else None
        if None not in (said, self.file.size) and said != self.file.size:
            raise DownloadError(
                f"the server's {self.file.name} has {said} bytes, not {self.file.size}",
                advice="It is another file: fetch from another server.",
            )
        return self.file.size or said

    def _take(self, answer: requests.Response, have: int, total: int | None) -> bool:
        with self.part.open("ab" if have else "wb") as out:
            for piece in answer.iter_content(CHUNK):
                have += len(piece)
                if total is not None and have > total:
                    raise DownloadError(f"more than {total} bytes came for {self.file.name}", advice=GOES_ON)
                out.write(piece)
                self.advance(have, total or have)
        return total is None or have == total


def _starts_at(answer: requests.Response, start: int) -> bool:
    return answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _reason(error: requests.RequestException) -> str:
    """What went wrong, without what an address may hold beside its host."""
    if isinstance(error, requests.exceptions.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    inner: BaseException = error
    while (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    return without_secrets(str(inner).strip() or type(inner).__name__)


def _advice(have: int) -> str:
    return GOES_ON if have else "Check the connection, and the package index or hub that this machine is set up to use."


def _disk_error(error: OSError, part: Path, file: RemoteFile) -> DownloadError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needed = f" for {file.size} bytes" if file.size else ""
        return DownloadError(f"no room in {part.parent}{needed}", advice=f"Make room. {GOES_ON}")
    return DownloadError(
        f"{error.filename or part} cannot be written ({error.strerror or error})",
        advice="Check that the place exists and that you may use it.",
    )
