"""Chat JSONL as trainers read it, and what of it a model learns: the answer's tokens, never the prompt's."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_chain.distillation.lora.errors import TrainingDataError
from nexus_chain.json_text import parse_json
from nexus_chain.versions.chat import ChatTemplate
from nexus_chain.versions.errors import ChatFormatError

_WINDOW = 8  # batches whose examples are sorted by length together, so that little is padding


@dataclass(frozen=True)
class ChatExample:
    """One prompt, the answer to learn, and how sure whoever collected it is (0 to 1; None: unsaid)."""

    prompt: str
    answer: str
    confidence: float | None = None


@dataclass(frozen=True)
class EncodedExample:
    """Token ids: of the prompt as the chat template writes it, and of the answer with the end of the turn."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens in all."""
        return len(self.prompt) + len(self.answer)


def read_examples(path: Path) -> tuple[tuple[ChatExample, ...], str]:
    """The examples of a file, and the file's SHA-256 in hex. Raises TrainingDataError, which names the line."""
    try:
        content = path.read_bytes()
    except OSError as cause:
        raise _refusal(f"the examples {path} cannot be read ({cause.strerror})") from cause
    lines = [(number, line) for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]
    if not lines:
        raise _refusal(f"{path} holds no example")
    return tuple(_example(path, number, line) for number, line in lines), hashlib.sha256(content).hexdigest()


def encode_examples(examples: Sequence[ChatExample], tokenizer: Any, max_length: int) -> tuple[EncodedExample, ...]:
    """Every example in tokens. Raises TrainingDataError for one longer than ``max_length`` tokens."""
    writer, found = PromptWriter(tokenizer), []
    for number, example in enumerate(examples, 1):
        prompt = writer.tokens(example.prompt)
        answer = tokenizer(example.answer, add_special_tokens=False)["input_ids"]
        one = EncodedExample(prompt, (*answer, tokenizer.eos_token_id))
        if one.length > max_length:
            raise TrainingDataError(
                f"example {number} has {one.length} tokens, {max_length} are allowed",
                advice="Raise max_length, or leave the example out.",
            )
        found.append(one)
    return tuple(found)


class PromptWriter:
    """Users' messages as a base model reads them: in its chat format, up to where the answer begins, or bare without.

    ``tokenizer`` is one of ``transformers``. Its chat template is a stranger's program, and runs as all of them do.
    Raises TrainingDataError for a tokenizer that has no end token.
    """

    def __init__(self, tokenizer: Any) -> None:
        if tokenizer.eos_token_id is None:
            raise TrainingDataError(
                "the base model's tokenizer has no end token", advice="Take a base model that can end an answer."
            )
        found = tokenizer.chat_template
        source = found.get("default") if isinstance(found, dict) else found
        model = Path(tokenizer.name_or_path).name
        self._template = ChatTemplate(source, tokenizer.special_tokens_map, model) if source else None
        self._tokenizer = tokenizer

    def tokens(self, prompt: str) -> tuple[int, ...]:
        """Token ids of one message. Raises TrainingDataError where the template does not take it."""
        if self._template is None:
            return tuple(self._tokenizer(prompt)["input_ids"])
        try:
            text = self._template.render([{"role": "user", "content": prompt}], answering=True)
        except ChatFormatError as cause:
            raise TrainingDataError(cause.message, advice="Repair the base model's folder, or take another.") from cause
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def batches_of_epoch(lengths: Sequence[int], size: int, seed: int, epoch: int) -> list[list[int]]:
    """Which examples go together in an epoch, by number; the same for the same seed on every machine.

    Examples of about one length share a batch, and the batches come in any order.
    """
    chance = random.Random(f"{seed}/{epoch}")  # Python's generator is the same everywhere
    order = list(range(len(lengths)))
    chance.shuffle(order)
    window = size * _WINDOW
    batches = []
    for start in range(0, len(order), window):
        near = sorted(order[start : start + window], key=lambda number: lengths[number])
        batches += [near[at : at + size] for at in range(0, len(near), size)]
    chance.shuffle(batches)
    return batches


def _example(path: Path, number: int, line: bytes) -> ChatExample:
    where = f"line {number} of {path}"
    try:
        document = parse_json(line)
    except ValueError as cause:
        raise _refusal(f"{where} is no JSON ({cause})") from cause
    messages = document.get("messages") if isinstance(document, dict) else None
    if not isinstance(messages, list) or [_field(one, "role") for one in messages] != ["user", "assistant"]:
        raise _refusal(f"{where} has not one message of a user and one of an assistant")
    prompt, answer = (_field(one, "content") for one in messages)
    if not prompt or not answer:
        raise _refusal(f"{where} has an empty message")
    confidence = document.get("confidence")
    if confidence is not None and (not isinstance(confidence, int | float) or not 0 <= confidence <= 1):
        raise _refusal(f"{where} has a confidence that is not from 0 to 1")
    return ChatExample(prompt, answer, confidence)


def _field(message: object, name: str) -> str:
    found = message.get(name) if isinstance(message, dict) else None
    return found if isinstance(found, str) else ""


def _refusal(problem: str) -> TrainingDataError:
    return TrainingDataError(problem, advice="Export the examples again as chat JSONL.")
