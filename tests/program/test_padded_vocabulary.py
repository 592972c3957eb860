"""Vocabularies of any size: the logits' width that disputes can be about, and columns that nothing can choose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nexus_chain.commitments.tensor import LONGEST_LEAF, RowLayout
from nexus_chain.disputes.caps import check_caps
from nexus_chain.engine.engine import Engine
from nexus_chain.engine.generation import generate
from nexus_chain.engine.reference import ReferenceExecutor
from nexus_chain.program import IntegerModel, Sampling, import_checkpoint
from nexus_chain.program.blocks import LOGITS_PIECE, logits_width
from nexus_chain.program.decoder import decoder_program
from nexus_chain.program.descriptors import ModelShape
from nexus_chain.program.overflow import prove_no_overflow
from nexus_chain.program.reproduction import read_program
from nexus_chain.program.sampling import BETA_MAX
from tests.support.random_checkpoints import TOKENS, assert_close, checkpoint, float_logits

#: Vocabularies of public models, and how many columns their logits have.
REAL = {
    96: 96, 4096: 4096, 30522: 30528, 32000: 32000, 32001: 32016, 32768: 32768, 49152: 49152, 50257: 50272,
    128256: 128256, 128258: 128320, 151643: 151680, 151669: 151680, 151936: 151936, 256000: 256000, 262145: 262400,
}  # fmt: skip


@pytest.mark.parametrize("vocab", REAL)
def test_disputes_can_be_about_every_vocabulary(vocab: int) -> None:
    shape = ModelShape(layers=1, width=64, heads=2, kv_heads=1, head_dim=32, ffn=96, vocab=vocab, context=8192)
    program = decoder_program("odd", shape)
    check_caps(program)
    assert program.tensors["head.logits"].shape[-1] == logits_width(vocab) == REAL[vocab]
    assert program.shape.vocab == program.weight_specs["embed.table"].shape[0] == vocab


@given(st.integers(1, 1 << 20))
def test_rows_of_logits_fall_into_short_pieces_and_no_fewer_columns_would_do(vocab: int) -> None:
    width = logits_width(vocab)
    assert RowLayout.of("i32", (1, width)).leaf_bytes <= LONGEST_LEAF == 4 * LOGITS_PIECE
    between = [RowLayout.of("i32", (1, fewer)).leaf_bytes for fewer in range(vocab, width)]
    assert all(length > LONGEST_LEAF for length in between)


def tempting(model: IntegerModel) -> IntegerModel:
    """The same model, whose columns of no token have logits far above all others, or far below."""
    vocab, weights = model.program.shape.vocab, dict(model.weights)
    weights["head.weight"] = weights["head.weight"].clone()
    weights["head.weight"][vocab:] = 127 * torch.sign(weights["head.weight"][:1])
    weights["head.scale"] = weights["head.scale"].clone()
    weights["head.scale"][vocab:] = torch.tensor([65535, 31], dtype=torch.int32)
    return IntegerModel(model.program, weights)


def answer(model: IntegerModel, sampling: Sampling) -> list[int]:
    return list(generate([Engine(model.program, model.weights)], TOKENS[:4].tolist(), 24, sampling))


def reference(model: IntegerModel, sampling: Sampling) -> Mapping[str, Tensor]:
    return ReferenceExecutor(model.program, model.weights).run(TOKENS[:6], 3, sampling)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> IntegerModel:
    folder = tmp_path_factory.mktemp("odd") / "odd"
    checkpoint(folder, vocab_size=2051)
    return import_checkpoint(folder)


@pytest.mark.parametrize("beta", [0, 1, 1 << 10, 94548, BETA_MAX])
def test_no_sampling_reads_columns_of_no_token(odd: IntegerModel, beta: int) -> None:
    hostile = tempting(odd)
    for seed in range(5):
        plain, tempted = (answer(model, Sampling(beta, bytes([seed]) * 32)) for model in (odd, hostile))
        assert plain == tempted
        assert max(tempted) < 2051
    plain_rows, rows = (reference(model, Sampling(beta, bytes(32))) for model in (odd, hostile))
    assert bool((rows["head.logits"][:, 2051:].abs() > rows["head.logits"][:, :2051].abs().amax()).all())
    assert torch.equal(rows["sample.token"], plain_rows["sample.token"])


def test_rows_of_no_token_are_zero_and_logits_are_those_of_tokens(odd: IntegerModel, tmp_path: Path) -> None:
    assert odd.weights["head.weight"].shape == (2052, 64)
    assert not odd.weights["head.weight"][2051:].any()
    logits = Engine(odd.program, odd.weights).logits(TOKENS)
    assert_close(float_logits(checkpoint(tmp_path / "same", vocab_size=2051)), logits.double() / 4096)


def test_a_padded_program_is_proved_and_read_like_any(odd: IntegerModel) -> None:
    assert prove_no_overflow(odd.program).bits <= 63
    assert read_program(odd.program.to_json()) == odd.program


def test_a_tied_head_is_padded_too(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "tied", vocab_size=2051, tie_word_embeddings=True)
    found = import_checkpoint(tmp_path / "tied")
    assert found.weights["embed.table"].shape == (2051, 64)
    assert_close(float_logits(model), Engine(found.program, found.weights).logits(TOKENS).double() / 4096)
