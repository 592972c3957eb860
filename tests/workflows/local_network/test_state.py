"""What is written down about a local network, and which process a number means."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_chain.workflows.errors import LocalNetworkError
from nexus_chain.workflows.local_network.bounded_log import BoundedLog
from nexus_chain.workflows.local_network.process_marks import ProcessMark, mark_of
from nexus_chain.workflows.local_network.state import CHAT, DepositPlace, NetworkState, ServedVersion

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = NetworkState(
        mark_of(os.getpid()), {"chain": ProcessMark(3, "then")}, 8545, 11434, {"node": 7070},
        {"tiny": ServedVersion("0xab", ("/a", "/b"), CHAT)}, ("tiny",), True,
        DepositPlace("0xdead", 7),
    )  # fmt: skip
    state.save(tmp_path / "network.json")
    assert NetworkState.load(tmp_path / "network.json") == state
    assert (tmp_path / "network.json").stat().st_mode & 0o777 == 0o600
    assert NetworkState.load(tmp_path / "none.json") == NetworkState()


def test_a_state_from_before_there_were_deposits_is_read(tmp_path: Path) -> None:
    NetworkState(models=("tiny",)).save(tmp_path / "network.json")
    written = json.loads((tmp_path / "network.json").read_text())
    del written["deposits"]
    (tmp_path / "network.json").write_text(json.dumps(written))
    assert NetworkState.load(tmp_path / "network.json") == NetworkState(models=("tiny",))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}', '{"format": "nexus.local-network.v1"}'])
def test_a_state_that_cannot_be_read_is_said_with_a_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "network.json").write_text(text)
    with pytest.raises(LocalNetworkError, match=r"network\.json cannot be read") as error:
        NetworkState.load(tmp_path / "network.json")
    assert error.value.advice.startswith("Delete it")


def test_a_number_that_another_process_has_now_is_not_the_process(tmp_path: Path) -> None:
    own = mark_of(os.getpid())
    assert own.is_alive
    assert not ProcessMark(own.number, own.started + "0").is_alive
    assert not ProcessMark(own.number, "").is_alive
    with subprocess.Popen(SLEEP, start_new_session=True) as process:
        mark = mark_of(process.pid)
        ProcessMark(process.pid, "another start").end(0)
        assert mark.is_alive
        mark.end(30)
        assert process.wait() == -15
        assert not mark.is_alive
        assert mark_of(process.pid) == ProcessMark(process.pid, "")
    mark.end(30)  # again: nothing is there


def test_a_process_that_has_ended_and_was_not_waited_for_is_not_alive() -> None:
    with subprocess.Popen(SLEEP) as process:
        mark = mark_of(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not mark.is_alive


def test_a_log_is_bounded_and_private(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "logs" / "a.log", limit=100)
    for number in range(50):
        log.write(f"line {number:04}\n")
    kept = [path.read_text() for path in sorted((tmp_path / "logs").iterdir())]
    assert [len(text) <= 100 for text in kept] == [True, True]
    assert kept[0].endswith("line 0049\n")
    assert (tmp_path / "logs" / "a.log").stat().st_mode & 0o777 == 0o600
    BoundedLog(tmp_path / "logs" / "a.log" / "below-a-file").write("lost, and no error\n")
