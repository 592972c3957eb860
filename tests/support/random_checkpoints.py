"""Randomly initialised checkpoints of every decoder family, and what transformers says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SIZES: dict[str, Any] = {
    "vocab_size": 96, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
}  # fmt: skip
FAMILIES: dict[str, tuple[type[Any], type[Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "mixtral": (MixtralConfig, MixtralForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}
TOKENS = torch.randint(0, 96, (40,), generator=torch.Generator().manual_seed(4), dtype=torch.int32)


def checkpoint(folder: Path, family: str = "llama", **changes: Any) -> PreTrainedModel:
    """A randomly initialised model saved in ``folder``; everything, norms and biases too, is random."""
    configuration, network = FAMILIES[family]
    torch.manual_seed(11)
    model: PreTrainedModel = network(configuration(**{**SIZES, **changes})).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.copy_(0.5 + torch.rand_like(parameter))
            else:
                parameter.normal_(std=0.5 if name.endswith("bias") else 0.12)
    model.save_pretrained(folder)
    return model


def float_logits(model: PreTrainedModel, tokens: Tensor = TOKENS) -> Tensor:
    """Logits f64[T, vocab] of the float model."""
    with torch.no_grad():
        found: Tensor = model(tokens[None].long()).logits[0]
        return found.double()


def assert_close(expected: Tensor, found: Tensor) -> None:
    """Quality of an import of random weights: correlation, error, and the best token wherever it is clear."""
    assert float(torch.corrcoef(torch.stack([expected.flatten(), found.flatten()]))[0, 1]) > 0.999
    assert float((expected - found).pow(2).mean().sqrt()) < 0.05 * float(expected.std())
    assert float((expected - found).abs().max()) < 0.25 * float(expected.std())
    best, second = expected.topk(2, dim=1).values.unbind(dim=1)
    clear = best - second > 0.2 * expected.std()
    assert int(clear.sum()) >= 10
    assert torch.equal(expected.argmax(dim=1)[clear], found.argmax(dim=1)[clear])
