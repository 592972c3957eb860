"""AuditSteps of a distillation's audit about who learned and what it gained: parent, evaluation, adapter, training."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nexus_chain.certificates.audit_evidence import AuditEvidence, Unchecked, finding, require_equal, require_found
from nexus_chain.certificates.certificate import NO_PARENT_ID
from nexus_chain.certificates.distillation_adapter import require_merged
from nexus_chain.certificates.distillation_certificate import CertifiedAdaptation, CertifiedScore
from nexus_chain.certificates.distillation_counting import evaluation_fault
from nexus_chain.certificates.distillation_evaluation import Evaluator, is_deployable, score_from, unpacked_bits
from nexus_chain.certificates.distillation_judging import fetch_records
from nexus_chain.certificates.distillation_records import ProblemRecord
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.distillation.lora.cpu_class import UNCLASSIFIED
from nexus_chain.engine.engine import Engine
from nexus_chain.program import IntegerModel, import_checkpoint
from nexus_chain.program.file_names import TOKENIZER_FILE
from nexus_chain.versions.manifest import Manifest
from nexus_chain.versions.text_codec import TextCodec
from nexus_chain.versions.text_files import TEXT_FILES


def check_parent(evidence: AuditEvidence) -> str:
    """Step 6: the parent is the one that the registry names, with its roots and its anchored certificate.

    A certificate that the parent got after the child's is none that the child's could name.
    """
    certified, chain = evidence.distillation.parent, evidence.chain
    require_found(evidence.model.parent != "0x" + NO_PARENT_ID.hex(), "the version has no parent in the registry")
    require_equal(evidence.model.parent, certified.model_version, "the registered parent")
    parent_id = bytes.fromhex(certified.model_version[2:])
    registered, anchor = chain.models.version(parent_id), chain.certificates.certificate(parent_id)
    require_equal("0x" + registered.weights_root.hex(), certified.weights_root, "the parent's weights root")
    require_equal("0x" + registered.program_root.hex(), certified.program_root, "the parent's program root")
    tokenizer = "0x" + registered.tokenizer_hash.hex()
    require_equal(tokenizer, evidence.model.tokenizer_sha256, "the parent's tokenizer hash")
    if certified.certificate is not None or (anchor is not None and anchor.anchored_at <= evidence.anchored_at):
        require_equal(anchor.cid if anchor else None, certified.certificate, "the parent's certificate")
    evidence.parent_manifest = registered.manifest_cid
    return f"{certified.model_version}, certificate {certified.certificate or 'none'}"


def check_figures(evidence: AuditEvidence) -> str:
    """Step 16: nobody trained on the certified evaluation set, and every figure follows from hits and losses."""
    certified = evidence.distillation.evaluation
    found = fetch_records(evidence, certified.problems, ProblemRecord, "evaluation.jsonl", certified.total)
    require_equal(found.root, certified.root, "the evaluation set's root")
    require_equal(len(found), certified.total, "the number of problems")
    fault = evaluation_fault(found.records, evidence.dataset.records)
    require_found(fault is None, fault or "")
    for name, score in (("before", certified.before), ("after", certified.after)):
        _require_consistent(score, certified.total, name)
    evidence.problems = found
    before, after = certified.before, certified.after
    return f"{before.hits} of {certified.total} before, {after.hits} after, on problems that nobody trained on"


def check_evaluation(evidence: AuditEvidence) -> str:
    """Step 17: the integer programs of parent and child do on sampled problems exactly what is certified."""
    certified = evidence.distillation.evaluation
    chosen = evidence.sampled("problems", certified.total)
    for name, score, folder, model in (
        ("before", certified.before, evidence.parent_checkpoint, _parent(evidence)),
        ("after", certified.after, evidence.checkpoint, evidence.integer_model),
    ):
        codec = TextCodec(folder / TOKENIZER_FILE)
        evaluator = Evaluator(Engine(model.program, model.weights), codec, certified.max_tokens, certified.metric)
        tokens = sum(len(evaluator.expected(problem)) for problem in evidence.problems.records)
        require_equal(tokens, score.answer_tokens, f"the number of expected tokens {name}")
        hits = unpacked_bits(score.hit_bits, certified.total) or []
        results = evaluator.results([evidence.problems.records[index] for index in chosen])
        for index, result in zip(chosen, results, strict=True):
            require_equal(result.hit, hits[index], f"whether problem {index} is solved {name}")
            require_equal(result.loss, score.losses[index], f"the loss (in 0.001 nats) on problem {index} {name}")
    return f"{len(chosen)} of {certified.total} problems, before and after"


def check_deployment(evidence: AuditEvidence) -> str:
    """Step 18: accuracy rose by more than 5 points, and the new interval lies above the old accuracy."""
    before, after = evidence.distillation.evaluation.before, evidence.distillation.evaluation.after
    change = f"{before.accuracy} before, {after.accuracy} ({after.accuracy_low} to {after.accuracy_high}) after"
    require_found(is_deployable(before, after), f"the rise is too small to deploy: {change}")
    return change


def check_adapter(evidence: AuditEvidence) -> str:
    """Step 19: the child is the parent with the certified adapter merged in; nothing else made the difference."""
    _require_texts_kept(evidence)
    training = evidence.distillation.training
    adapter, config = evidence.folder / "adapter_model.safetensors", evidence.folder / "adapter_config.json"
    training.adapter.fetch(evidence.source, adapter)
    training.adapter_config.fetch(evidence.source, config)
    changed = require_merged(evidence.parent_checkpoint, adapter, config, evidence.checkpoint)
    return f"{changed} matrices are the parent's plus the adapter's, all other weights are the parent's"


def check_retraining(evidence: AuditEvidence) -> str | Unchecked:
    """Step 20: training again, where it was asked for and this machine can, gives the certified adapter."""
    retrainer, training = evidence.request.retrainer, evidence.distillation.training
    if retrainer is None:
        missing = "not re-trainable here: this installation has no trainer"
        return Unchecked(missing if evidence.request.retrain else "not asked for")
    reason = _not_retrainable(training, retrainer.cpu_class)
    if reason is not None:
        return Unchecked(f"not re-trainable here: {reason}")
    dataset = evidence.folder / "dataset.jsonl"
    found = retrainer.retrain(training, dataset, evidence.parent_checkpoint)
    require_equal(found, training.adapter.sha256, "the SHA-256 of the adapter that training gives here")
    return f"training again gives adapter {found}"


def _not_retrainable(training: CertifiedAdaptation, cpu_class: str) -> str | None:
    if training.cpu_class.endswith(UNCLASSIFIED):
        return f"it was trained on {training.cpu_class}, which promises no two machines the same adapter"
    if cpu_class != training.cpu_class:
        return f"it was trained on {training.cpu_class}, and this machine is {cpu_class}"
    for name, certified in sorted(training.libraries.items()):
        if _installed(name) != certified:
            return f"it was trained with {name} {certified}, and here is {_installed(name) or 'none'}"
    return None


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _require_consistent(score: CertifiedScore, total: int, name: str) -> None:
    """Every figure of a score follows from its hits and losses."""
    hits = unpacked_bits(score.hit_bits, total)
    if hits is None:
        raise finding(f"the hits {name} are not one bit for each of {total} problems")
    require_equal(len(score.losses), total, f"the number of losses {name}")
    expected = score_from(hits, score.losses, score.answer_tokens)
    for field in ("hits", "accuracy", "accuracy_low", "accuracy_high", "loss", "perplexity"):
        require_equal(getattr(expected, field), getattr(score, field), f"{field} {name}")


def _require_texts_kept(evidence: AuditEvidence) -> None:
    """A chat template, or a token that ends answers, can raise a score just as weights can."""
    parent = Manifest.fetch(evidence.source, evidence.parent_manifest).files
    child = Manifest.fetch(evidence.source, evidence.model.manifest).files
    for name in TEXT_FILES:
        before, after = parent.get(name), child.get(name)
        same = (before.sha256 if before else None) == (after.sha256 if after else None)
        require_found(same, f"the child's {name} is not the parent's")


def _parent(evidence: AuditEvidence) -> IntegerModel:
    """The parent's integer program, made again from its published files."""
    certified, folder = evidence.distillation.parent, evidence.parent_checkpoint
    Manifest.fetch(evidence.source, evidence.parent_manifest).fetch_files(evidence.source, Path(folder))
    imported = import_checkpoint(folder)
    roots = ModelCommitment.of(imported)
    require_equal("0x" + roots.program_root.hex(), certified.program_root, "the program root of the parent's files")
    require_equal("0x" + roots.weights_root.hex(), certified.weights_root, "the weights root of the parent's files")
    return imported
