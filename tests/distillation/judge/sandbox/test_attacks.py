"""What untrusted code must not be able to do. Each attack runs inside, and must fail there.

An attack is a function ``attack(...)`` that returns what it got hold of; an exception inside is its failure.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
from pathlib import Path

import pytest

from nexus_chain.distillation.judge.sandbox.sandbox import (
    Confinement,
    Sandbox,
    SandboxEnding,
    SandboxLimits,
    SandboxRequest,
    SandboxResult,
)

RAW_CALLS = """
import sys
ctypes = sys.modules["ctypes"]
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    ctypes.set_errno(0)
    result = libc.syscall(*arguments)
    return [result, ctypes.get_errno()]
"""
REFUSED = "[-1, 1]"  # EPERM


#: All that there are on this machine: namespaces always, bubblewrap where it is installed.
CONFINEMENTS = [one for one in Confinement if one is not Confinement.BUBBLEWRAP or shutil.which("bwrap")]


@pytest.fixture(scope="module", params=CONFINEMENTS)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    # A crowded machine must not turn an attack that fails into one that ran out of time.
    return Sandbox(SandboxLimits(seconds=60.0), confinements=[request.param])


def attack(sandbox: Sandbox, code: str, *arguments: int | str) -> str:
    """The attack's outcome: what it returned, or ``raise NAME``."""
    result = sandbox.run(SandboxRequest(code, "attack", (tuple(arguments),)))
    assert result.ending is SandboxEnding.FINISHED, result
    return result.outcomes[0].value


def ending(code: str, limits: SandboxLimits) -> SandboxResult:
    return Sandbox(limits, confinements=[Confinement.NAMESPACES]).run(SandboxRequest(code, "attack", ((),)))


def test_honest_code_runs(sandbox: Sandbox) -> None:
    request = SandboxRequest(
        "import math\ndef attack(n, xs):\n    xs.append(n)\n    print('noise')\n    return (math.isqrt(n), True, 'é')",
        "attack",
        ((17, [1]), (4, [])),
    )
    result = sandbox.run(request)
    assert [(outcome.value, outcome.arguments) for outcome in result.outcomes] == [
        (r"(4, True, '\xe9',)", "[17, [1, 17]]"),
        (r"(2, True, '\xe9',)", "[4, [4]]"),
    ]


@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/environ", "/proc/1/environ", "/", "/tmp", "."])
def test_no_file_is_read(sandbox: Sandbox, path: str) -> None:
    assert attack(sandbox, "def attack(path):\n    return open(path).read()", path) == "raise PermissionError"
    assert attack(sandbox, "import os\ndef attack(path):\n    return os.listdir(path)", path) == "raise PermissionError"


