"""Ctrl-C and SIGTERM at any moment of real commands: no traceback, the right exit code, no lock that stays."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_chain.chain.deployment import Deployment
from nexus_chain.chain.local import LocalChain, anvil
from nexus_chain.folder_lock import is_busy
from tests.support.chain_world import ROOT

#: Seconds from one moment to the next.
STEP = 0.15


@pytest.fixture(scope="module")
def chain() -> Iterator[LocalChain]:
    with anvil() as running:
        yield running


def interrupted(words: list[str], moment: float, number: signal.Signals) -> tuple[int, str]:
    """Exit code and standard error of a command that gets a signal ``moment`` seconds after Python began ours."""
    begin = "import sys; print('up', file=sys.stderr, flush=True); from {0} import main; sys.argv[1:] = {1!r}; main()"
    script = begin.format(words[0], words[1:])
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "up\n"
        time.sleep(moment)
        process.send_signal(number)
        said = process.stderr.read()
    return process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "words",
    [
        ["node.cli", "--home", "{home}", "--rpc", "{rpc}", "deploy"],
        ["node.cli", "--home", "{home}", "--rpc", "{rpc}", "models"],
        ["node.daemon", "--home", "{home}", "--data", "{home}/node", "--rpc", "{rpc}", "status"],
    ],
    ids=["deploy", "models", "status"],
)
def test_no_moment_gives_a_traceback(
    chain: LocalChain, tmp_path: Path, words: list[str], number: signal.Signals
) -> None:
    codes = set()
    filled = [word.format(home=tmp_path, rpc=chain.rpc_url) for word in words]
    for step in range(1, 12):
        code, said = interrupted(filled, step * STEP, number)
        assert "Traceback" not in said, (step, said)
        assert "Exception ignored" not in said, (step, said)
        codes.add(code)
        if code not in (130, 143):
            break
        assert said.splitlines()[-1].endswith(": interrupted")
    assert codes <= {0, 1, 130 if number == signal.SIGINT else 143}
    assert not is_busy(tmp_path)
    for path in (tmp_path / "deployments").glob("[0-9]*.json"):
        if "unfinished" not in path.name:
            Deployment.load(path)
    assert not list(tmp_path.rglob(".*.json.*"))


@pytest.mark.parametrize("program", ["node.cli", "node.daemon"])
@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-", ">/dev/full"])
def test_streams_that_are_closed_or_full_give_no_traceback(program: str, closed: str, tmp_path: Path) -> None:
    """Regression: an answer was paid, and its bill ended in a traceback, as nothing could be written."""
    script = f"from {program} import main; import sys; sys.argv[1:] = {['--home', str(tmp_path), 'settings']!r}; main()"
    shell = f'{sys.executable} -c "$0" {closed}'
    ended = subprocess.run(["bash", "-c", shell, script], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == (1 if "full" in closed else 0), ended
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
    assert ("No space left" in ended.stderr) == ("full" in closed)
