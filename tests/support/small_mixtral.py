"""A small mixture of experts, trained for some seconds on the bytes of a text: its perplexity means something."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from transformers import MixtralConfig, MixtralForCausalLM

import nexus_chain
from nexus_chain.quality.held_out import SAMPLE_FILE, HeldOutSample, cut

SHIPPED = Path(nexus_chain.__file__).parent / "models" / "python-stdlib"
WINDOW, MEASURED, STEPS = 128, 4096, 600
CONFIG = MixtralConfig(
    vocab_size=256, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16, max_position_embeddings=WINDOW, rms_norm_eps=1e-5, num_local_experts=4,
    num_experts_per_tok=2, bos_token_id=None, eos_token_id=None, output_router_logits=True, router_aux_loss_coef=0.02,
)  # fmt: skip


def text() -> Tensor:
    """Bytes of a text as tokens i64[T]."""
    sample = HeldOutSample.from_bytes((SHIPPED / SAMPLE_FILE).read_bytes())
    return torch.tensor(list("".join(held.text for held in sample.texts).encode()))


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order whatever the number of cores, and no threads that wait for each other on small tensors."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def train(folder: Path) -> list[Tensor]:
    """Save a checkpoint in ``folder``; windows i64[n + 1] of text that it was not trained on."""
    tokens = text()
    known = tokens[: -MEASURED - 1].unfold(0, WINDOW, 1)
    torch.manual_seed(5)
    model = MixtralForCausalLM(CONFIG)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(STEPS):
        batch = known[torch.randint(0, len(known), (8,))]
        optimizer.zero_grad()
        model(batch, labels=batch).loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    return cut(tokens[-MEASURED - 1 :].tolist(), WINDOW)
