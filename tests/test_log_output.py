"""Where a log goes, what it looks like, and what never stands in it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_chain.errors import SettingsError
from nexus_chain.log_output import HIDDEN, LogSettings, start_log, without_secrets

log = logging.getLogger("test.room")


@pytest.fixture(autouse=True)
def _log_of_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    logging.raiseExceptions = True


def test_lines_from_a_level_on(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "node.log"
    start_log(LogSettings(file, "info"))
    log.debug("too little")
    log.info("a word of %s", "mine")
    (line,) = file.read_text().splitlines()
    assert line.endswith(" INFO test.room: a word of mine")
    assert file.stat().st_mode & 0o777 == 0o600


def test_json_is_one_object_a_line(tmp_path: Path) -> None:
    start_log(LogSettings(tmp_path / "log", form="json"))
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("it failed: ä\n\ud800")
    (line,) = (tmp_path / "log").read_text().splitlines()
    said = json.loads(line)
    assert (said["level"], said["logger"]) == ("error", "test.room")
    assert said["message"].startswith("it failed: ä\n")
    assert said["error"].endswith("ValueError: two\nlines")
    assert said["time"][10] == "T"
    assert said["time"].endswith("Z")


def test_a_long_file_is_rotated_and_old_ones_go(tmp_path: Path) -> None:
    start_log(LogSettings(tmp_path / "log", rotate_bytes=200, keep=2))
    for number in range(20):
        log.warning("%030d", number)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    for path in tmp_path.iterdir():
        assert path.stat().st_size <= 200
        assert path.stat().st_mode & 0o777 == 0o600
    assert f"{19:030d}" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("rotate_bytes", [0, 10**6])
def test_a_file_that_was_moved_away_is_opened_anew(tmp_path: Path, rotate_bytes: int) -> None:
    file = tmp_path / "log"
    start_log(LogSettings(file, rotate_bytes=rotate_bytes))
    log.warning("one")
    file.rename(tmp_path / "log.moved")
    log.warning("two")
    assert "one" in (tmp_path / "log.moved").read_text()
    assert file.read_text().endswith("two\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:pw@rpc.example/v2/KEY?x=1 fails", f"https://rpc.example/{HIDDEN} fails"),
        ("POST 'http://[::1]:8545/'", "POST 'http://[::1]:8545/'"),
        (
            "Pool(host='a.io', port=443): with url: /v3/KEY?x=1 (Caused",
            f"Pool(host='a.io', port=443): with url: /{HIDDEN} (Caused",
        ),
        ('https://a.io:443 "POST /v3/KEY HTTP/1.1" 200', f'https://a.io:443 "POST /{HIDDEN} HTTP/1.1" 200'),
        ("http://127.0.0.1:8545 is slow", "http://127.0.0.1:8545 is slow"),
        ("password=open sesame", f"password={HIDDEN} sesame"),
        ("{'private_key': '0xabc', 'n': 1}", f"{{'private_key': {HIDDEN}, 'n': 1}}"),
        ("api-key: abc", f"api-key: {HIDDEN}"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nrest", f"{HIDDEN}\nrest"),
        ("receipt 0x" + "ab" * 32, "receipt 0x" + "ab" * 32),
    ],
)
def test_secrets_are_hidden(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (LogSettings(level="loud"), "log_level = 'loud'"),
        (LogSettings(form="xml"), "log_format = 'xml'"),
        (LogSettings(Path("/dev/null/log")), "cannot be written"),
        (LogSettings(Path("log"), rotate_bytes=5, keep=0), "log_count = 0"),
    ],
)
def test_what_cannot_be_is_refused(settings: LogSettings, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        start_log(settings)


def test_a_full_disk_stops_nobody() -> None:
    script = (
        "import pathlib, logging, nexus_chain.log_output as o; o.start_log(o.LogSettings(pathlib.Path('/dev/full')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script + "; logging.warning('x'); print('on')"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert "Traceback" not in done.stderr
