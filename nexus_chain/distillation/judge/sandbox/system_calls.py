"""The system calls that confined code may make, as a program of the kernel's seccomp filter (classic BPF).

What computes needs memory, and one pipe to write its results to. Every other call fails with EPERM: there is no file to
open, no socket, no process or thread to start, no signal to send. Memory is never executable. A call in the manner of
another processor kills the process.
"""

from __future__ import annotations

import errno
import platform
import struct

from nexus_chain.distillation.judge.sandbox.errors import SandboxUnavailableError

RESULTS = 1
"""The file descriptor that confined code may write to."""

_ARCHITECTURES = {
    "x86_64": (
        0xC000003E,
        {
            **{"write": 1, "mmap": 9, "mprotect": 10},
            **{"munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "mremap": 25},
            **{"madvise": 28, "exit": 60, "sigaltstack": 131, "futex": 202, "clock_gettime": 228, "exit_group": 231},
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            **{"write": 64, "mmap": 222, "mprotect": 226},
            **{"munmap": 215, "brk": 214, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139},
            **{"mremap": 216, "madvise": 233, "exit": 93, "sigaltstack": 132, "futex": 98, "clock_gettime": 113},
            "exit_group": 94,
        },
    ),
}
_CHECKED = ("write", "mmap", "mprotect")  # calls whose arguments are looked at

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
_EXECUTABLE = 4  # PROT_EXEC

Instruction = tuple[int, int, int, int]
"""``struct sock_filter``: code, jump if true, jump if false, operand."""


def seccomp_filter(machine: str | None = None) -> bytes:
    """The filter for ``machine`` (as ``platform.machine()`` names it; by default this one), 8 bytes an instruction.

    Raises SandboxUnavailableError for a processor whose calls are not known here.
    """
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        raise SandboxUnavailableError(
            f"the sandbox knows no system calls of {machine}", advice="Judge code on an x86-64 or aarch64 machine."
        )
    architecture, numbers = _ARCHITECTURES[machine]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in _program(architecture, numbers))


def _program(architecture: int, numbers: dict[str, int]) -> list[Instruction]:
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    for name, number in numbers.items():
        if name not in _CHECKED:
            program += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    program += _only_if(numbers["write"], 0, (_JUMP_IF_EQUAL, 0, 1, RESULTS))
    program += _only_if(numbers["mmap"], 2, (_JUMP_IF_ANY_BIT, 1, 0, _EXECUTABLE))
    program += _only_if(numbers["mprotect"], 2, (_JUMP_IF_ANY_BIT, 1, 0, _EXECUTABLE))
    return [*program, (_RETURN, 0, 0, _REFUSE)]


def _only_if(number: int, argument: int, test: Instruction) -> list[Instruction]:
    """Allow the call if ``test``, over the low half of its argument, goes on to the next instruction."""
    return [
        (_JUMP_IF_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT + 8 * argument),
        test,
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
