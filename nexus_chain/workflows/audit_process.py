"""The process of an audit: ``python -m nexus_chain.workflows.audit_process``, with an ``AuditJob`` on standard input.

A process of its own, so that whoever serves others meanwhile keeps its interpreter and its memory, and can end an
audit in the middle of a step. It says on standard output, one JSON object a line: ``titles`` of the steps first, each
``step`` as it ends, then the ``report``; or the ``error`` that kept it from auditing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from types import FrameType
from typing import Any

from nexus_chain.certificates.audit_evidence import AuditRequest, AuditStep
from nexus_chain.errors import NexusError
from nexus_chain.workflows.audit_job import AuditJob
from nexus_chain.workflows.certificates import audit_certificate, audit_titles
from nexus_chain.workflows.workspace import Workspace

_ENDED = 128 + signal.SIGTERM
_NICENESS = 10
"""Whoever started it answers others on the same processors."""


def main() -> int:
    """Audit what standard input names; 0 once the report is said, 1 after an error that was said."""
    signal.signal(signal.SIGTERM, _leave)
    os.nice(_NICENESS)
    try:
        job = AuditJob.from_json(sys.stdin.buffer.readline())
        workspace = Workspace(job.settings)
        _say(titles=audit_titles(workspace, job.cid))
        report = audit_certificate(workspace, job.cid, None, _tell, AuditRequest(sample=job.sample))
    except NexusError as error:
        _say(error=error.message)
        return 1
    except OSError as error:
        _say(error=str(error))
        return 1
    _say(report=report.to_dict())
    return 0


def _tell(step: AuditStep) -> None:
    _say(step=step.to_dict())


def _say(**said: Any) -> None:
    print(json.dumps(said), flush=True)


def _leave(number: int, frame: FrameType | None) -> None:
    """Solvers and temporary files are closed on the way out."""
    raise SystemExit(_ENDED)


if __name__ == "__main__":
    sys.exit(main())
