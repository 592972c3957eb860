"""Checking an answer: find its evidence, the model and the nodes' keys, then judge."""

from __future__ import annotations

from pathlib import Path

from nexus_chain.evidence.errors import ProofFileError
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import TRUST, AuditLevel, VerificationReport, verify_proof
from nexus_chain.program import IntegerModel
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.workflows.fetched_answers import fetch_proof, is_address
from nexus_chain.workflows.workspace import Workspace


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


def answer_text(workspace: Workspace, proof: InferenceProof) -> str:
    """What an answer file's tokens say, for whoever compares it with what a gateway sent. Raises ModelFilesError."""
    codec = workspace.library.files_of(proof.order.model_version).codec
    return codec.decode([token for token in proof.tokens[proof.prompt_length :] if token >= 0])


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
    if workspace.settings.model_dir is None:
        raise ModelFilesError("--offline needs the model", advice="Give its folder with --model-dir.")
    return IntegerModel.load(workspace.settings.model_dir)


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
