"""Train the shipped model: a small Llama-layout network on Python's standard library.

Data, tokenizer, network and optimiser all come from the machine that runs this and from
libraries: the ``.py`` files under ``sysconfig.get_path("stdlib")`` (PSF licence), a byte-level
BPE trained with ``tokenizers``, ``LlamaForCausalLM`` from ``transformers``, Muon and AdamW from
``torch``. Every random choice is seeded. Files are split by the hash of their *path*, so the
held-out set does not move when the script changes.

It knows nothing of integer programs, chains or certificates: ``scripts/runs/certify_model.py`` takes
what this writes (checkpoint, tokenizer, ``training.json``) from there.

    python -m scripts.runs.train_model --out nexus_chain/models/python-stdlib
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import math
import platform
import random
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
HELD_OUT_BUCKETS = 3  # of 100: about 3 % of the files are never trained on


@dataclass(frozen=True)
class TrainingRun:
    """Hyperparameters of one run; written to ``training.json`` as they are."""

    hidden_size: int = 256
    intermediate_size: int = 768
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    vocab_size: int = 4096
    context: int = 512
    batch: int = 16
    steps: int = 1500
    warmup: int = 60
    decay_fraction: float = 0.5
    muon_learning_rate: float = 0.02
    adam_learning_rate: float = 3e-3
    weight_decay: float = 0.05
    seed: int = 20261121


def stdlib_files(root: Path) -> list[Path]:
    """The standard library's own ``.py`` files (no site-packages), sorted by path.

    Two thirds of its text are tests and most of ``encodings`` are tables: every third test file is
    kept and no encoding, or the model would learn little else.
    """
    found = (p for p in root.rglob("*.py") if "site-packages" not in p.parts and p.stat().st_size > 200)
    return sorted(p for p in found if is_wanted(p.relative_to(root)))


def is_wanted(relative: Path) -> bool:
    """Whether a file belongs to the corpus; depends on the path alone."""
    if relative.parts[0] == "encodings":
        return False
    is_test = any(part in ("test", "tests", "idle_test") for part in relative.parts)
    return not is_test or path_hash(relative.as_posix(), "test") % 3 == 0


def path_hash(relative: str, purpose: str) -> int:
    """An integer that looks random and never changes for a path."""
    return int.from_bytes(hashlib.sha256(f"{purpose}:{relative}".encode()).digest()[:4], "big")


def is_held_out(relative: str) -> bool:
    """True for the files that only evaluation may read; depends on the path alone."""
    return path_hash(relative, "split") % 100 < HELD_OUT_BUCKETS


def read_text(path: Path) -> str | None:
    """The file's text, or None where it is not UTF-8 (a few test inputs are not, on purpose)."""
    try:
        return path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        return None


def corpus(root: Path, held_out: bool) -> Iterator[tuple[str, str]]:
    """(relative path, text) of one side of the split."""
    for path in stdlib_files(root):
        relative = path.relative_to(root).as_posix()
        if is_held_out(relative) == held_out and (text := read_text(path)) is not None:
            yield relative, text


