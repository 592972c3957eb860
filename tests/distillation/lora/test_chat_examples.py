"""Chat JSONL is read, refused with the line, and learned by its answers alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nexus_chain.distillation.lora.base_model import load_base
from nexus_chain.distillation.lora.chat_examples import (
    ChatExample,
    EncodedExample,
    batches_of_epoch,
    encode_examples,
    read_examples,
)
from nexus_chain.distillation.lora.errors import TrainingDataError
from nexus_chain.distillation.lora.greedy_answers import greedy_answers
from nexus_chain.distillation.lora.shared_prefix import answer_logits, common_prefix
from tests.support.tiny_chat_model import sums, tiny_base, write_chat


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("tiny"))


def test_examples_come_back(tmp_path: Path) -> None:
    found, sha256 = read_examples(write_chat(tmp_path / "a.jsonl", [("a?", "b")], 0.5))
    assert found == (ChatExample("a?", "b", 0.5),)
    assert len(sha256) == 64


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "is no JSON"),
        ("[]", "has not one message"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "has not one message"),
        (
            '{"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": "a"}]}',
            "has an empty message",
        ),
        (
            '{"messages": [{"role": "user", "content": "b"}, {"role": "assistant", "content": "a"}], "confidence": 2}',
            "confidence that is not from 0 to 1",
        ),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = write_chat(tmp_path / "a.jsonl", [("a?", "b")])
    path.write_text(path.read_text() + "\n" + line)
    with pytest.raises(TrainingDataError, match=f"line 3 of .*{problem}"):
        read_examples(path)


def test_no_file_and_no_example_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="cannot be read"):
        read_examples(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(TrainingDataError, match="holds no example"):
        read_examples(tmp_path / "empty.jsonl")


def test_a_long_example_is_refused(base: Path) -> None:
    _, tokenizer = load_base(base)
    with pytest.raises(TrainingDataError, match=r"example 2 has .* tokens, 40 are allowed"):
        encode_examples([ChatExample("a", "b"), ChatExample("a" * 50, "b")], tokenizer, 40)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=70), st.integers(1, 8), st.integers(0, 5))
def test_an_epoch_shows_each_example_once_and_the_same_way(lengths: list[int], size: int, seed: int) -> None:
    batches = batches_of_epoch(lengths, size, seed, 1)
    assert sorted(number for batch in batches for number in batch) == list(range(len(lengths)))
    assert max(len(batch) for batch in batches) <= size
    assert batches == batches_of_epoch(lengths, size, seed, 1)


def test_epochs_differ() -> None:
    assert batches_of_epoch([1] * 40, 4, 0, 0) != batches_of_epoch([1] * 40, 4, 0, 1)


def test_prefix_leaves_a_token_of_each() -> None:
    assert common_prefix([(1, 2, 3), (1, 2, 4)]) == 2
    assert common_prefix([(1, 2), (1, 2, 4)]) == 1
    assert common_prefix([(1, 2), (1, 2)]) == 1
    assert common_prefix([(7,), (8,)]) == 0


@pytest.mark.parametrize("other", [(), ((3, 9, 9), (8, 2))])
def test_sharing_a_prefix_is_the_whole_pass(base: Path, other: tuple[tuple[int, ...], ...]) -> None:
    """Logits of the answers' tokens, and gradients, are those of one pass over each whole example."""
    model, tokenizer = load_base(base)
    batch = list(encode_examples([ChatExample(*row) for row in sums([1, 23, 99])], tokenizer, 99))
    batch += [EncodedExample(*other)] if other else []
    logits, labels, example = answer_logits(model, batch)
    assert labels.tolist() == [token for one in batch for token in one.answer]
    logits.logsumexp(1).sum().backward()
    weight = model.model.layers[0].self_attn.k_proj.weight
    found, weight.grad = weight.grad, None
    expected = []
    for one in batch:
        rows = model(input_ids=torch.tensor([[*one.prompt, *one.answer]])).logits[0]
        expected.append(rows[len(one.prompt) - 1 : -1])
    torch.cat(expected).logsumexp(1).sum().backward()
    assert [len(one) for one in expected] == torch.bincount(example).tolist()
    torch.testing.assert_close(logits, torch.cat(expected), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found, weight.grad, rtol=1e-3, atol=1e-5)


def test_greedy_answers_are_those_of_generate(base: Path) -> None:
    """Prompts of several lengths at once, against transformers one by one."""
    model, tokenizer = load_base(base)
    prompts = ["1 + 2 =", "4 + 4 =", "what?", "9", "1 + 2 ="]
    found = greedy_answers(model, tokenizer, prompts, 6)
    for prompt, answer in zip(prompts, found, strict=True):
        turn = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        tokens = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        made = model.generate(
            tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=6, do_sample=False, pad_token_id=0
        )
        assert answer == tokenizer.decode(made[0, tokens.shape[1] :], skip_special_tokens=True)
