"""The child's side of the sandbox: shut every door, say ``locked``, and only then read the untrusted code.

A script, run as ``python -I -S -B jail.py namespaces|bubblewrap``: it imports nothing of this package. Standard input
holds the request (``marshal``). Standard output gets lines: ``locked``, then ``loaded`` or ``failed NAME``, then one
line for each input. A door that cannot be shut gives the single line ``unavailable STEP: WHY``. From ``locked`` on the
lines are the untrusted code's own word: whoever reads them trusts none.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import platform
import resource
import signal
import sys
from typing import Any, NoReturn

# Modules that code may import: they are loaded before the doors are shut, for afterwards there is no file to load.
IMPORTABLE = ("math", "itertools", "functools", "operator", "collections", "heapq", "bisect", "string", "re", "typing")

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000 | 0x02000000
# CLONE_NEWUSER, NEWNS, NEWPID, NEWNET, NEWIPC, NEWUTS, NEWCGROUP
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_CAPSET = {"x86_64": 126, "aarch64": 91}
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = (
    *(1, 2, 4, 8, 32, 4096, 16384, 1 << 18),
)
_MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 24, 38
_SECCOMP_MODE_FILTER = 2
_LARGEST_INT = 8_192  # bits of an integer in a result
_DEEPEST = 20


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def main() -> None:
    """Confine this process, then run the request."""
    request = marshal.loads(sys.stdin.buffer.read())
    for name in IMPORTABLE:
        if name in request["code"]:
            __import__(name)
    try:
        if sys.argv[1] == "namespaces":
            _enter_namespaces()
        _drop_rights(request)
    except OSError as error:
        _write(f"unavailable {error.filename}: {error.strerror}\n")
        os._exit(0)
    _write("locked\n")
    _run(request)
    os._exit(0)


# --- shutting the doors ------------------------------------------------------------------------------------------


def _call(step: str, result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), step)


def _enter_namespaces() -> None:
    """New user, mount, process, network, IPC, host and cgroup namespaces; an empty read-only root."""
    user, group = os.geteuid(), os.getegid()
    _call("unshare", _LIBC.unshare(_NEW_NAMESPACES))
    for name, text in (("setgroups", "deny"), ("uid_map", f"65534 {user} 1"), ("gid_map", f"65534 {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    child = os.fork()
    if child:
        _wait_for(child)
    _call("prctl", _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
    _empty_root()


def _wait_for(child: int) -> NoReturn:
    """Outside: hold no end of the pipes, and end when the confined process does."""
    os.closerange(0, 3)
    os.waitpid(child, 0)
    os._exit(0)


def _empty_root() -> None:
    _call("private mounts", _LIBC.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))
    place = next(path for path in ("/tmp", "/var/tmp", "/usr", "/") if os.path.isdir(path)).encode()
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _call("empty root", _LIBC.mount(b"none", place, b"tmpfs", flags, b"size=4k,nr_inodes=2,mode=555"))
    os.chdir(place)
    _call("pivot_root", _LIBC.syscall(_PIVOT_ROOT[platform.machine()], b".", b"."))
    _call("old root", _LIBC.umount2(b".", _MNT_DETACH))
    os.chdir("/")
    _call("read-only root", _LIBC.mount(b"none", b"/", None, flags | _MS_REMOUNT | _MS_BIND | _MS_RDONLY, None))


def _drop_rights(request: dict[str, Any]) -> None:
    """Limits, no capability, no open file but the results, and the filter of system calls as the last door."""
    limits = {"AS": request["memory"], "CPU": request["cpu_seconds"], "FSIZE": 0, "NPROC": 0, "CORE": 0, "NOFILE": 2}
    os.closerange(2, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 1 << 16 else 1 << 16)
    os.close(0)
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    for capability in range(64):
        _LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails for numbers that this kernel does not have
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    _call("capset", _LIBC.syscall(_CAPSET[platform.machine()], header, nothing))
    _call("dumpable", _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
    _call("no_new_privs", _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    program = _FilterProgram(len(request["filter"]) // 8, request["filter"])
    _call("seccomp", _LIBC.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0))


# --- running the code --------------------------------------------------------------------------------------------


def _write(text: str) -> None:
    data = text.encode("ascii", "backslashreplace")
    while data:
        data = data[os.write(1, data) :]


class _Nowhere:
    """What the code prints goes nowhere."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


class _OpaqueError(Exception):
    """A value that has no exact text."""


def _run(request: dict[str, Any]) -> None:
    sys.stdout = sys.stderr = _Nowhere()
    sys.path, sys.argv = [], [""]
    module: dict[str, Any] = {"__name__": "claim"}
    try:
        exec(compile(request["code"], "claim.py", "exec", dont_inherit=True), module)
        function = module[request["function"]]
    except BaseException as error:  # noqa: BLE001
        _write(f"failed {type(error).__name__}\n")
        return
    _write("loaded\n")
    for values in request["inputs"]:
        arguments = [list(value) if type(value) is list else value for value in values]
        _write(f"{_outcome(function, arguments)}\n")


def _outcome(function: Any, arguments: list[Any]) -> str:
    """``VALUE<tab>ARGUMENTS``, the arguments as the call left them; for an exception ``raise NAME`` as the value."""
    try:
        result = function(*arguments)
    except BaseException as error:  # noqa: BLE001
        return f"raise {type(error).__name__}\t"
    try:
        return f"{_text(result, 0)}\t{_text(arguments, 0)}"
    except BaseException:  # noqa: BLE001
        return "opaque\t"


def _text(value: Any, depth: int) -> str:
    """A text that two values share only if they have the same type and are equal."""
    kind = type(value)
    if kind in (type(None), bool, float) or (kind is int and value.bit_length() <= _LARGEST_INT):
        return repr(value)
    if kind is str:
        return ascii(value)
    if kind not in (list, tuple) or depth > _DEEPEST:
        raise _OpaqueError
    parts = ", ".join([_text(part, depth + 1) for part in value])
    return f"[{parts}]" if kind is list else f"({parts},)"


if __name__ == "__main__":
    main()
