"""Verifying answers: honest ones pass, every kind of lie is found and placed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nexus_chain.evidence.errors import ProofFileError
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.evidence.verify import FULL, TRUST, level_of_share, verify_proof
from nexus_chain.market.documents import address_of
from nexus_chain.program import IntegerModel, random_model
from nexus_chain.program.sampling import Sampling
from nexus_chain.versions.errors import ModelFilesError
from tests.support.engine_answers import DOMAIN, NODE_KEYS, SPLIT, answer_of, small_model, with_receipt

PROMPT = [3, 1, 4, 1, 5]


@pytest.fixture(scope="module")
def model() -> IntegerModel:
    return small_model()


@pytest.fixture(scope="module")
def honest(model: IntegerModel) -> InferenceProof:
    return answer_of(model, PROMPT, 45)


@pytest.mark.parametrize("split", [((0, 3),), ((0, 2), (2, 3)), SPLIT])
@pytest.mark.parametrize("sampling", [Sampling(), Sampling.at_temperature(0.8, bytes([7]) * 32)])
def test_honest_answers_pass(model: IntegerModel, split: tuple[tuple[int, int], ...], sampling: Sampling) -> None:
    proof = answer_of(model, PROMPT, 40, split=split, sampling=sampling)
    seen: list[tuple[int, int]] = []
    report = verify_proof(proof, model, FULL, progress=lambda done, total: seen.append((done, total)))
    assert report.passed, report
    assert report.recomputed
    assert [step.number for step in report.steps] == [1, 2, 3, 4, 5, 6]
    assert all(fragment.verified for fragment in report.fragments)
    assert seen[-1] == (44 * len(split), 44 * len(split))


def test_one_token_answer_passes(model: IntegerModel) -> None:
    assert verify_proof(answer_of(model, PROMPT, 1), model).passed


def test_file_round_trip(tmp_path: Path, honest: InferenceProof) -> None:
    path = honest.save(tmp_path / "answer.json")
    assert path.stat().st_mode & 0o077 == 0
    assert InferenceProof.load(path) == honest


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "nexus.answer.v1"}', "null", "[" * 100_000])
def test_malformed_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "answer.json").write_text(text)
    with pytest.raises(ProofFileError, match="nexus ask"):
        InferenceProof.load(tmp_path / "answer.json")


def test_flipped_output_signed_by_the_node_is_caught(model: IntegerModel, honest: InferenceProof) -> None:
    receipt = honest.receipts[-2][0]
    flipped = bytes([receipt.out_root[0] ^ 1]) + receipt.out_root[1:]
    report = verify_proof(with_receipt(honest, -2, resign=True, out_root=flipped), model)
    assert not report.passed
    (wrong,) = report.wrong
    assert (wrong.segment, wrong.layers, wrong.node) == (1, (1, 2), address_of(NODE_KEYS[1]))
    assert wrong.to_blame
    assert (wrong.first_difference, wrong.exact) == (receipt.from_position, False)


def test_flipped_output_without_the_nodes_key_fails_its_signature(model: IntegerModel, honest: InferenceProof) -> None:
    report = verify_proof(with_receipt(honest, 0, resign=False, out_root=bytes(32)), model, TRUST)
    assert next(step.name for step in report.steps if not step.passed) == "receipts"
    assert not report.recomputed


@pytest.mark.parametrize("position", [2, 20, 43])
def test_lying_node_is_found_at_its_first_wrong_row(model: IntegerModel, position: int) -> None:
    def meddle(segment: int, start: int, rows: Tensor) -> Tensor:
        if segment == 1 and start <= position < start + len(rows):
            rows = rows.clone()
            rows[position - start, 17] ^= 1
        return rows

    report = verify_proof(answer_of(model, PROMPT, 40, meddle=meddle), model)
    assert all(step.passed for step in report.steps[:5])
    blamed = [fragment for fragment in report.fragments if fragment.to_blame]
    assert {fragment.segment for fragment in blamed} == {1}
    assert blamed[-1].first_difference == position
    assert blamed[-1].exact
    assert all(fragment.verified for fragment in report.fragments if fragment.segment == 0)


def test_wrong_token_is_found_exactly(model: IntegerModel) -> None:
    def meddle(segment: int, start: int, rows: Tensor) -> Tensor:
        return (rows + 1) % 300 if segment == 2 and start == 20 else rows

    report = verify_proof(answer_of(model, PROMPT, 40, meddle=meddle), model)
    first = next(fragment for fragment in report.fragments if fragment.to_blame)
    assert (first.segment, first.first_difference, first.exact) == (2, 20, True)
    assert first.from_position <= 20 < first.to_position


def test_a_receipt_of_a_segment_that_no_order_has_is_wrong(model: IntegerModel, honest: InferenceProof) -> None:
    report = verify_proof(with_receipt(honest, -1, resign=False, segment=65535), model)
    (wrong,) = report.wrong
    assert (wrong.segment, wrong.verified, wrong.to_blame) == (65535, False, False)
    assert next(step.name for step in report.steps if not step.passed) == "receipts"


def test_changed_papers_name_their_step(model: IntegerModel, honest: InferenceProof) -> None:
    tokens = list(honest.tokens)
    tokens[0] ^= 1
    cases = {
        "order": replace(honest, tokens=tuple(tokens)),
        "receipts": with_receipt(honest, 3, resign=True, price=1),
        "links": with_receipt(honest, 4, resign=True, in_root=bytes(32)),
        "coverage": replace(honest, receipts=honest.receipts[:-1]),
        "tokens": replace(honest, tokens=(*honest.tokens[:-1], (honest.tokens[-1] + 1) % 300)),
    }
    for name, proof in cases.items():
        failed = [step.name for step in verify_proof(proof, model, TRUST).steps if not step.passed]
        assert failed[0] == name
        assert not verify_proof(proof, model, FULL).passed


def test_chain_keys_overrule_the_files(honest: InferenceProof) -> None:
    keys = {node: address_of(bytes([1]) * 32) for node in honest.receipt_keys}
    report = verify_proof(honest, None, TRUST, receipt_keys=keys)
    assert not report.passed


def test_another_models_weights_do_not_pass(honest: InferenceProof) -> None:
    other = random_model(small_model().program.shape, seed=6)
    assert not verify_proof(honest, other).passed


def test_levels(model: IntegerModel, honest: InferenceProof) -> None:
    assert not verify_proof(honest, None, TRUST).recomputed
    assert verify_proof(honest, model, level_of_share(1.0)).recomputed
    assert not verify_proof(honest, None, level_of_share(0.0)).recomputed
    draws = [level_of_share(0.25).recompute() for _ in range(4000)]
    assert 800 < sum(draws) < 1200
    with pytest.raises(ModelFilesError, match="trust"):
        verify_proof(honest, None, FULL)


def test_leaves_locate_only_when_they_belong_to_the_receipt(model: IntegerModel, honest: InferenceProof) -> None:
    receipt = honest.receipts[-2][0]
    forged = with_receipt(honest, -2, resign=True, out_root=bytes(32))
    leaves = tuple(tuple(reversed(boundary)) for boundary in honest.leaves)
    (wrong,) = verify_proof(replace(forged, leaves=leaves), model).wrong
    assert (wrong.first_difference, wrong.exact) == (receipt.from_position, False)


def test_domain_is_part_of_every_signature(honest: InferenceProof) -> None:
    moved = replace(honest, domain=replace(DOMAIN, chain_id=1))
    assert not verify_proof(moved, None, TRUST).passed


def test_blocks_do_not_matter(model: IntegerModel, honest: InferenceProof, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_chain.evidence.verify.PREFILL_BLOCK", 7)
    assert verify_proof(honest, model).passed
    assert torch.tensor(honest.tokens).max() < 300
