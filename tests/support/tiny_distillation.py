"""A tiny model that learned from others, with everything that its certificate speaks of: real solvers, real engines.

The parent is ``tiny_publication``'s. "Training" draws the adapter from a hash of configuration, seeds and dataset:
it is as repeatable as the real one, and every setting matters. The evaluation set asks for what the child says.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from shutil import copytree

import torch
from eth_utils.crypto import keccak
from safetensors.torch import load_file, save_file

from nexus_chain.certificates.audit import AuditReport, audit
from nexus_chain.certificates.audit_evidence import AuditRequest
from nexus_chain.certificates.distillation_certificate import (
    CertifiedAdaptation,
    CertifiedParent,
    DistillationCertificate,
    JudgeSetup,
    SignedDistillation,
    TeacherBill,
)
from nexus_chain.certificates.distillation_evaluation import Evaluator, score_of
from nexus_chain.certificates.distillation_publication import (
    DATASET_FILE,
    DistillationPublication,
    DistillationRecords,
    DistillationSummary,
    keep_distillation,
)
from nexus_chain.certificates.distillation_records import ExampleRecord, ProblemRecord, VerdictRecord
from nexus_chain.certificates.publication import Release
from nexus_chain.chain.certificate_registry import AnchoredCertificate
from nexus_chain.chain.model_registry import ModelVersion, SemVer
from nexus_chain.content.block_store import BlockStore
from nexus_chain.content.canonical import canonical_bytes
from nexus_chain.content.record_lines import RecordLines
from nexus_chain.distillation.judge.claim import read_claim
from nexus_chain.distillation.judge.judge import Judge
from nexus_chain.distillation.judge.solvers import SolverAnswer, SolverLimits, Solvers
from nexus_chain.distillation.judge.verdict import Artefact, Kind, Outcome, Verdict
from nexus_chain.distillation.lora.adapter import ADAPTER_FILE
from nexus_chain.engine.engine import Engine
from nexus_chain.program import Recipe, import_checkpoint
from nexus_chain.program.file_names import ADAPTER_CONFIG_FILE
from nexus_chain.versions.text_codec import TextCodec
from nexus_chain.versions.text_files import TEXT_FILES
from tests.support.tiny_publication import PUBLISHER, Published, Registries

MAX_TOKENS = 3
PROBLEMS = 16
SOLVED = 14
TARGETS = ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")
RANK = 2
CPU_CLASS = "test-class"
CONFIGURATION = {"lora_rank": str(RANK), "lora_alpha": "4", "learning_rate": "0.0003", "num_epochs": "3"}
SEEDS = {"shuffle": 1, "weights": 2}
LIMITS = SolverLimits()


def obligation(left: str, right: str) -> str:
    """That two integer expressions over x are the same for every x."""
    return f"(set-logic ALL)\n(declare-const x Int)\n(assert (not (= {left} {right})))\n(check-sat)\n"


def sides(claim: str) -> tuple[str, str]:
    """The two expressions of a claim."""
    document = json.loads(claim)
    return document["expected"], document["response"]


class ToyJudge:
    """Claims say that a response is what is expected; proved where both solvers say so. ``ClaimJudging`` of tests."""

    def __init__(self, solvers: Solvers) -> None:
        self._solvers = solvers

    def __call__(self, claim: str, limits: SolverLimits = LIMITS) -> Verdict:
        assert limits == LIMITS, "the certified ones"
        left, right = sides(claim)
        text = obligation(left, right)
        checked = f"{left} = {right} for every integer x"
        solution = self._solvers.solve(text)
        if solution.answer is SolverAnswer.UNSAT:
            return Verdict(Kind.MATHEMATICS, Outcome.PROVED, checked, "Both solvers.", {}, (Artefact("equal", text),))
        if solution.answer is SolverAnswer.SAT:
            return Verdict(Kind.MATHEMATICS, Outcome.REFUTED, checked, "There is an x.", solution.model)
        return Verdict(Kind.MATHEMATICS, Outcome.UNKNOWN, checked, solution.reason)


def train_adapter(configuration: dict[str, str], seeds: dict[str, int], dataset: bytes, parent: Path) -> bytes:
    """The bytes of an adapter for ``parent``, as PEFT names its tensors."""
    digest = sha256(canonical_bytes([configuration, seeds]) + dataset).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:6], "big"))
    tensors = {}
    for name, weight in sorted(load_file(parent / "model.safetensors").items()):
        if name.removesuffix(".weight").endswith(TARGETS):
            stem = "base_model.model." + name.removesuffix(".weight")
            tensors[f"{stem}.lora_A.weight"] = torch.randn(RANK, weight.shape[1], generator=generator) * 0.2
            tensors[f"{stem}.lora_B.weight"] = torch.randn(weight.shape[0], RANK, generator=generator) * 0.2
    path = parent.parent / f"{digest.hex()}.safetensors"
    save_file(tensors, path)
    data = path.read_bytes()
    path.unlink()
    return data


@dataclass(frozen=True)
class ToyRetrainer:
    """``Retrainer`` of tests."""

    cpu_class: str = CPU_CLASS

    def retrain(self, training: CertifiedAdaptation, dataset: Path, parent: Path) -> str:
        data = train_adapter(training.configuration, training.seeds, dataset.read_bytes(), parent)
        return "0x" + sha256(data).hexdigest()


def adapter_config() -> dict[str, object]:
    return {"peft_type": "LORA", "r": RANK, "lora_alpha": 4, "bias": "none", "target_modules": ["q_proj", "v_proj"]}


def merge(parent: Path, adapter: Path, child: Path) -> None:
    """Write the checkpoint ``child``: the parent's with the adapter."""
    copytree(parent, child, ignore=lambda _, names: set(names) - {"config.json", "tokenizer.json", *TEXT_FILES})
    weights, lora = load_file(parent / "model.safetensors"), load_file(adapter)
    for name in lora:
        if name.endswith(".lora_A.weight"):
            stem = name.removesuffix(".lora_A.weight")
            change = lora[f"{stem}.lora_B.weight"] @ lora[name] * (4 / RANK)
            target = stem.removeprefix("base_model.model.") + ".weight"
            weights[target] = (weights[target].float() + change).to(weights[target].dtype)
    save_file(weights, child / "model.safetensors", metadata={"format": "pt"})


