"""A chat model of a few thousand weights, and examples for it: sums of two digits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from nexus_chain.distillation.lora.base_model import float_checkpoint
from nexus_chain.distillation.lora.config import TrainingConfig
from tests.support.gguf_files import Spelling, write_gguf
from tests.support.random_checkpoints import checkpoint

CHAT_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def tiny_base(folder: Path, **changes: int) -> Path:
    """The folder of a randomly initialised Llama with a byte-level tokenizer and a chat template."""
    model = checkpoint(folder / "made", vocab_size=264, max_position_embeddings=128, **changes)
    spelling = Spelling(values={"tokenizer.chat_template": CHAT_TEMPLATE})
    return float_checkpoint(write_gguf(folder / "tiny.gguf", model, spelling), folder / "base")


def sums(numbers: Sequence[int]) -> list[tuple[str, str]]:
    """A prompt and its answer for each number from 0 to 99."""
    return [(f"{number // 10} + {number % 10} =", str(number // 10 + number % 10)) for number in numbers]


def write_chat(path: Path, rows: Sequence[tuple[str, str]], confidence: float = 0.9) -> Path:
    """Chat JSONL of prompts and answers."""
    lines = []
    for prompt, answer in rows:
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        lines.append(json.dumps({"messages": turns, "confidence": confidence}) + "\n")
    path.write_text("".join(lines))
    return path


def tiny_config(base: Path, dataset: Path, **changes: object) -> TrainingConfig:
    """A training of seconds."""
    settings = {"num_epochs": 2, "learning_rate": 1e-2, "lora_rank": 4, "checkpoint_steps": 2, **changes}
    return TrainingConfig(str(base), str(dataset), **settings)  # type: ignore[arg-type]
