"""What can go wrong with the sandbox. What goes wrong inside of it is a result and no error.

SandboxError
└── SandboxUnavailableError    this machine cannot confine a process, so nothing runs
"""

from __future__ import annotations

from nexus_chain.distillation.judge.errors import JudgeError


class SandboxError(JudgeError):
    """Root of the sandbox's errors."""


class SandboxUnavailableError(SandboxError):
    """Raised where neither bubblewrap nor namespaces with seccomp work: untrusted code is not run at all."""