def train_tokenizer(texts: list[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE with one special token, ``<|endoftext|>`` (id 0).

    A newline is always a token of its own: were it merged with the indentation after it, a prompt
    that ends with a newline could not be continued by an indented line.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=END_OF_TEXT, bos_token=END_OF_TEXT, clean_up_tokenization_spaces=False
    )


def encode(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> np.ndarray:
    """All texts as one uint16 stream, each file preceded by the end-of-text token."""
    end = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    stream: list[int] = []
    for batch in tokenizer.backend_tokenizer.encode_batch(texts):
        stream.append(end)
        stream.extend(batch.ids)
    return np.array(stream, dtype=np.uint16)


def build_model(run: TrainingRun) -> LlamaForCausalLM:
    """A freshly initialised float32 network with tied input and output embeddings."""
    torch.manual_seed(run.seed)
    config = LlamaConfig(
        vocab_size=run.vocab_size,
        hidden_size=run.hidden_size,
        intermediate_size=run.intermediate_size,
        num_hidden_layers=run.num_hidden_layers,
        num_attention_heads=run.num_attention_heads,
        num_key_value_heads=run.num_key_value_heads,
        max_position_embeddings=run.context,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="sdpa",
    )
    return LlamaForCausalLM(config)


def optimizers(model: LlamaForCausalLM, run: TrainingRun) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings and norm gains."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(matrices, lr=run.muon_learning_rate, weight_decay=run.weight_decay),
        torch.optim.AdamW(rest, lr=run.adam_learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def schedule(step: int, run: TrainingRun) -> float:
    """Learning-rate factor: linear warm-up, plateau, linear decay to 2 %."""
    if step < run.warmup:
        return (step + 1) / run.warmup
    start = run.steps * (1 - run.decay_fraction)
    return 1.0 if step < start else max(0.02, (run.steps - step) / (run.steps - start))


@torch.no_grad()
def held_out_loss(model: LlamaForCausalLM, stream: np.ndarray, run: TrainingRun, windows: int) -> float:
    """Mean cross-entropy (nats per token) over the first ``windows`` held-out windows."""
    losses = []
    for index in range(windows):
        part = stream[index * run.context : (index + 1) * run.context + 1].astype(np.int64)
        ids = torch.from_numpy(part)[None]
        losses.append(loss_of(model, ids).item())
    return sum(losses) / len(losses)


def loss_of(model: LlamaForCausalLM, ids: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of ``ids`` int64[B, T+1] under bfloat16 autocast."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())


class WindowSampler:
    """Shuffled, non-overlapping windows; every pass starts at another offset."""

    def __init__(self, stream: np.ndarray, context: int, seed: int) -> None:
        self._stream, self._context = stream, context
        self._random = random.Random(seed)
        self._starts: list[int] = []

    def batch(self, size: int) -> torch.Tensor:
        """int64[size, context + 1]."""
        rows = []
        for _ in range(size):
            if not self._starts:
                offset = self._random.randrange(self._context)
                self._starts = list(range(offset, len(self._stream) - self._context - 1, self._context))
                self._random.shuffle(self._starts)
            start = self._starts.pop()
            rows.append(self._stream[start : start + self._context + 1].astype(np.int64))
        return torch.from_numpy(np.stack(rows))


def train(
    model: LlamaForCausalLM, streams: tuple[np.ndarray, np.ndarray], run: TrainingRun, out: Path
) -> list[dict[str, float]]:
    """Run every step; returns the loss curve and keeps it in ``training.partial.json`` meanwhile."""
    training, held_out = streams
    sampler = WindowSampler(training, run.context, run.seed)
    chosen = optimizers(model, run)
    base = [[g["lr"] for g in o.param_groups] for o in chosen]
    curve: list[dict[str, float]] = []
    recent: list[float] = []
    began = time.monotonic()
    for step in range(run.steps):
        factor = schedule(step, run)
        for optimizer, rates in zip(chosen, base, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        loss = loss_of(model, sampler.batch(run.batch))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in chosen:
            optimizer.step()
            optimizer.zero_grad()
        recent.append(loss.item())
        if (step + 1) % 20 == 0 or step + 1 == run.steps:
            point = {"step": step + 1, "training": sum(recent) / len(recent), "seconds": time.monotonic() - began}
            recent.clear()
            if (step + 1) % 200 == 0 or step + 1 == run.steps:
                point["held_out"] = held_out_loss(model, held_out, run, 24)
                save_checkpoint(model, out)
            curve.append(point)
            (out / "training.partial.json").write_text(json.dumps(curve))
            print(json.dumps(point), flush=True)
    return curve


def save_checkpoint(model: LlamaForCausalLM, out: Path) -> None:
    """Write the weights as bfloat16 safetensors in the Hugging Face layout."""
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(out)
    (out / "generation_config.json").unlink(missing_ok=True)


def digest(items: list[tuple[str, str]]) -> str:
    """SHA-256 over (path, text hash) pairs: names the exact corpus of this run."""
    total = hashlib.sha256()
    for relative, text in items:
        total.update(f"{hashlib.sha256(text.encode()).hexdigest()}  {relative}\n".encode())
    return total.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=TrainingRun.steps)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    run = TrainingRun(steps=arguments.steps)
    torch.set_num_threads(arguments.threads)
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)

    root = Path(sysconfig.get_path("stdlib"))
    training, held_out = list(corpus(root, held_out=False)), list(corpus(root, held_out=True))
    tokenizer = train_tokenizer([t for _, t in training], run.vocab_size)
    tokenizer.save_pretrained(out)
    streams = encode(tokenizer, [t for _, t in training]), encode(tokenizer, [t for _, t in held_out])
    print(f"{len(streams[0])} training tokens, {len(streams[1])} held-out tokens", flush=True)

    model = build_model(run)
    curve = train(model, streams, run, out)
    save_checkpoint(model, out)
    record = {
        "run": asdict(run),
        "parameters": sum(p.numel() for p in model.parameters()),
        "data": {
            "source": "Python standard library source",
            "python": platform.python_version(),
            "licence": "PSF-2.0",
            "training": {"files": len(training), "tokens": len(streams[0]), "sha256": digest(training)},
            "held_out": {"files": len(held_out), "tokens": len(streams[1]), "sha256": digest(held_out)},
        },
        "tokens_seen": run.steps * run.batch * run.context,
        "epochs": run.steps * run.batch * run.context / len(streams[0]),
        "torch": torch.__version__,
        "threads": arguments.threads,
        "curve": curve,
        "held_out_perplexity_bfloat16": math.exp(curve[-1]["held_out"]),
    }
    (out / "training.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    (out / "training.partial.json").unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