def evaluator(folder: Path) -> Evaluator:
    model = import_checkpoint(folder)
    codec = TextCodec(folder / "tokenizer.json")
    return Evaluator(Engine(model.program, model.weights), codec, MAX_TOKENS)


def judged(
    judge: Callable[[str], Verdict], written: Callable[[int], str]
) -> tuple[list[ExampleRecord], list[VerdictRecord], list[Artefact]]:
    """Two teachers answer what an expression is equal to: one knows, one lies at times.

    ``written``: x plus a number, as ``judge`` reads it.
    """
    examples: list[ExampleRecord] = []
    verdicts: list[VerdictRecord] = []
    artefacts: list[Artefact] = []
    for number in range(6):
        for teacher, right in (("liar", number % 3 == 0), ("oracle", True)):
            answer = written(number if right else -1 - number)
            prompt = f"What is {written(number)}?"
            claim = json.dumps({"kind": "mathematics", "response": answer, "expected": written(number)})
            verdict = judge(claim)
            verdicts.append(VerdictRecord.of(verdict, prompt, answer, teacher, claim))
            artefacts += verdict.artefacts
            if teacher == "oracle" and verdict.outcome is Outcome.PROVED:
                examples.append(ExampleRecord(prompt, answer, teacher, "math", 0.9))
    text = Verdict(Kind.TEXT, Outcome.UNKNOWN, "Whether it agrees with others.", "No other said anything.")
    verdicts.append(VerdictRecord.of(text, "Say hello.", "Hello.", "oracle"))
    examples.append(ExampleRecord("Say hello.", "Hello.", "oracle", "text", 0.8))
    return examples, verdicts, artefacts


def prefix(number: int) -> str:
    """x plus a number, for ``ToyJudge``."""
    return f"(+ x {number})" if number > 0 else f"(- x {-number})" if number else "x"


def infix(number: int) -> str:
    """x plus a number, for the judge that is installed."""
    return f"x + {number}" if number >= 0 else f"x - {-number}"


def evaluation_set(parent: Evaluator, child: Evaluator) -> tuple[ProblemRecord, ...]:
    """Problems that the child solves and the parent does not, then some that neither does."""
    asked = [ProblemRecord(f"def {'abcdefgh'[n % 8]}_{n}(value):", "?") for n in range(3 * PROBLEMS)]
    said = zip(asked, parent.results(asked), child.results(asked), strict=True)
    differing = [
        ProblemRecord(one.prompt, after.answer)
        for one, before, after in said
        if after.answer.strip() not in ("", before.answer.strip())
        and child.codec.decode(child.codec.encode_plain(after.answer)) == after.answer
    ]
    assert len(differing) >= PROBLEMS, "the adapter changes too little"
    return (*differing[:SOLVED], *(replace(one, answer="never") for one in differing[SOLVED:PROBLEMS]))


