"""The root of every error this project raises on purpose, and those that belong to no room.

    NexusError
    ├── OperatingSystemError             a file or socket that the machine refused
    ├── SettingsError                    a setting that is unknown, missing or malformed
    ├── DataFolderError                  a program's own folder is damaged or not usable
    │   ├── DataFolderBusyError          another process works on it
    │   └── WriteAheadLogError           an event that cannot be read back or written down
    │
    ├── nexus_chain.program.errors       checkpoints and integer programs
    ├── nexus_chain.engine.errors        executing a program
    ├── nexus_chain.commitments.errors   tensors, trees and blocks that do not match
    ├── nexus_chain.planning.errors      cutting a model and placing its parts
    │
    ├── nexus_chain.market.errors        orders, vouchers, receipts, prices
    ├── nexus_chain.chain.errors         RPC, wallets, reverted transactions
    ├── nexus_chain.wire.errors          what another node or client does wrong on the wire
    ├── nexus_chain.routing.errors       nobody to serve a layer range
    │
    ├── nexus_chain.content.errors       CIDs, canonical documents, pinning
    ├── nexus_chain.evidence.errors      answer files
    ├── nexus_chain.disputes.errors      moves of a game that cannot be made
    ├── nexus_chain.certificates.errors  certificates and audits
    ├── nexus_chain.distillation.errors  teachers, the judge, memory, training
    │   ├── nexus_chain.distillation.curriculum.errors   problems that cannot be made
    │   ├── nexus_chain.distillation.distiller.errors    answers that are asked for, weighed and kept
    │   ├── nexus_chain.distillation.judge.errors        claims that cannot be judged
    │   ├── nexus_chain.distillation.judge.python.errors    claims about Python
    │   ├── nexus_chain.distillation.judge.sandbox.errors   code that cannot be run safely
    │   ├── nexus_chain.distillation.local.errors     a local server of models
    │   ├── nexus_chain.distillation.lora.errors      training, adapters and their versions
    │   ├── nexus_chain.distillation.memory.errors    examples and where they are kept
    │   └── nexus_chain.distillation.teachers.errors  teachers, their money and their quotas
    ├── nexus_chain.quality.errors       measuring what an import loses
    │
    ├── nexus_chain.drafting.errors      tables of drafts
    ├── nexus_chain.versions.errors      a version's files and its text codec
    ├── nexus_chain.client.errors        asking, paying and verifying
    ├── nexus_chain.workflows.errors     the catalogue, downloads, local networks
    │   └── nexus_chain.workflows.learning.errors   a run of distillation and its folder
    │
    ├── node.daemon.errors               `nexus-node start`
    ├── node.gateway.errors              `nexus-gateway`, as callers are told
    │   ├── node.gateway.anthropic.errors    as Anthropic's clients read them
    │   ├── node.gateway.ollama.errors       as Ollama's clients read them
    │   └── node.gateway.openai.errors       as OpenAI's clients read them
    └── node.watch.errors                `nexus-node watch`

Each room owns its branch; this file knows none of them.
"""

from __future__ import annotations


class NexusError(Exception):
    """Something the person at the keyboard can act on.

    ``message`` says what is wrong, ``advice`` what to do next; both are one sentence.
    """

    def __init__(self, message: str, *, advice: str) -> None:
        super().__init__(f"{message.rstrip('.')}. {advice}")
        self.message = message
        self.advice = advice


class OperatingSystemError(NexusError):
    """Raised at a program's edge for an OSError that no package gave a meaning: full disks, closed folders."""

    @classmethod
    def of(cls, cause: OSError) -> OperatingSystemError:
        """``cause`` in words; with the file, where there is one."""
        where = f"{cause.filename}: " if cause.filename else ""
        advice = "Check that the place exists, that you may use it, and that there is room."
        return cls(f"{where}{cause.strerror or cause}", advice=advice)


class DataFolderError(NexusError):
    """Raised when a program's own folder is damaged or cannot be used."""


class DataFolderBusyError(DataFolderError):
    """Raised when another daemon holds the data folder: two would sign over each other."""


class WriteAheadLogError(DataFolderError):
    """Raised when the write-ahead log cannot be read back or written."""


class SettingsError(NexusError):
    """Raised when a flag, an environment variable or an entry of a TOML file is unknown, missing or malformed."""
