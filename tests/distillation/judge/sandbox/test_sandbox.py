"""Where a machine cannot confine, nothing runs; and the filter is what the kernel is told it is."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from nexus_chain.distillation.judge.sandbox import sandbox as sandbox_module
from nexus_chain.distillation.judge.sandbox.errors import SandboxUnavailableError
from nexus_chain.distillation.judge.sandbox.sandbox import (
    Confinement,
    Sandbox,
    SandboxEnding,
    SandboxLimits,
    SandboxRequest,
)
from nexus_chain.distillation.judge.sandbox.system_calls import seccomp_filter

REQUEST = SandboxRequest("def f():\n    return 1", "f", ((),))


def broken_jail(tmp_path: Path, old: str, new: str) -> Path:
    source = sandbox_module.JAIL.read_text()
    assert old in source
    jail = tmp_path / "jail.py"
    jail.write_text(source.replace(old, new))
    return jail


@pytest.mark.parametrize(
    ("old", "new", "step"),
    [
        ("_LIBC.unshare(_NEW_NAMESPACES)", "_LIBC.unshare(0x7FFFFFFF)", "unshare: Invalid argument"),
        ('_PIVOT_ROOT = {"x86_64": 155', '_PIVOT_ROOT = {"x86_64": 9999', "pivot_root: Function not implemented"),
        ("_SECCOMP_MODE_FILTER = 2", "_SECCOMP_MODE_FILTER = 77", "seccomp: Invalid argument"),
    ],
)
def test_a_door_that_does_not_shut_means_that_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, step: str
) -> None:
    marker = tmp_path / "ran"
    sandbox = Sandbox(confinements=[Confinement.NAMESPACES])
    assert sandbox.confinement is Confinement.NAMESPACES  # it worked before, and is believed to
    monkeypatch.setattr(sandbox_module, "JAIL", broken_jail(tmp_path, old, new))
    code = f"open({str(marker)!r}, 'w').close()\ndef f():\n    return 1"
    with pytest.raises(SandboxUnavailableError, match=step):
        sandbox.run(SandboxRequest(code, "f", ((),)))
    with pytest.raises(SandboxUnavailableError, match=step):
        Sandbox(confinements=[Confinement.NAMESPACES]).run(REQUEST)
    assert not marker.exists()


def test_a_machine_without_any_confinement_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxUnavailableError, match="bubblewrap: it is not installed") as raised:
        Sandbox(confinements=[Confinement.BUBBLEWRAP]).run(REQUEST)
    assert "Install bubblewrap" in str(raised.value.advice)


@pytest.mark.parametrize(
    "script", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho locked\necho loaded\nprintf '7\\t[]\\nx'\n"]
)
def test_a_bubblewrap_that_does_not_work_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text(script)
    fake.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert Sandbox().confinement is Confinement.NAMESPACES
    with pytest.raises(SandboxUnavailableError):
        Sandbox(confinements=[Confinement.BUBBLEWRAP]).run(REQUEST)


def test_an_unknown_processor_is_refused() -> None:
    with pytest.raises(SandboxUnavailableError, match="mips"):
        seccomp_filter("mips")


@pytest.mark.parametrize(
    ("machine", "architecture", "allowed", "refused"),
    [
        ("x86_64", 0xC000003E, (231, 12, 202), (0, 2, 41, 56, 57, 59, 257, 435)),
        ("aarch64", 0xC00000B7, (94, 214, 98), (56, 63, 198, 220, 221, 435)),
    ],
)
def test_the_filter_s_program(
    machine: str, architecture: int, allowed: tuple[int, ...], refused: tuple[int, ...]
) -> None:
    """A small machine of our own runs the program, for the processor that this is not."""
    writes, maps, protects = {"x86_64": (1, 9, 10), "aarch64": (64, 222, 226)}[machine]
    program = seccomp_filter(machine)
    for number in allowed:
        assert decide(program, architecture, number) == "allow"
        assert decide(program, architecture ^ 1, number) == "kill"
    for number in refused:
        assert decide(program, architecture, number) == "refuse"
    assert [decide(program, architecture, writes, fd) for fd in (0, 1, 2)] == ["refuse", "allow", "refuse"]
    for call in (maps, protects):
        assert [decide(program, architecture, call, 0, 0, rights) for rights in (3, 4, 7)] == [
            *("allow", "refuse", "refuse"),
        ]


def decide(program: bytes, architecture: int, number: int, *arguments: int) -> str:
    data = struct.pack("<IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    instructions = list(struct.iter_unpack("<HBBI", program))
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, operand = instructions[at]
        at += 1
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, operand)[0]
        elif code == 0x15:
            at += if_true if accumulator == operand else if_false
        elif code == 0x45:
            at += if_true if accumulator & operand else if_false
        else:
            return {0x7FFF0000: "allow", 0x80000000: "kill", 0x00050001: "refuse"}[operand]


def test_a_line_that_the_limit_of_output_cuts_is_no_result() -> None:
    """Cut, it would be another result: 1 instead of 1000."""
    lines = b"loaded\n" + b"0\t[1000]\n" * 9 + b"0\t[1"
    code = f"import os\nos.write(1, {lines!r})\nwhile True:\n    pass"
    result = Sandbox(SandboxLimits(output=50)).run(SandboxRequest(code, "f", tuple(() for _ in range(20))))
    assert result.ending is SandboxEnding.OVERFLOWED
    assert [outcome.arguments for outcome in result.outcomes] == ["[1000]"] * 9


def test_a_child_that_ends_inside_of_a_line_has_died() -> None:
    """It gave all of its results, and more."""
    code = "import os\nos.write(1, b'loaded\\n1\\t[]\\n1')\nos._exit(0)"
    result = Sandbox().run(SandboxRequest(code, "f", ((),)))
    assert result.ending is SandboxEnding.DIED
    assert [outcome.value for outcome in result.outcomes] == ["1"]
