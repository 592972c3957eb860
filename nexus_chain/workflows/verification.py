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
from nexus_chain.workflows.expected_models import ExpectedModel, expected_model
from nexus_chain.workflows.fetched_answers import fetch_proof, is_address
from nexus_chain.workflows.sent_requests import (
    SentRequest,
    differences_from,
    differs_from_text,
    judged_text,
    limit_of_gateway,
    load_sent_request,
    written_prompt,
)
from nexus_chain.workflows.workspace import Workspace


@dataclass(frozen=True)
class AskedOfGateway:
    """What a caller knows of an answer: the JSON body that was sent to ``endpoint``, the text that came back.

    ``prompt_index``: the prompt of several that it has to be to. ``version``: the model version that is expected.
    """

    request: Path | None = None
    endpoint: str = "/v1/chat/completions"
    text: str | None = None
    prompt_index: int | None = None
    version: str | None = None


@dataclass(frozen=True)
class _Known:
    """What an answer is compared with, each None where the caller did not say it. ``index``: of the prompt.

    ``files``: of the judged version; None where neither request nor text needs them.
    """

    files: ModelFiles | None
    sent: SentRequest | None
    index: int
    model: ExpectedModel | None
    text: str | None


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
    return {"text": judged_text(proof, files), "prompt": written_prompt(proof, files)}


def verify_asked(
    workspace: Workspace, proof: InferenceProof, level: AuditLevel, asked: AskedOfGateway, *, offline: bool = False
) -> VerificationReport:
    """See ``verify_answer``; then a step for the model and one for the request, as far as ``asked`` says them.

    Without them a gateway could show a right answer to another question, or of another model. What cannot be compared
    is said before anything is computed. Raises ProofFileError and ModelFilesError.
    """
    known = _known(workspace, proof, asked, offline)
    report = verify_answer(workspace, proof, level, offline=offline)
    steps = list(report.steps)
    if known.model is not None:
        version = proof.order.model_version
        record = None if offline else workspace.library.record_of(version)
        different = known.model.difference(version, record)
        steps.append(StepResult(len(steps) + 1, "model", not different, different or known.model.unseen))
    if known.files is not None:
        found, unseen = _compare(proof, known, known.files)
        steps.append(StepResult(len(steps) + 1, "request", not found, "; ".join(found) or unseen))
    return replace(report, steps=tuple(steps))


def _known(workspace: Workspace, proof: InferenceProof, asked: AskedOfGateway, offline: bool) -> _Known:
    """What ``asked`` says, read. A request is compared with its model or not at all. Raises as ``verify_asked``."""
    sent, index, model, files = None, 0, None, None
    if asked.request is not None or asked.text is not None:
        files = files_of_proof(workspace, proof, offline=offline)
    if asked.request is not None and files is not None:
        sent = load_sent_request(asked.request, asked.endpoint, files)
        index = sent.index_of(asked.prompt_index)
    elif asked.prompt_index is not None:
        raise ProofFileError("there are no prompts to choose from", advice="Give --request with --prompt-index.")
    if sent is not None or asked.version is not None:
        name, judged = None if sent is None else sent.model, proof.order.model_version
        model = expected_model(workspace, name, asked.version, judged, offline=offline)
    return _Known(files, sent, index, model, asked.text)


def _compare(proof: InferenceProof, known: _Known, files: ModelFiles) -> tuple[list[str], str]:
    """How the answer differs from what was sent and received; what was left to the gateway."""
    found, sent = [], known.sent
    if sent is not None:
        found = list(differences_from(proof, sent, files, known.index))
    stops = () if sent is None else sent.stops
    if known.text is not None and (difference := differs_from_text(proof, known.text, files, stops)):
        found.append(difference)
    return found, "" if sent is None else limit_of_gateway(proof, sent, files)


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
