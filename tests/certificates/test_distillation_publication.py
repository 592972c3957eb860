"""What a distillation hands over is counted, and refused where it contradicts itself, before anything is signed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from nexus_chain.certificates.certificate import NO_PARENT_ID
from nexus_chain.certificates.distillation_certificate import TeacherBill
from nexus_chain.certificates.distillation_counting import require_auditable
from nexus_chain.certificates.distillation_publication import (
    ARTEFACTS_FILE,
    DATASET_FILE,
    EVALUATION_FILE,
    SUMMARY_FILE,
    VERDICTS_FILE,
    DistillationPublication,
    DistillationRecords,
    DistillationSummary,
    keep_distillation,
)
from nexus_chain.certificates.distillation_records import ExampleRecord, ProblemRecord, VerdictRecord, answer_hash
from nexus_chain.certificates.errors import DistillationRecordError
from nexus_chain.content.block_store import BlockStore
from nexus_chain.content.canonical import canonical_bytes, read_canonical
from nexus_chain.content.errors import CanonicalFormatError
from nexus_chain.content.record_lines import RecordLines
from nexus_chain.distillation.lora.adapter import ADAPTER_FILE
from nexus_chain.program.file_names import ADAPTER_CONFIG_FILE
from tests.support.tiny_distillation import Distilled

FILES = (
    DATASET_FILE, VERDICTS_FILE, ARTEFACTS_FILE, EVALUATION_FILE, SUMMARY_FILE, ADAPTER_FILE, ADAPTER_CONFIG_FILE
)  # fmt: skip


CLAIM = '{"kind":"python"}'


@pytest.fixture
def kept(distilled: Distilled, tmp_path: Path) -> Path:
    shutil.copytree(distilled.folder, tmp_path / "kept")
    return tmp_path / "kept"


def prepare(distilled: Distilled, folder: Path) -> DistillationPublication:
    return DistillationPublication.prepare(folder, distilled.publication.release, distilled.store)


def summarise(folder: Path, change: Callable[[DistillationSummary], DistillationSummary]) -> None:
    path = folder / SUMMARY_FILE
    path.write_bytes(canonical_bytes(change(read_canonical(DistillationSummary, path.read_bytes(), "summary"))))


def test_it_is_counted(distilled: Distilled) -> None:
    certificate = distilled.certificate
    dataset, judge = certificate.dataset, certificate.judge
    assert (dataset.examples, dataset.verified, dataset.tier) == (7, 6, "unranked")
    assert judge.outcomes == {"mathematics": {"proved": 8, "refuted": 4}, "text": {"unknown": 1}}
    assert (judge.artefact_count, judge.vacuous) == (6, 0), "one text for one expression, whoever answered it"
    liar, oracle = certificate.teachers
    assert (liar.name, liar.answers, liar.accepted, liar.refuted) == ("liar", 6, 0, 4)
    assert (oracle.name, oracle.answers, oracle.accepted, oracle.refuted) == ("oracle", 7, 7, 0)
    assert Decimal(certificate.cost_usd) == Decimal("0.0225")
    assert certificate.model.parent != "0x" + NO_PARENT_ID.hex()


def test_all_that_is_pinned_is_in_the_store(distilled: Distilled) -> None:
    cids = distilled.publication.cids
    assert len(cids) == len(set(cids)) == len(distilled.publication.release.cids) + 6
    for cid in cids:
        assert distilled.store.get(cid)


def test_an_example_that_nobody_judged_is_named(distilled: Distilled, kept: Path) -> None:
    records = RecordLines.read(ExampleRecord, (kept / DATASET_FILE).read_bytes(), DATASET_FILE).records
    (kept / DATASET_FILE).write_bytes(RecordLines.of((*records, replace(records[0], response="17"))).to_bytes())
    with pytest.raises(DistillationRecordError, match=f"no verdict is about example {len(records)} of"):
        prepare(distilled, kept)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(distilled: Distilled, kept: Path, name: str) -> None:
    (kept / name).unlink()
    with pytest.raises(DistillationRecordError, match=f"no readable {name}"):
        prepare(distilled, kept)


@pytest.mark.parametrize("name", FILES[:5])
def test_a_damaged_file_is_named(distilled: Distilled, kept: Path, name: str) -> None:
    (kept / name).write_bytes((kept / name).read_bytes()[:-2])
    with pytest.raises(CanonicalFormatError, match=name):
        prepare(distilled, kept)


def test_a_teacher_without_a_bill_and_one_with_two(distilled: Distilled, kept: Path) -> None:
    summarise(kept, lambda summary: replace(summary, teachers=summary.teachers[:1]))
    with pytest.raises(DistillationRecordError, match="'liar' answered and has no bill"):
        prepare(distilled, kept)
    again = TeacherBill("oracle", "local", "oracle-1", "5", 0)
    summarise(kept, lambda summary: replace(summary, teachers=(*summary.teachers, again)))
    with pytest.raises(DistillationRecordError, match="two bills"):
        prepare(distilled, kept)


def test_artefacts_that_no_verdict_names(distilled: Distilled, kept: Path) -> None:
    lines = (kept / ARTEFACTS_FILE).read_bytes().splitlines(keepends=True)
    (kept / ARTEFACTS_FILE).write_bytes(b"".join(lines[1:]))
    with pytest.raises(DistillationRecordError, match="does not hold exactly the artefacts"):
        prepare(distilled, kept)


def test_what_cannot_be_written_leaves_the_folder_as_it_was(distilled: Distilled, kept: Path) -> None:
    summary = distilled.publication.summary
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    unwritable = DistillationRecords((ExampleRecord("p", "\ud800", "s", "text", 1.0),), (), (), ())
    with pytest.raises((CanonicalFormatError, UnicodeEncodeError)):
        keep_distillation(kept, unwritable, summary)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "rumour"}, "verdict.kind must be one of"),
        ({"outcome": "verified"}, "verdict.outcome must be one of"),
        ({"outcome": "proved"}, "verdict.artefacts must be there for a proved verdict alone"),
        ({"artefacts": ("0x" + "00" * 32,)}, "verdict.artefacts must be there for a proved verdict alone"),
        ({"kind": "text", "outcome": "proved", "artefacts": ("0x" + "00" * 32,)}, "of a text is always unknown"),
        ({"kind": "text", "outcome": "refuted", "claim": None}, "of a text is always unknown"),
        ({"kind": "text"}, "verdict.claim must be a claim of the kind text"),
        ({"claim": None}, "verdict.claim must be there for the kind python"),
        ({"claim": '{"kind":"mathematics"}'}, "verdict.claim must be a claim of the kind python"),
        ({"claim": "[" * 10_000}, "verdict.claim must be a claim of the kind python"),
        ({"outcome": "proved", "artefacts": ("0x" + "00" * 32,) * 1_001}, "verdict.artefacts must be at most 1000"),
        ({"answer": "0x00"}, "verdict.answer must be 0x and 64"),
        ({"source": ""}, "verdict.source must be a text"),
    ],
)
def test_verdicts_that_say_more_than_a_judge_can(changes: dict[str, object], reason: str) -> None:
    sound = VerdictRecord(answer_hash("p", "r"), "s", "python", "unknown", "c", "r", {}, (), False, CLAIM)
    with pytest.raises(CanonicalFormatError, match=reason):
        replace(sound, **changes)  # type: ignore[arg-type]


def test_a_release_alone_is_not_enough(distilled: Distilled, tmp_path: Path) -> None:
    store = BlockStore(tmp_path / "store")
    with pytest.raises(DistillationRecordError, match="no readable"):
        DistillationPublication.prepare(tmp_path, distilled.publication.release, store)
    assert RecordLines.of([]).to_bytes() == b""


def test_what_every_audit_refuses_is_never_prepared(distilled: Distilled, kept: Path) -> None:
    examples = list(RecordLines.read(ExampleRecord, (kept / DATASET_FILE).read_bytes(), DATASET_FILE).records)
    again = replace(examples[0], prompt=f"  {examples[0].prompt.upper()} ")
    verdicts = list(RecordLines.read(VerdictRecord, (kept / VERDICTS_FILE).read_bytes(), VERDICTS_FILE).records)
    known = next(one for one in verdicts if (one.source, one.answer) == (examples[0].source, examples[0].answer))
    (kept / VERDICTS_FILE).write_bytes(RecordLines.of([*verdicts, replace(known, answer=again.answer)]).to_bytes())
    (kept / DATASET_FILE).write_bytes(RecordLines.of([*examples, again]).to_bytes())
    with pytest.raises(DistillationRecordError, match="an example is there twice, blanks and case aside"):
        prepare(distilled, kept)


def test_a_problem_that_was_trained_on_or_is_there_twice_is_refused(distilled: Distilled) -> None:
    example = ExampleRecord("What is 1 + 2?", "3", "oracle", "sums", 1.0)
    problem, other = (ProblemRecord(prompt, "3") for prompt in ("what is  1 + 2 ?", "What is 2 + 1?"))
    require_auditable([example], [other])
    with pytest.raises(DistillationRecordError, match="was trained on"):
        require_auditable([example], [other, problem])
    with pytest.raises(DistillationRecordError, match="is there twice"):
        require_auditable([], [other, replace(other, prompt="WHAT IS 2 + 1?")])