@dataclass(frozen=True)
class Distilled:
    """A certified child with everything that an audit of it reads. ``folder``: what the distillation left."""

    signed: SignedDistillation
    publication: DistillationPublication
    store: BlockStore
    chain: Registries
    version_id: bytes
    folder: Path
    child: Path

    @property
    def cid(self) -> str:
        return str(self.signed.cid)

    @property
    def certificate(self) -> DistillationCertificate:
        return self.signed.certificate

    def certified(self, certificate: DistillationCertificate) -> Distilled:
        """The operator signs and anchors ``certificate`` instead: only the steps' own checks can object."""
        return self.anchored(certificate.sign(PUBLISHER))

    def anchored(self, signed: SignedDistillation) -> Distilled:
        self.store.add_bytes(signed.to_bytes())
        anchor = AnchoredCertificate(str(signed.cid), signed.content_hash, 1_000)
        chain = Registries({**self.chain.anchors, self.version_id: anchor}, dict(self.chain.published))
        return replace(self, signed=signed, chain=chain)

    def audit(self, request: AuditRequest | None = None) -> AuditReport:
        return audit(self.cid, self.store, self.chain, request=request or AuditRequest(sample=None, seed="s"))


def distil(parent: Published, folder: Path, store: BlockStore, *, toy: bool = True) -> Distilled:
    """Judge, "train", merge, evaluate, publish and certify in ``folder``.

    ``toy`` False: claims are those of the judge that is installed, and it decides them.
    """
    checkpoint, kept, child = parent.publication.folder, folder / "distillation", folder / "child"
    with Solvers(LIMITS) as solvers:
        if toy:
            examples, verdicts, artefacts = judged(ToyJudge(solvers), prefix)
        else:
            examples, verdicts, artefacts = judged(lambda claim: Judge(solvers).judge(read_claim(claim)), infix)
    data = RecordLines.of(examples).to_bytes()
    kept.mkdir(parents=True)
    (kept / ADAPTER_FILE).write_bytes(train_adapter(CONFIGURATION, SEEDS, data, checkpoint))
    (kept / ADAPTER_CONFIG_FILE).write_text(json.dumps(adapter_config()))
    merge(checkpoint, kept / ADAPTER_FILE, child)
    before, after = evaluator(checkpoint), evaluator(child)
    problems = evaluation_set(before, after)
    summary = DistillationSummary(
        judge=JudgeSetup(
            {"z3": version("z3-solver"), "cvc5": version("cvc5")},
            LIMITS.z3_rlimit,
            LIMITS.cvc5_rlimit,
            LIMITS.memory,
            f"{LIMITS.seconds:g}",
        ),
        teachers=(
            TeacherBill("oracle", "local", "oracle-1", "0.0125", 2),
            TeacherBill("liar", "local", "liar-1", "0.01", 0),
        ),
        configuration=CONFIGURATION,
        seeds=SEEDS,
        libraries={"torch": version("torch")},
        cpu_class=CPU_CLASS,
        max_tokens=MAX_TOKENS,
        before=score_of(list(before.results(problems))),
        after=score_of(list(after.results(problems))),
    )
    records = DistillationRecords(tuple(examples), tuple(verdicts), tuple(artefacts), problems)
    keep_distillation(kept, records, summary)
    assert (kept / DATASET_FILE).read_bytes() == data
    return certify(parent, kept, child, store)


def certify(parent: Published, kept: Path, child: Path, store: BlockStore) -> Distilled:
    """Register ``child`` under ``parent`` and certify what ``kept`` holds."""
    recipe = Recipe.of_folder(child)
    release = Release.of(child, import_checkpoint(child, recipe=recipe), recipe, store, "1.1.0", "tiny")
    publication = DistillationPublication.prepare(kept, release, store)
    registered = ModelVersion(
        release.commitment.weights_root,
        release.commitment.program_root,
        release.tokenizer_sha256,
        1000,
        release.model.program.shape.layers,
        SemVer(1, 1, 0),
        release.manifest_cid,
        parent.version_id,
    )
    version_id = keccak(release.commitment.weights_root + b"child")
    chain = Registries(
        dict(parent.chain.anchors), {**parent.chain.published, version_id: (PUBLISHER.address, registered)}
    )
    certificate = publication.certificate(PUBLISHER.address, version_id, certified_parent(parent))
    signed = certificate.sign(PUBLISHER)
    return Distilled(signed, publication, store, chain, version_id, kept, child).anchored(signed)


def certified_parent(parent: Published) -> CertifiedParent:
    model = parent.signed.certificate.model
    return CertifiedParent("0x" + parent.version_id.hex(), model.weights_root, model.program_root, parent.cid)
