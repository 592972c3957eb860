"""Auditing a model's certificate from its CID and the chain, and handing on what it stands on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from nexus_chain.certificates.archive import export_certificate
from nexus_chain.certificates.audit import AuditReport, audit, step_titles
from nexus_chain.certificates.audit_evidence import AuditRequest, AuditStep, ClaimJudging
from nexus_chain.certificates.distillation_certificate import SignedDistillation
from nexus_chain.commitments.merkle import MerkleTree, leaf_hash
from nexus_chain.content.block_store import BlockSource, BlockStore, FirstOf, UntilLate, fetch_file
from nexus_chain.content.car import CarFile
from nexus_chain.content.cid import Cid
from nexus_chain.content.kubo import KuboDaemon
from nexus_chain.content.record_lines import RecordProof
from nexus_chain.errors import NexusError
from nexus_chain.versions.manifest import MAX_DOCUMENT_BYTES, Manifest
from nexus_chain.workflows.errors import WorkflowError
from nexus_chain.workflows.workspace import Workspace

if TYPE_CHECKING:
    from nexus_chain.certificates.ml_bom import BillFacts
    from nexus_chain.distillation.judge.solvers import SolverLimits
    from nexus_chain.distillation.judge.verdict import Verdict

MAX_DATASET_BYTES = 256 << 20
"""Of a dataset that one example is shown of: it is held in memory."""


@dataclass(frozen=True)
class AuditSources:
    """Where blocks come from beside the home: ``car``, an archive, then ``ipfs``, a Kubo daemon (the settings').

    ``export``: an archive of all that the audit reads is written there.
    """

    ipfs: str | None = None
    car: Path | None = None
    export: Path | None = None


def audit_certificate(
    workspace: Workspace,
    cid: str,
    sources: AuditSources | None = None,
    told: Callable[[AuditStep], None] | None = None,
    request: AuditRequest | None = None,
) -> AuditReport:
    """Check the certificate at ``cid`` step by step; ``told`` of every step as it ends.

    Verdicts are judged again by this installation's judge unless ``request`` has another. Raises IpfsDaemonError,
    CarFormatError, OSError; with ``export`` as ``export_certificate`` does.
    """
    places, request = sources or AuditSources(), request or AuditRequest()
    blocks = certificate_blocks(workspace, places)
    with ExitStack() as stack:
        if request.judging is None:
            request = replace(request, judging=installed_judging(stack))
        if request.retrain and request.retrainer is None:
            from nexus_chain.workflows.learning.retraining import LocalRetrainer  # with torch and PEFT

            request = replace(request, retrainer=LocalRetrainer())
        report = audit(cid, blocks, workspace.chain, told, request)
    if places.export is not None and report.passed:
        export_certificate(cid, blocks, workspace.chain, places.export)
    return report


def certificate_bytes(
    workspace: Workspace, cid: str, sources: AuditSources | None = None, seconds: float = math.inf
) -> bytes:
    """The document at ``cid`` as it was signed, whatever it is. ``seconds``: how long its blocks may take to come.

    Raises CidFormatError, BlockError, IpfsDaemonError.
    """
    blocks = _within(seconds, certificate_blocks(workspace, sources or AuditSources()))
    return fetch_file(blocks, cid, MAX_DOCUMENT_BYTES)


def audit_titles(workspace: Workspace, cid: str) -> tuple[str, ...]:
    """The steps that an audit of ``cid`` runs through; those of a corpus certificate where it cannot be had."""
    try:
        return step_titles(certificate_bytes(workspace, cid))
    except (NexusError, OSError):
        return step_titles(b"")


def archive_of_certificate(workspace: Workspace, cid: str, path: Path, most: int, seconds: float) -> int:
    """As ``export_certificate``, from blocks that this machine has or can fetch in ``seconds``, up to ``most`` bytes.

    Raises WorkflowError above that; nothing is written then.
    """
    blocks = _within(seconds, _Rationed(certificate_blocks(workspace, AuditSources()), most))
    return export_certificate(cid, blocks, workspace.chain, path)


class _Rationed:
    """Blocks, until so many bytes of them were given."""

    def __init__(self, blocks: BlockSource, most: int) -> None:
        self._blocks, self._most, self._left = blocks, most, most

    def get(self, cid: Cid) -> bytes:
        data = self._blocks.get(cid)
        self._left -= len(data)
        if self._left < 0:
            raise WorkflowError(
                f"the archive would have more than {self._most} bytes",
                advice="Make it on your own machine: `nexus audit CID --export-car FILE`.",
            )
        return data


def _within(seconds: float, blocks: BlockSource) -> BlockSource:
    end = time.monotonic() + seconds
    return UntilLate(blocks, lambda: time.monotonic() >= end)


def example_proof(workspace: Workspace, cid: str, index: int, seconds: float = math.inf) -> RecordProof:
    """That the example at ``index`` is in the dataset of the distillation certificate at ``cid``.

    ``seconds``: how long its blocks may take to come.

    Raises BlockError, CanonicalFormatError for another document, WorkflowError where there is no such example.
    """
    blocks = _within(seconds, certificate_blocks(workspace, AuditSources()))
    signed = SignedDistillation.from_bytes(fetch_file(blocks, cid, MAX_DOCUMENT_BYTES))
    dataset = signed.certificate.dataset
    if not 0 <= index < dataset.examples:
        raise WorkflowError(
            f"the dataset has {dataset.examples} examples, and none with number {index}",
            advice=f"Ask for one from 0 to {dataset.examples - 1}.",
        )
    if dataset.file.size > MAX_DATASET_BYTES:
        raise WorkflowError(
            f"the dataset has {dataset.file.size} bytes, too many to show one example of here",
            advice="Make the proof on your own machine: see `RecordLines.prove`.",
        )
    # Lines alone: an example is shown, not judged, so the others need not be read.
    lines = fetch_file(blocks, dataset.file.cid, MAX_DATASET_BYTES).split(b"\n")[:-1]
    tree = MerkleTree(map(leaf_hash, lines))
    siblings = tuple("0x" + node.hex() for node in tree.inclusion(index))
    return RecordProof("0x" + tree.root().hex(), len(lines), index, lines[index].decode(), siblings)


def bill_of_certificate(
    workspace: Workspace, cid: str, facts: BillFacts, schema: str, sources: AuditSources | None = None
) -> str:
    """The CycloneDX ML-BOM of the distillation certificate at ``cid``; see ``bill_of_materials``.

    Raises BlockError, CanonicalFormatError for another document, BillOfMaterialsError, MissingPackageError.
    """
    from nexus_chain.certificates.ml_bom import bill_of_materials

    blocks = certificate_blocks(workspace, sources or AuditSources())
    signed = SignedDistillation.from_bytes(fetch_file(blocks, cid, MAX_DOCUMENT_BYTES))
    return bill_of_materials(signed, Manifest.fetch(blocks, signed.certificate.model.manifest), facts, schema)


def certificate_blocks(workspace: Workspace, places: AuditSources) -> BlockSource:
    """Where blocks are looked for, one place after the other. Raises BlockError."""
    blocks: list[BlockSource] = [BlockStore(workspace.home.blocks)]
    if places.car is not None:
        blocks.append(CarFile(places.car))
    if address := places.ipfs or workspace.settings.ipfs:
        blocks.append(KuboDaemon(address))
    return FirstOf(blocks)


def installed_judging(stack: ExitStack) -> ClaimJudging | None:
    """What judges a claim's JSON text again, opened at the first claim; None where the judge's packages are missing."""
    if any(find_spec(package) is None for package in ("cvc5", "lark", "z3")):
        return None
    from nexus_chain.distillation.judge.claim import read_claim
    from nexus_chain.distillation.judge.judge import Judge
    from nexus_chain.distillation.judge.solvers import Solvers

    opened: list[Judge] = []

    def judging(claim: str, limits: SolverLimits) -> Verdict:
        if not opened:
            opened.append(stack.enter_context(Judge(stack.enter_context(Solvers(limits)))))
        return opened[0].judge(read_claim(claim))

    return judging