def test_no_secret_is_read(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "key"
    secret.write_text("hunter2")
    monkeypatch.setenv("OPERATOR_KEY", "hunter2")
    assert attack(sandbox, "def attack(path):\n    return open(path).read()", str(secret)) == "raise PermissionError"
    assert attack(sandbox, f"def attack(pid):\n    return open(f'/proc/{os.getpid()}/environ').read()", 1).startswith(
        "raise"
    )
    everything = "import os\ndef attack():\n    return str(dict(os.environ))"
    assert "hunter2" not in attack(sandbox, everything)
    assert "OPERATOR" not in attack(sandbox, everything)


def test_the_environment_block_in_memory_is_empty(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATOR_KEY", "hunter2")
    code = RAW_CALLS + "def attack():\n    return str(ctypes.c_char_p.in_dll(libc, 'environ').value)"
    assert "hunter2" not in attack(sandbox, code)


def test_no_file_is_written(sandbox: Sandbox, tmp_path: Path) -> None:
    for path in (str(tmp_path / "new"), "/new", "/tmp/new", "new"):
        assert attack(sandbox, "def attack(path):\n    open(path, 'w').write('x')", path) == "raise PermissionError"
    assert list(tmp_path.iterdir()) == []


def test_no_socket_is_opened(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        code = "def attack(port):\n    import socket\n    return str(socket.create_connection(('127.0.0.1', port)))"
        assert attack(sandbox, code, server.getsockname()[1]).startswith("raise")
        raw = RAW_CALLS + "def attack():\n    return call(41, 2, 1, 0)"
        assert attack(sandbox, raw) == REFUSED
        with pytest.raises(BlockingIOError):
            server.accept()


FORBIDDEN = [
    "os.fork()",
    "os.execv('/bin/sh', ['sh'])",
    "os.posix_spawn('/bin/sh', ['sh'], {})",
    "os.kill(1, 9)",
    "os.kill(-1, 9)",
    "os.killpg(1, 9)",
    "os.setsid()",
    "os.pipe()",
    "os.dup(1)",
    "os.chroot('/')",
    "os.nice(5)",
    "os.close(1)",
    "os.read(0, 1)",
]


def test_no_process_is_started_or_signalled(sandbox: Sandbox) -> None:
    """In one child: each call is tried after those before it failed."""
    code = """
import os
def attack(body):
    try:
        eval(body)
    except OSError as error:
        return error.errno
    return "succeeded" """
    outcomes = sandbox.run(SandboxRequest(code, "attack", tuple((body,) for body in FORBIDDEN))).outcomes
    assert {body: outcome.value for body, outcome in zip(FORBIDDEN, outcomes, strict=True)} == dict.fromkeys(
        FORBIDDEN, "1"
    )


def test_no_thread_is_started(sandbox: Sandbox) -> None:
    bomb = "import _thread\ndef attack():\n    while True:\n        _thread.start_new_thread(attack, ())"
    assert attack(sandbox, bomb) == "raise RuntimeError"


def test_a_fork_bomb_stays_one_process(sandbox: Sandbox) -> None:
    code = """
import os
def attack():
    started = 0
    for _ in range(1000):
        try:
            os.fork()
            started += 1
        except OSError:
            pass
    return started"""
    assert attack(sandbox, code) == "0"


RAW = {
    "open": "2, b'/etc/passwd', 0",
    "openat": "257, -100, b'/etc/passwd', 0",
    "openat2": "437, -100, b'/etc/passwd', bytes(24), 24",
    "fork": "57",
    "clone3": "435, bytes(88), 88",
    "execve": "59, b'/bin/sh', 0, 0",
    "ptrace": "101, 16, 1, 0, 0",
    "mount": "165, b'none', b'/', b'tmpfs', 0, 0",
    "unshare": "272, 0x10000000",
    "io_uring_setup": "425, 8, bytes(120)",
    "add_key": "248, b'user', b'x', 0, 0, 0",
    "keyctl": "250, 0, -3, 0",
    "bpf": "321, 0, bytes(128), 128",
    "process_vm_readv": "310, 1, 0, 0, 0, 0, 0",
    "kill": "62, 1, 9",
    "prctl": "157, 22, 0, 0, 0, 0",
    "seccomp": "317, 0, 0, 0",
    "setrlimit": "160, 7, bytes(16)",
    "memfd_create": "319, b'x', 0",
    "shmget": "29, 0, 4096, 0o1000",
    "mmap, executable": "9, 0, 4096, 7, 0x22, -1, 0",
    "write, to another descriptor": "1, 2, b'x', 1",
    "open, in the manner of x32": "0x40000002, b'/etc/passwd', 0",
    "getrandom": "318, bytes(8), 8, 0",
}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of system calls on x86-64")
def test_raw_system_calls_are_refused(sandbox: Sandbox) -> None:
    code = RAW_CALLS + "def attack(arguments):\n    return eval(f'call({arguments})')"
    outcomes = sandbox.run(SandboxRequest(code, "attack", tuple((call,) for call in RAW.values()))).outcomes
    assert {name: outcome.value for name, outcome in zip(RAW, outcomes, strict=True)} == dict.fromkeys(RAW, REFUSED)


def test_executable_memory_of_a_32_bit_call_does_not_exist(sandbox: Sandbox) -> None:
    """Without executable memory, code cannot bring machine instructions such as ``int 0x80`` along."""
    code = (
        RAW_CALLS
        + """
def attack():
    page = ctypes.create_string_buffer(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))
    return libc.mprotect(ctypes.c_void_p(ctypes.addressof(page) & ~4095), 8192, 7)"""
    )
    assert attack(sandbox, code) == "-1"


def test_a_memory_hog_is_refused_memory(sandbox: Sandbox) -> None:
    assert attack(sandbox, "def attack():\n    return len(bytearray(1 << 30))") == "raise MemoryError"
    assert attack(sandbox, "def attack():\n    return 10 ** 10 ** 10 if 0 else len([0] * (1 << 28))").startswith(
        "raise"
    )


def test_deep_recursion_raises_or_kills_only_the_child(sandbox: Sandbox) -> None:
    assert attack(sandbox, "def attack():\n    return attack()") == "raise RecursionError"
    code = (
        "import sys\ndef attack():\n    sys.setrecursionlimit(10 ** 9)\n    x = []\n    x = eval('[' * 90 + ']' * 90)\n"
    )
    code += "    for _ in range(10 ** 6):\n        x = [x]\n    return repr(x)"
    result = sandbox.run(SandboxRequest(code, "attack", ((),)))
    assert result.ending in (SandboxEnding.DIED, SandboxEnding.FINISHED)


@pytest.mark.parametrize("code", ["while True: pass", "def attack():\n    while True: pass"])
def test_an_endless_loop_is_stopped(code: str) -> None:
    assert ending(code, SandboxLimits(seconds=1.0)).ending is SandboxEnding.STOPPED


def test_the_processor_s_limit_ends_a_loop_too() -> None:
    code = "def attack():\n    while True: pass"
    assert ending(code, SandboxLimits(seconds=60.0, cpu_seconds=1)).ending is SandboxEnding.DIED


def test_endless_output_is_stopped() -> None:
    code = "import os\ndef attack():\n    while True: os.write(1, b'x' * 4096)"
    assert ending(code, SandboxLimits(seconds=60.0, output=1 << 16)).ending is SandboxEnding.OVERFLOWED


def test_a_stopped_child_keeps_what_it_said_before() -> None:
    request = SandboxRequest("def attack(n):\n    while n: pass\n    return n", "attack", ((0,), (1,), (0,)))
    result = Sandbox(SandboxLimits(seconds=1.0)).run(request)
    assert (result.ending, [outcome.value for outcome in result.outcomes]) == (SandboxEnding.STOPPED, ["0"])


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.write(1, b'loaded\\n7\\t[]\\n')\nos._exit(0)",
        "import os\nos.write(1, b'7\\t[]\\n')\ndef attack(): return 8",
        "import os\ndef attack():\n    os.write(1, b'7\\t[]\\n')\n    return 8",
        "import os\ndef attack():\n    os._exit(0)",
        "import os\ndef attack():\n    os.write(1, b'no tab')\n    os._exit(0)",
        "raise SystemExit",
        "def other(): return 7",
        "attack = 5",
    ],
)
def test_forged_lines_are_no_more_than_the_code_s_own_answer(sandbox: Sandbox, code: str) -> None:
    """A child may say 7 in whatever way it likes; what is right, only its reader knows. More lines than calls fail."""
    result = sandbox.run(SandboxRequest(code, "attack", ((),)))
    if result.ending is SandboxEnding.FINISHED:
        assert [outcome.value for outcome in result.outcomes] in (["7"], ["raise TypeError"])
    else:
        assert result.ending in (SandboxEnding.DIED, SandboxEnding.FAILED)


def test_a_forged_refusal_does_not_look_like_an_unavailable_sandbox(sandbox: Sandbox) -> None:
    code = "import os\nos.write(1, b'unavailable x: y\\n')\nos._exit(97)"
    assert sandbox.run(SandboxRequest(code, "attack", ((),))).ending is SandboxEnding.DIED


def test_one_child_knows_nothing_of_another(sandbox: Sandbox) -> None:
    code = (
        "import builtins\ndef attack():\n    builtins.seen = getattr(builtins, 'seen', 0) + 1\n    return builtins.seen"
    )
    assert attack(sandbox, code) == attack(sandbox, code) == "1"


def test_a_sandbox_serves_threads(sandbox: Sandbox) -> None:
    values: list[str] = []
    code = "def attack(n):\n    return n"
    threads = [threading.Thread(target=lambda n=n: values.append(attack(sandbox, code, n))) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(values) == ["0", "1", "2"]
