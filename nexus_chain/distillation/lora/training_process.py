"""The process of a training: ``python -m nexus_chain.distillation.lora.training_process JOB``.

It reports on standard output, one JSON object a line: ``step``, ``epoch``, ``done`` or ``error``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from nexus_chain.distillation.lora.adapter import with_adapter, write_adapter
from nexus_chain.distillation.lora.base_model import base_sha256, load_base
from nexus_chain.distillation.lora.chat_examples import encode_examples, read_examples
from nexus_chain.distillation.lora.errors import TrainingDataError, TrainingStorageError
from nexus_chain.distillation.lora.metrics import TrainingMetrics, draw_metrics
from nexus_chain.distillation.lora.peers import Peers, joined_peers
from nexus_chain.distillation.lora.training_job import RESULT_FOLDER, STATE_FILE, TrainingJob
from nexus_chain.distillation.lora.training_loop import TrainingLoop, TrainingStep, fix_arithmetic
from nexus_chain.errors import NexusError
from nexus_chain.staging import staged

METRICS_JSON, METRICS_PICTURE = "metrics.json", "metrics.png"


def main(arguments: list[str]) -> int:
    """Run the job of the file named; 0 when its result is written, 1 after an error that was reported."""
    path = Path(arguments[0])
    try:
        job = TrainingJob.read(path)
        with joined_peers() as peers:
            run_job(job, path.parent, peers)
    except OSError as cause:
        _report(error=_storage_error(cause))
        return 1
    except NexusError as error:
        _report(error=error)
        return 1
    return 0


def run_job(job: TrainingJob, folder: Path, peers: Peers) -> None:
    """Train in ``folder``; its result appears whole. Raises LoraError and OSError."""
    config = job.config
    fix_arithmetic(config.threads)
    if base_sha256(Path(job.base)) != job.base_sha256:
        raise TrainingDataError("the base model has changed", advice="Start the training again.")
    model, tokenizer = load_base(Path(job.base))
    torch.manual_seed(config.seed)
    trained = with_adapter(model, config)
    torch.manual_seed(config.seed + peers.rank)  # the same adapter everywhere, other values dropped
    loop = TrainingLoop(
        trained,
        config,
        job.identity,
        encode_examples(_read(config.dataset_path, job.dataset_sha256), tokenizer, config.max_length),
        encode_examples(_read(job.held_out, job.held_out_sha256), tokenizer, config.max_length),
        folder / STATE_FILE,
        peers,
        on_step=(lambda step: _report(step=step)) if peers.leads else (lambda _: None),
        on_epoch=(lambda metrics: _report(epoch=metrics)) if peers.leads else (lambda _: None),
    )
    loop.run()
    if peers.leads:
        adapter = _write_result(trained, job, loop.metrics, folder)
        _report(done=adapter)


def _write_result(trained: Any, job: TrainingJob, metrics: list[TrainingMetrics], folder: Path) -> str:
    with staged(folder / RESULT_FOLDER) as part:
        found = write_adapter(trained, job.base_sha256, part)
        (part / METRICS_JSON).write_text(json.dumps([asdict(one) for one in metrics], indent=1) + "\n")
        draw_metrics(metrics, part / METRICS_PICTURE)
        job.write(part)
    return found


def _read(path: str, sha256: str) -> Any:
    examples, found = read_examples(Path(path))
    if found != sha256:
        raise TrainingDataError(f"{path} has changed", advice="Start the training again.")
    return examples


def _storage_error(cause: OSError) -> TrainingStorageError:
    return TrainingStorageError(
        f"{cause.filename or 'a checkpoint'} cannot be written or read ({cause.strerror or cause})",
        advice="Make room and start the training again: it goes on from its last checkpoint.",
    )


def _report(
    *,
    step: TrainingStep | None = None,
    epoch: TrainingMetrics | None = None,
    done: str | None = None,
    error: NexusError | None = None,
) -> None:
    line: dict[str, Any] = {}
    if step is not None:
        line["step"] = asdict(step)
    if epoch is not None:
        line["epoch"] = asdict(epoch)
    if done is not None:
        line["done"] = done
    if error is not None:
        line["error"] = {"kind": type(error).__name__, "message": error.message, "advice": error.advice}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
