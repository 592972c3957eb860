"""Embeddings of a real pretrained model, all-MiniLM-L6-v2, as an integer program against float32.

The model is the catalogue's; it is fetched into ``build/catalogue`` once. The sentences are first
paragraphs of docstrings of the standard library. Both sides embed the same batches, sorted by length, with
as many threads. Writes
``build/bench/embeddings.json``: ``mean_cosine``, ``min_cosine``, ``nearest_agreement`` (how often the
nearest other sentence is the same one), ``sentences``, ``tokens`` and sentences per second of both.

    python -m scripts.bench.embeddings [--sentences 2000] [--threads 2]
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import BertModel, PreTrainedTokenizerFast
from transformers.utils import logging

from nexus_chain.engine.embedding import embeddings
from nexus_chain.engine.engine import Engine
from nexus_chain.program import import_checkpoint
from scripts.bench.record import ROOT, write_record
from scripts.fetched import fetched

MODEL = "all-minilm-l6-v2"
LONGEST = 128  # tokens of a sentence, as the model was trained
SHORTEST = 20  # characters: shorter first paragraphs are no sentences
BATCH = 16


def paragraphs() -> Iterator[str]:
    """First paragraph of every docstring of the standard library, on one line, in a fixed order."""
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.rglob("*.py")):
        if {"site-packages", "test", "tests", "idlelib"} & set(path.relative_to(library).parts):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())


def sentences(wanted: int) -> list[str]:
    """``wanted`` different paragraphs, spread evenly over the library."""
    found = list(dict.fromkeys(text for text in paragraphs() if len(text) >= SHORTEST))
    if len(found) < wanted:
        sys.exit(f"The standard library has {len(found)} docstrings only. Ask for fewer with --sentences.")
    return [found[index * len(found) // wanted] for index in range(wanted)]


def tokenised(model: Path, texts: Sequence[str]) -> list[Tensor]:
    """Tokens i32[t] of each text, sorted by length so that batches need little padding."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    rows = tokenizer(list(texts), truncation=True, max_length=LONGEST)["input_ids"]
    return sorted((torch.tensor(row, dtype=torch.int32) for row in rows), key=len)


def float_embedder(model: Path) -> Callable[[list[Tensor]], Tensor]:
    """Mean of the last hidden rows in float32, padded rows masked out."""
    network = BertModel.from_pretrained(model, dtype=torch.float32, add_pooling_layer=False).eval()

    def embed(batch: list[Tensor]) -> Tensor:
        rows = torch.nn.utils.rnn.pad_sequence([row.long() for row in batch], batch_first=True)
        mask = torch.arange(rows.shape[1]) < torch.tensor([len(row) for row in batch])[:, None]
        hidden = network(rows, attention_mask=mask.long()).last_hidden_state * mask[..., None]
        return hidden.sum(dim=1) / mask.sum(dim=1, keepdim=True)

    return embed


def integer_embedder(model: Path, threads: int) -> Callable[[list[Tensor]], Tensor]:
    """The integer program's embeddings as they are; their unit cancels in a cosine."""
    imported = import_checkpoint(model)
    engine = Engine(imported.program, imported.weights, 0, imported.program.shape.layers - 1, threads=threads)
    return lambda batch: embeddings(engine, batch)


@torch.inference_mode()
def timed(embedders: Sequence[Callable[[list[Tensor]], Tensor]], rows: list[Tensor]) -> list[tuple[Tensor, float]]:
    """(unit vectors f64[n, width], seconds) of each, batches in turn so that both see the same machine."""
    found: list[list[Tensor]] = [[] for _ in embedders]
    seconds = [0.0 for _ in embedders]
    for start in range(0, len(rows), BATCH):
        for number, embed in enumerate(embedders):
            started = time.perf_counter()
            found[number].append(embed(rows[start : start + BATCH]))
            seconds[number] += time.perf_counter() - started
    vectors = [torch.nn.functional.normalize(torch.cat(pieces).double()) for pieces in found]
    return list(zip(vectors, seconds, strict=True))


def nearest(vectors: Tensor) -> Tensor:
    """Index of the nearest other row of unit vectors f64[n, width]; i64[n]."""
    return (vectors @ vectors.t()).fill_diagonal_(-2).argmax(dim=1)


def compare(model: Path, wanted: int, threads: int) -> dict[str, float | int | str]:
    torch.set_num_threads(threads)
    logging.set_verbosity_error()  # the pooler, which nobody asked for, is reported otherwise
    logging.disable_progress_bar()
    rows = tokenised(model, sentences(wanted))
    embedders = [float_embedder(model), integer_embedder(model, threads)]
    timed(embedders, rows[:BATCH])  # builds the kernels, fills the caches
    (expected, float_seconds), (found, integer_seconds) = timed(embedders, rows)
    cosines = (expected * found).sum(dim=1)
    return {
        "model": MODEL,
        "mean_cosine": float(cosines.mean()),
        "min_cosine": float(cosines.min()),
        "nearest_agreement": float((nearest(expected) == nearest(found)).double().mean()),
        "sentences": len(rows),
        "tokens": sum(map(len, rows)),
        "threads": threads,
        "sentences_per_second_float32": len(rows) / float_seconds,
        "sentences_per_second_integer": len(rows) / integer_seconds,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=2_000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "embeddings.json")
    arguments = parser.parse_args()
    result = compare(fetched(MODEL), arguments.sentences, arguments.threads)
    print(json.dumps(write_record(arguments.out, result), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
