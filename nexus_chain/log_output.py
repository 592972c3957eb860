"""Where a program's log goes: standard error or a file, as lines or as JSON, rotated here or by another program.

A file that logrotate moves away is opened anew at the next line. What looks like a secret does not reach it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from dataclasses import dataclass
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler, WatchedFileHandler
from pathlib import Path
from typing import Any, TextIO

from nexus_chain.errors import SettingsError

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")
TEXT_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
HIDDEN = "[hidden]"
_ADDRESS = re.compile(r"(?P<scheme>\bhttps?)://(?P<host>\[[^\]\s]*\](?::\d+)?|[^/?#\s'\"@]+)(?P<rest>[/?#][^\s'\")]*)?")
_USER = re.compile(r"(\bhttps?://)[^/\s'\"@]+@")
#: As urllib3 names what it asked for, without the host.
_PATH = re.compile(r"(with url: |\"[A-Z]{3,7} )/[^\s'\"]+")
_NAMED = re.compile(
    r"(?i)(\b(?:password|passphrase|mnemonic|private[_ ]?key|secret|api[_-]?key|token)\b['\"]?\s*[:=]\s*)"
    r"('[^']*'|\"[^\"]*\"|[^\s,;)}]+)"
)
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)


@dataclass(frozen=True)
class LogSettings:
    """``file``: None: standard error. ``rotate_bytes``: 0: another program rotates the file.

    ``keep``: older files that stay beside it.
    """

    file: Path | None = None
    level: str = "warning"
    form: str = "text"
    rotate_bytes: int = 0
    keep: int = 5

    def require_known(self) -> None:
        """Raise SettingsError for a level or format that is none."""
        _one_of("log_level", self.level, LOG_LEVELS)
        _one_of("log_format", self.form, LOG_FORMATS)


def without_secrets(text: str) -> str:
    """``text`` without passwords and keys that are named as such, and without what RPC addresses hold beside hosts."""
    text = _PEM.sub(HIDDEN, _NAMED.sub(rf"\g<1>{HIDDEN}", text))
    return _ADDRESS.sub(_host_only, _USER.sub(r"\1", _PATH.sub(rf"\g<1>/{HIDDEN}", text)))


def _host_only(found: re.Match[str]) -> str:
    """Providers put API keys into path and query."""
    rest = found["rest"] or ""
    return f"{found['scheme']}://{found['host']}" + (f"/{HIDDEN}" if rest.strip("/") else rest)


class TextFormatter(logging.Formatter):
    """One event a line, with the traceback below it where there is one."""

    def __init__(self) -> None:
        super().__init__(TEXT_FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and error where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        said: dict[str, Any] = {"time": moment, "level": record.levelname.lower(), "logger": record.name}
        said["message"] = without_secrets(record.getMessage())
        if record.exc_info:
            said["error"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(said, ensure_ascii=False)


class RotatedFile(RotatingFileHandler):
    """A file that rotates itself, readable by its owner only; opened anew where somebody moved it away."""

    def _open(self) -> TextIOWrapper:
        return _open_private(self.baseFilename)

    def emit(self, record: logging.LogRecord) -> None:
        if self.stream is not None and not _is_at(self.stream, self.baseFilename):
            self.stream.close()
            self.stream = self._open()
        super().emit(record)


class WatchedFile(WatchedFileHandler):
    """A file that another program rotates, readable by its owner only."""

    def _open(self) -> TextIOWrapper:
        return _open_private(self.baseFilename)


def start_log(settings: LogSettings) -> None:
    """Send the log of this process where ``settings`` say, from now on. Raises SettingsError."""
    handler = _handler(settings)
    handler.setFormatter(
        JsonFormatter() if _one_of("log_format", settings.form, LOG_FORMATS) == "json" else TextFormatter()
    )
    level = _one_of("log_level", settings.level, LOG_LEVELS).upper()
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    # A log that cannot be written is no reason to stop serving, nor for a traceback a line.
    logging.raiseExceptions = False


def _handler(settings: LogSettings) -> logging.Handler:
    if settings.file is None:
        return logging.StreamHandler(sys.stderr)
    if settings.keep < 1:
        raise SettingsError(f"log_count = {settings.keep} keeps no older file", advice="Give at least 1.")
    try:
        settings.file.parent.mkdir(parents=True, exist_ok=True)
        if not settings.rotate_bytes:
            return WatchedFile(settings.file)
        return RotatedFile(
            settings.file,
            maxBytes=settings.rotate_bytes,
            backupCount=settings.keep,
        )
    except OSError as error:
        raise SettingsError(
            f"the log {settings.file} cannot be written: {error.strerror}", advice="Give another log_file."
        ) from error


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value.lower() not in known:
        raise SettingsError(f"{name} = {value!r} is none", advice=f"Choose {', '.join(known)}.")
    return value.lower()


def _is_at(stream: TextIO, path: str) -> bool:
    """Whether the open file is still the one at ``path``."""
    try:
        here, there = os.fstat(stream.fileno()), os.stat(path)
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _open_private(path: str) -> TextIOWrapper:
    return open(path, "a", encoding="utf-8", errors="backslashreplace", opener=_private)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
