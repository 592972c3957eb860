#!/usr/bin/env python
"""Golden vectors of the page's engine: traces, programs, texts, and answers with a lie in a known place.

Deterministic: running it again changes nothing (``tests/scripts/test_web_vectors.py``). The page's tests
(``node/web/tests/unit/engine``) hold the WebAssembly engine and the TypeScript judge against them.

    python scripts/make_web_vectors.py           write tests/vectors/web_{traces,programs,answers,texts}.json.gz
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from safetensors.torch import save  # noqa: E402

from nexus_chain.commitments.weights import ModelCommitment, program_root  # noqa: E402
from nexus_chain.engine.engine import Engine  # noqa: E402
from nexus_chain.evidence.judgement import judge, keep_signed, keep_usable  # noqa: E402
from nexus_chain.evidence.proof import InferenceProof  # noqa: E402
from nexus_chain.evidence.verify import verify_proof  # noqa: E402
from nexus_chain.program import ActivationBits, IntegerModel, ModelShape, Program, random_model  # noqa: E402
from nexus_chain.program.decoder import decoder_program  # noqa: E402
from nexus_chain.program.file_names import TOKENIZER_FILE  # noqa: E402
from nexus_chain.program.random_weights import PRESETS, program_of  # noqa: E402
from nexus_chain.program.sampling import Sampling  # noqa: E402
from nexus_chain.versions.tokenizer_assembly import assemble  # noqa: E402
from tests.support.web_lies import NODE_LIES, PAPER_LIES, Place, honest_answers, lying_answer  # noqa: E402

TARGET = ROOT / "tests" / "vectors"
LYING_NODES = 100
FALSE_PAPERS = 28
SEED = bytes(range(32))

#: Odd sizes, so that every kernel's tail runs: biases, both widths of rows, matrices in two parts, windows, experts.
_PLAIN = ModelShape(layers=2, width=40, heads=4, kv_heads=2, head_dim=10, ffn=54, vocab=90, context=80)
TRACED: dict[str, tuple[ModelShape, ActivationBits, tuple[str, ...]]] = {
    "narrow rows": (replace(_PLAIN, attention_bias=True, mlp_bias=True), ActivationBits(8, 8, 8, 8, 8), ()),
    "wide rows, two parts": (_PLAIN, ActivationBits(15, 15, 15, 15, 15), ("0.query", "1.down", "1.output", "head")),
    "heads normed, windows": (
        replace(_PLAIN, qkv_bias=True, qk_norm=True, windows=(5, 0)),
        ActivationBits(attention_input=15, down=15),
        ("0.value", "1.gate"),
    ),
    "experts": (replace(_PLAIN, experts=5, experts_per_token=3, ffn=22), ActivationBits(), ()),
    "experts, wide rows": (
        replace(_PLAIN, layers=1, experts=3, experts_per_token=2, ffn=22),
        ActivationBits(15, 8, 15, 15, 15),
        (),
    ),
}
_ROWS = 70
_PROMPT = 66


def traces() -> Iterator[dict[str, Any]]:
    """Models with the SHA-256 of every tensor of one sequence, as torch computes it."""
    for number, (name, (shape, bits, finer)) in enumerate(TRACED.items()):
        model = random_model(shape, seed=number, bits=bits, finer=finer)
        tokens = torch.arange(_ROWS, dtype=torch.int32) * 53 % shape.vocab
        for beta in (0, 70000):
            engine = Engine(model.program, model.weights, backend="torch")
            names = [spec.name for op in model.program.ops for spec in op.outputs]
            found = engine.evaluate(tokens, _PROMPT, Sampling(beta, SEED), names)
            yield {
                "name": f"{name}, {'sampled' if beta else 'greedy'}",
                **(_model_of(model) if beta == 0 else {"same": True}),
                "tokens": tokens.tolist(),
                "promptLength": _PROMPT,
                "sampling": {"beta": beta, "seed": SEED.hex()},
                "tensors": {key: _sha256(tensor) for key, tensor in found.items()},
                "sampled": found["sample.token"].tolist(),
            }


def _sha256(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def _model_of(model: IntegerModel) -> dict[str, str]:
    commitment = ModelCommitment.of(model)
    weights = {spec.name: model.weights[spec.name].contiguous() for spec in model.program.weights}
    return {
        "program": model.program.to_json(),
        "weights": base64.b64encode(save(weights)).decode(),
        "programRoot": commitment.program_root.hex(),
        "weightsRoot": commitment.weights_root.hex(),
    }


def programs() -> Iterator[dict[str, str]]:
    """Programs of decoders as builders make them, of every shape and choice, with their roots."""
    wide, finer = ("0.down", "1.mlp_input", "1.attention_input"), ("0.query", "1.up", "head")
    for name, shape in PRESETS.items():
        if not shape.encoder:
            yield _described(name, program_of(name, shape))
    chosen = decoder_program("chosen", PRESETS["tiny-bias"], ActivationBits(), 3, wide, finer)
    yield _described("rows and matrices of one's own choice", chosen)
    for name, (shape, bits, parts) in TRACED.items():
        yield _described(name, program_of(name, shape, bits, parts))


def _described(name: str, program: Program) -> dict[str, str]:
    return {"name": name, "program": program.to_json(), "programRoot": program_root(program).hex()}


def answers() -> dict[str, Any]:
    """A small model, honest answers of it, and answers with one lie each: with what Python finds."""
    model = random_model(replace(_PLAIN, layers=3, width=256, head_dim=16, heads=2, kv_heads=1, ffn=24, vocab=70), 5)
    source = random.Random("nexus.vectors.web.v1")
    found = [_judged("none", proof, None, model) for proof in honest_answers(model)]
    for lies, count in ((NODE_LIES, LYING_NODES), (PAPER_LIES, FALSE_PAPERS)):
        for number in range(count):
            lie = lies[number % len(lies)]
            found.append(_judged(lie.name, *lying_answer(model, lie, source), model))
    return {**_model_of(model), "answers": found}


def _judged(lie: str, proof: InferenceProof, place: Place | None, model: IntegerModel) -> dict[str, Any]:
    report = verify_proof(proof, model)
    usable = keep_usable(keep_signed(proof, proof.receipt_keys), proof.signer)
    judgement = judge(usable, model)
    return {
        "lie": lie,
        "place": None if place is None else asdict(place),
        "proof": proof.to_dict(),
        "steps": [asdict(step) for step in report.steps],
        "fragments": [asdict(fragment) for fragment in report.fragments],
        "word": judgement.word,
        "accusations": [[receipt.node, receipt.segment, receipt.to_position] for receipt, _ in judgement.accusations],
    }


def texts() -> Iterator[dict[str, Any]]:
    """Tokens of the shipped model's tokenizer, whole characters and parts of them, with their texts."""
    tokenizer = assemble(ROOT / "nexus_chain" / "models" / "python-stdlib" / TOKENIZER_FILE)
    source, count = random.Random("nexus.vectors.texts.v1"), tokenizer.get_vocab_size()
    written = ["def f(x):\n    return x\n", "\ufeff\u00fc \U0001f600 \u2028\t\u0000", "<|endoftext|>a<|endoftext|>"]
    found = [tokenizer.encode(text).ids for text in written]
    found += [list(range(start, min(start + 512, count))) for start in range(0, count, 512)]
    found += [[source.randrange(count) for _ in range(source.randrange(1, 40))] for _ in range(60)]
    for tokens in found:
        decoded, names = (tokenizer.decode(tokens, skip_special_tokens=skip) for skip in (True, False))
        yield {"tokens": tokens, "decoded": decoded, "written": names}


def rendered() -> dict[str, Any]:
    """The JSON value of every file, by its name."""
    return {
        "web_traces.json.gz": list(traces()),
        "web_programs.json.gz": list(programs()),
        "web_answers.json.gz": answers(),
        "web_texts.json.gz": list(texts()),
    }


def read(path: Path) -> Any:
    """What a file of vectors holds."""
    return json.loads(gzip.decompress(path.read_bytes()))


def main() -> None:
    for name, value in rendered().items():
        text = json.dumps(value, sort_keys=True, separators=(",", ":"))
        if not (TARGET / name).exists() or read(TARGET / name) != json.loads(text):
            (TARGET / name).write_bytes(gzip.compress(text.encode(), 9, mtime=0))
            print(f"make_web_vectors: {name} written")


if __name__ == "__main__":
    main()
