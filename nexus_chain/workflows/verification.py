"""Checking an answer: find its evidence, the model and the nodes' keys, then judge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from nexus_chain.evidence.errors import ProofFileError
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import TRUST, AuditLevel, StepResult, VerificationReport, verify_proof
from nexus_chain.program import IntegerModel
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.versions.model_files import ModelFiles
from nexus_chain.workflows.fetched_answers import fetch_proof, is_address
from nexus_chain.workflows.sent_requests import (
    differences_from,
    differs_from_text,
    load_sent_request,
    written_prompt,
)
from nexus_chain.workflows.workspace import Workspace


@dataclass(frozen=True)
class AskedOfGateway:
    """What a caller knows of an answer: the JSON body that was sent to ``endpoint``, the text that came back."""

    request: Path | None = None
    endpoint: str = "/v1/chat/completions"
    text: str | None = None

    @property
    def says_something(self) -> bool:
        """Whether there is anything to compare with."""
        return self.request is not None or self.text is not None


def find_proof(workspace: Workspace, answer: str, api_key: str | None = None) -> InferenceProof:
    """The evidence in the file ``answer``, at that address of a gateway, or of the order that is called so here.

    ``answer``: a path, a URL (``api_key``: of the account that asked), or the beginning of an order's digest.
    Raises ProofFileError.
    """
    if is_address(answer):
        with workspace.observer.stage("Fetching the answer"):
            return fetch_proof(answer, api_key)
    path = Path(answer)
    if path.is_file():
        return InferenceProof.load(path)
    prefix = answer.lower().removeprefix("0x")
    if not prefix or any(character not in "0123456789abcdef" for character in prefix):
        raise ProofFileError(f"there is no answer file {answer}", advice="Give the file that `nexus ask` wrote.")
    with workspace.client(signing=False) as client:
        found = [digest for digest in client.store.order_digests() if digest.hex().startswith(prefix)]
        if len(found) == 1:
            return client.proof_of(found[0])
    raise ProofFileError(
        f"{len(found)} orders asked from here start with {answer}", advice="See `nexus session list --json`."
    )


def judged_texts(workspace: Workspace, proof: InferenceProof) -> dict[str, str]:
    """The ``text`` and the ``prompt`` that were judged, for whoever compares them with what a gateway sent and got.

    Raises ModelFilesError.
    """
    files = files_of_proof(workspace, proof, offline=False)
    text = files.codec.decode([token for token in proof.tokens[proof.prompt_length :] if token >= 0])
    return {"text": text, "prompt": written_prompt(proof, files)}


def require_request(
    workspace: Workspace, proof: InferenceProof, report: VerificationReport, asked: AskedOfGateway, *, offline: bool
) -> VerificationReport:
    """``report`` with one more step: whether the order that was judged is over what its caller sent, and got.

    Without it a gateway could show a right answer to another question. Raises ProofFileError and ModelFilesError.
    """
    files = files_of_proof(workspace, proof, offline=offline)
    found: list[str] = []
    stops: tuple[str, ...] = ()
    if asked.request is not None:
        sent = load_sent_request(asked.request, asked.endpoint, files)
        found, stops = list(differences_from(proof, sent)), sent.stops
    if asked.text is not None and (difference := differs_from_text(proof, asked.text, files, stops)):
        found.append(difference)
    step = StepResult(len(report.steps) + 1, "request", not found, "; ".join(found))
    return replace(report, steps=(*report.steps, step))


def files_of_proof(workspace: Workspace, proof: InferenceProof, *, offline: bool) -> ModelFiles:
    """The files of the order's model version; offline those in the settings' ``model_dir``. Raises ModelFilesError."""
    if not offline:
        return workspace.library.files_of(proof.order.model_version)
    if workspace.settings.model_dir is None:
        raise ModelFilesError("--offline needs the model", advice="Give its folder with --model-dir.")
    return ModelFiles(workspace.settings.model_dir)


def verify_answer(
    workspace: Workspace, proof: InferenceProof, level: AuditLevel, *, offline: bool = False
) -> VerificationReport:
    """Check the evidence. ``offline``: believe its receipt keys, and take the model from the settings' ``model_dir``.

    Otherwise the chain says whose keys and which weights are right. Raises ModelFilesError, ProofFileError.
    """
    model = None if level is TRUST else _model(workspace, proof, offline)
    keys = None if offline else _chain_keys(workspace, proof)
    with workspace.observer.stage("Recomputing") as advance:
        return verify_proof(proof, model, level, receipt_keys=keys, progress=advance)


def _model(workspace: Workspace, proof: InferenceProof, offline: bool) -> IntegerModel:
    """The model of the order, its weights checked against the chain unless ``offline``."""
    if not offline:
        version, library = proof.order.model_version, workspace.library
        return library.files_of(version).model(library.record_of(version))
    return IntegerModel.load(files_of_proof(workspace, proof, offline=True).folder)


def _chain_keys(workspace: Workspace, proof: InferenceProof) -> dict[str, str]:
    """The receipt keys that the registry holds for the nodes of the receipts."""
    chain = workspace.chain
    if (proof.domain.chain_id, proof.domain.verifying_contract) != (
        chain.domain.chain_id,
        chain.domain.verifying_contract,
    ):
        raise ProofFileError(
            f"the answer belongs to chain {proof.domain.chain_id}, market {proof.domain.verifying_contract}",
            advice="Give that chain's --rpc and --deployment, or --offline.",
        )
    return {receipt.node: chain.nodes.receipt_key_of(receipt.node) for receipt, _ in proof.receipts}
