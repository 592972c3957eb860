"""Starts the process of a training, listens to it, and says in an error how it ended if it ended badly."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from nexus_chain.distillation.errors import require_packages
from nexus_chain.distillation.lora import errors
from nexus_chain.distillation.lora.adapter import PEFT
from nexus_chain.distillation.lora.cpu_class import training_environment
from nexus_chain.distillation.lora.errors import LoraError, TrainingInterruptedError
from nexus_chain.distillation.lora.metrics import MATPLOTLIB, TrainingMetrics
from nexus_chain.distillation.lora.training_job import RESULT_FOLDER, TrainingJob
from nexus_chain.distillation.lora.training_loop import TrainingStep

_MODULE = "nexus_chain.distillation.lora.training_process"
_PATIENCE = 10.0  # seconds for a process to end by itself
_LAST_WORDS = 300  # characters of standard error that an error shows


@dataclass(frozen=True)
class TrainingProgress:
    """What a running training has just done: a step, or an epoch. ``process``: the id of its first process."""

    process: int
    step: TrainingStep | None = None
    epoch: TrainingMetrics | None = None


def run_supervised(
    job: TrainingJob,
    folder: Path,
    on_progress: Callable[[TrainingProgress], None] = lambda _: None,
    *,
    changes: Mapping[str, str] | None = None,
) -> Path:
    """Train ``job`` in ``folder`` in processes of its own, from its checkpoint if there is one; returns its result.

    ``changes``: of the environment. The processes end with this call, whatever ``on_progress`` raises. Raises
    LoraError (TrainingInterruptedError where the process was killed), OSError, and MissingPackageError, before it
    trains, for what it needs at its end.
    """
    require_packages({**PEFT, **MATPLOTLIB})
    path = job.write(folder)
    environment = training_environment(job.config.threads, changes)
    with tempfile.TemporaryFile() as words, _process(_command(job, path), environment, words) as process:
        error: LoraError | None = None
        last: TrainingStep | None = None
        for line in process.stdout or ():
            said = _parsed(line)
            if "step" in said:
                last = TrainingStep(**said["step"])
                on_progress(TrainingProgress(process.pid, step=last))
            elif "epoch" in said:
                on_progress(TrainingProgress(process.pid, epoch=TrainingMetrics(**said["epoch"])))
            elif "error" in said:
                error = error or _stated_error(said["error"])
        code = process.wait()
        if error is not None:
            raise error
        if code != 0 or not (folder / RESULT_FOLDER).is_dir():
            raise _interrupted(code, last, words)
    return folder / RESULT_FOLDER


def _command(job: TrainingJob, path: Path) -> list[str]:
    count = job.config.processes
    if count == 1:
        return [sys.executable, "-m", _MODULE, str(path)]
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", "-m"]
    return [sys.executable, *launcher, _MODULE, str(path)]


@contextmanager
def _process(command: list[str], environment: dict[str, str], words: IO[bytes]) -> Any:
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()  # torchrun passes it on to its children
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout:
            process.stdout.close()


def _parsed(line: str) -> dict[str, Any]:
    """A report; {} for whatever else a library prints."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _stated_error(said: Mapping[str, str]) -> LoraError:
    kind = getattr(errors, said["kind"], LoraError)
    return kind(said["message"], advice=said["advice"])


def _interrupted(code: int, last: TrainingStep | None, words: IO[bytes]) -> TrainingInterruptedError:
    words.seek(0)
    tail = words.read().decode(errors="replace").strip()[-_LAST_WORDS:].splitlines()
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    where = f"after step {last.done} of {last.steps}" if last else "before its first step"
    why = f" ({tail[-1]})" if tail and code > 0 else ""
    return TrainingInterruptedError(
        f"the training {how} {where}{why}",
        advice="Start the same training again: it goes on from its last checkpoint.",
    )
