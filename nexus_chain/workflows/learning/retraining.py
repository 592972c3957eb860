"""Training an adapter again as its certificate says, on this machine: an auditor's proof that nothing else was done."""

from __future__ import annotations

import tempfile
from pathlib import Path

from nexus_chain.certificates.distillation_certificate import CertifiedAdaptation
from nexus_chain.certificates.distillation_records import ExampleRecord
from nexus_chain.content.record_lines import RecordLines
from nexus_chain.distillation.lora.adapter import BASE_FILE
from nexus_chain.distillation.lora.base_model import base_sha256
from nexus_chain.distillation.lora.chat_examples import read_examples
from nexus_chain.distillation.lora.config import TrainingConfig
from nexus_chain.distillation.lora.cpu_class import cpu_class
from nexus_chain.distillation.lora.errors import TrainingConfigError
from nexus_chain.distillation.lora.supervised_training import run_supervised
from nexus_chain.distillation.lora.training_job import TrainingJob
from nexus_chain.distillation.memory.chat_lines import chat_line
from nexus_chain.json_text import parse_json
from nexus_chain.workflows.learning.certifying import training_settings


class LocalRetrainer:
    """Trains in a folder that goes away; see ``Retrainer`` of the audit."""

    @property
    def cpu_class(self) -> str:
        """The class of this machine's processor."""
        return cpu_class()

    def retrain(self, training: CertifiedAdaptation, dataset: Path, parent: Path) -> str:
        """SHA-256 (0x hex) of the adapter that comes out of the certified choices and examples here.

        Raises LoraError and CanonicalFormatError.
        """
        with tempfile.TemporaryDirectory(prefix="nexus-retrain-") as place:
            folder = Path(place)
            chat = folder / "dataset.jsonl"
            records = RecordLines.read(ExampleRecord, dataset.read_bytes(), dataset.name)
            chat.write_text("".join(f"{chat_line(one.prompt, one.response)}\n" for one in records.records))
            config = certified_config(training, parent, chat)
            _, digest = read_examples(chat)
            # No problem is held out here: the loss that is measured after an epoch changes no adapter.
            job = TrainingJob(config, str(parent), base_sha256(parent), digest, str(chat), digest)
            result = run_supervised(job, folder / "training")
            stated = parse_json((result / BASE_FILE).read_bytes())
        return "0x" + str(stated["adapter_sha256"])


def certified_config(training: CertifiedAdaptation, parent: Path, dataset: Path) -> TrainingConfig:
    """The training's settings, back from text. Raises TrainingConfigError."""
    own = TrainingConfig(str(parent), str(dataset))
    if set(training.configuration) != set(training_settings(own)):
        raise TrainingConfigError(
            "the certificate does not state exactly the settings of a training here",
            advice="Audit it with the version of this software that made it.",
        )
    try:
        settings = {name: parse_json(text) for name, text in training.configuration.items()}
    except ValueError as error:
        raise TrainingConfigError(
            f"a certified setting cannot be read ({error})", advice="Do not rely on this certificate."
        ) from error
    config = TrainingConfig.from_json({**own.to_json(), **settings})
    if training.seeds != {"training": config.seed}:
        raise TrainingConfigError(
            f"the certificate states the seeds {training.seeds}, and trains with {config.seed}",
            advice="Do not rely on this certificate.",
        )
    return config
