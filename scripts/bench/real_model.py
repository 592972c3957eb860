"""A real instruct model as a user imports it: what integers lose, and what they gain.

Fetches the catalogue's chat model into ``build/``, imports its GGUF file with the product's defaults (so its recipe is
chosen anew), and measures on three texts that chose nothing. Writes ``build/bench/real_model.json``:
``texts.<name>.{perplexity_float32, perplexity_integer, relative_increase, kl, top1}``, ``agreement_given_answers``
(five chat prompts; the share of the float model's own greedy answers that the integer model would say too),
``ratios.{prefill_512,decode}_vs_float32``, ``seconds`` of the import, and ``peak_bytes``.

    python -m scripts.bench.real_model [--tokens 2048] [--model FILE.gguf or FOLDER]
"""

from __future__ import annotations

import argparse
import json
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from nexus_chain.client.home import ClientHome
from nexus_chain.engine.engine import Engine
from nexus_chain.program import IntegerModel
from nexus_chain.quality import GATE, FloatModel, assess
from nexus_chain.quality.calibration import conversations, documentation
from nexus_chain.quality.held_out import cut
from nexus_chain.versions.text_codec import TextCodec
from nexus_chain.workflows.checkpoints import opened_checkpoint
from nexus_chain.workflows.importing import Measuring, import_measured
from scripts.bench.engine import Timing, float_runner, integer_runner, peak_bytes
from scripts.bench.record import ROOT, write_record
from scripts.fetched import fetched

MODEL = "smollm2-135m-instruct"
FOLDER = ROOT / "build" / "real-model"
WINDOW = 256
ANSWER = 64  # tokens of an answer that is compared
#: Modules that neither choose nor judge an import.
THIRD = (
    "array", "base64", "cmd", "code", "copy", "dis", "fileinput", "glob", "hashlib", "imaplib", "mailbox", "mimetypes",
    "optparse", "pdb", "plistlib", "pprint", "pstats", "sched", "shelve", "smtplib", "tokenize",
)  # fmt: skip
QUESTIONS = (
    "What is the capital of France?",
    "Write a Python function that returns the n-th Fibonacci number.",
    "Explain in two sentences why the sky is blue.",
    "Give me a recipe for pancakes.",
    "Translate to Spanish: Where is the library?",
)


def _without_recipe(folder: Path) -> Path:
    """The model's file alone in a folder: what is measured is what an import chooses by itself."""
    alone = FOLDER / folder.name
    alone.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.gguf"):
        (alone / file.name).unlink(missing_ok=True)
        (alone / file.name).hardlink_to(file)
    return alone


def texts(codec: TextCodec) -> Iterator[tuple[str, list[int]]]:
    """Names and tokens of the three texts: docstrings, the same kind as chat, and source code."""
    yield "docstrings", [token for text in documentation(THIRD) for token in codec.encode_plain(text, special=True)]
    talks = conversations(THIRD)
    yield "chat", [token for talk in talks for token in codec.chat_prompt(talk, answering=False)]
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("c*.py"))
    yield "source", [token for path in sources for token in codec.encode_plain(path.read_text(), special=True)]


def losses(engine: Engine, real: FloatModel, codec: TextCodec, tokens: int) -> dict[str, dict[str, Any]]:
    """What the integer model loses on each text."""
    found = {}
    for name, stream in texts(codec):
        figures = assess(engine, real, cut(stream[: tokens + 1], WINDOW)).figures()
        found[name] = {"kl": figures.pop("kl"), "top1": figures.pop("top1_agreement"), **figures}
    return found


@torch.inference_mode()
def agreement(engine: Engine, network: Any, codec: TextCodec) -> float:
    """Share of the float model's greedy answers that is the integer model's likeliest token, given what came before."""
    same = total = 0
    for question in QUESTIONS:
        prompt = codec.chat_prompt([{"role": "user", "content": question}])
        given = torch.tensor([prompt])
        answer = network.generate(given, max_new_tokens=ANSWER, do_sample=False, eos_token_id=list(codec.end_tokens))[0]
        logits = engine.logits(answer[:-1].int())[len(prompt) - 1 :, : network.config.vocab_size]
        same += int((logits.argmax(1) == answer[len(prompt) :]).sum())
        total += len(answer) - len(prompt)
    return same / total


def ratios(model: IntegerModel, network: Any, threads: int) -> dict[str, float]:
    """Speed against float32, with the median of three rounds after one that warms up."""
    prompt = torch.randint(0, 1000, (512,), generator=torch.Generator().manual_seed(5), dtype=torch.int32)
    stacks = integer_runner(model, threads, 16), float_runner(network, 16)
    rounds = [[run(prompt) for run in stacks] for _ in range(4)][1:]
    median = [sorted_timing([timings[stack] for timings in rounds]) for stack in range(2)]
    return {
        "prefill_512_vs_float32": median[1].prefill / median[0].prefill,
        "decode_vs_float32": median[1].decode / median[0].decode,
    }


def sorted_timing(found: list[Timing]) -> Timing:
    """The median of each figure."""
    middle = len(found) // 2
    return Timing(sorted(one.prefill for one in found)[middle], sorted(one.decode for one in found)[middle])


def bench(named: str, tokens: int, threads: int) -> dict[str, Any]:
    """Import and measure. Raises the importer's errors and QualityError."""
    with opened_checkpoint(named, ClientHome(FOLDER / "home")) as checkpoint:
        began, out = time.monotonic(), FOLDER / "integer"
        imported = import_measured(checkpoint, out, Measuring(GATE, beyond_gate=True))
        seconds, peak = time.monotonic() - began, peak_bytes()
        engine, codec = Engine(imported.model.program, imported.model.weights), TextCodec(out / "tokenizer.json")
        lost = losses(engine, FloatModel(checkpoint), codec, tokens)
        network: Any = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
        return {
            "gate": imported.quality,
            "texts": lost,
            "agreement_given_answers": agreement(engine, network, codec),
            "ratios": ratios(imported.model, network, threads),
            "seconds": seconds,
            "peak_bytes": peak,
            "threads": threads,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=2048, help="predictions on each text")
    parser.add_argument("--model", help="a GGUF file or a checkpoint's folder instead of the fetched one")
    parser.add_argument("--threads", type=int, default=min(2, torch.get_num_threads()))
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "real_model.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result = bench(arguments.model or str(_without_recipe(fetched(MODEL))), arguments.tokens, arguments.threads)
    print(json.dumps(write_record(arguments.out, result), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
