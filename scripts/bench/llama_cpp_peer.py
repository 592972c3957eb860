"""The other side of llama_cpp.py and real_speed.py: llama.cpp on the same weights, in an environment of its own.

Writes a model as a Q8_0 GGUF file: an integer model's folder by the package ``gguf``, another GGUF file by llama.cpp's
own quantiser. Then, for every line on standard input, it runs one prefill and some decoding steps and prints
``{"prefill": seconds, "decode": seconds}`` (the median of the steps). Knows nothing of this project but the names in
``program.json``.

    build/llama-cpp-venv/bin/python scripts/bench/llama_cpp_peer.py MODEL GGUF_FILE THREADS PREFILL DECODE
"""

from __future__ import annotations

import ctypes
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy
from safetensors import safe_open

MATRICES = {
    "attention.query": "attn_q",
    "attention.key": "attn_k",
    "attention.value": "attn_v",
    "attention.output": "attn_output",
    "mlp.gate": "ffn_gate",
    "mlp.up": "ffn_up",
    "mlp.down.0": "ffn_down",
}


def matrices(folder: Path, layers: int) -> Iterator[tuple[str, numpy.ndarray]]:
    """Every matrix by its GGUF name, as float32: int8 weights times their row scales."""
    names = {
        f"blk.{layer}.{theirs}.weight": f"layers.{layer}.{ours}"
        for layer in range(layers)
        for ours, theirs in MATRICES.items()
    }
    with safe_open(folder / "weights.safetensors", framework="numpy") as source:
        yield "token_embd.weight", source.get_tensor("embed.table").astype(numpy.float32) / (1 << 16)
        for theirs, ours in {**names, "output.weight": "head"}.items():
            scale = source.get_tensor(f"{ours}.scale").astype(numpy.float32)
            step = scale[:, 0] * numpy.exp2(scale[:, 1])
            yield theirs, source.get_tensor(f"{ours}.weight").astype(numpy.float32) * step[:, None]


def write_gguf(folder: Path, path: Path) -> None:
    """Write an integer model as Q8_0."""
    shape = json.loads((folder / "program.json").read_text())["shape"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(shape["context"])
    writer.add_embedding_length(shape["width"])
    writer.add_block_count(shape["layers"])
    writer.add_feed_forward_length(shape["ffn"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["kv_heads"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape["vocab"])
    writer.add_tokenizer_model("no_vocab")
    ones = numpy.ones(shape["width"], numpy.float32)
    norms = [f"blk.{layer}.{norm}.weight" for layer in range(shape["layers"]) for norm in ("attn_norm", "ffn_norm")]
    for name in (*norms, "output_norm.weight"):
        writer.add_tensor(name, ones)
    kind = gguf.GGMLQuantizationType.Q8_0
    for name, matrix in matrices(folder, shape["layers"]):
        writer.add_tensor(name, gguf.quants.quantize(matrix, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantise_gguf(file: Path, path: Path, threads: int) -> None:
    """Write a GGUF file, whatever its types of tensors, as Q8_0."""
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype, options.nthread = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0, threads
    options.allow_requantize = True
    if llama_cpp.llama_model_quantize(str(file).encode(), str(path).encode(), ctypes.byref(options)):
        raise SystemExit("llama_cpp_peer: llama.cpp could not write the file as Q8_0")


class Peer:
    """llama.cpp's own interface, so that nothing but its work is timed."""

    def __init__(self, path: Path, threads: int, room: int) -> None:
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        options = llama_cpp.llama_context_default_params()
        options.n_ctx, options.n_batch, options.n_ubatch = room, 512, 512
        options.n_threads = options.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(self._model, options)
        if not self._model or not self._context:
            raise SystemExit("llama_cpp_peer: llama.cpp does not load the file it was given")
        self._vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))

    def run(self, prefill: int, decode: int) -> dict[str, float]:
        """Seconds of a prefill of ``prefill`` tokens and of one decoding step."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        began = time.perf_counter()
        token = self._feed([(7 * place + 3) % self._vocab for place in range(prefill)])
        taken, steps = time.perf_counter() - began, []
        for _ in range(decode):
            began = time.perf_counter()
            token = self._feed([token])
            steps.append(time.perf_counter() - began)
        return {"prefill": taken, "decode": statistics.median(steps)}

    def _feed(self, tokens: list[int]) -> int:
        """The likeliest next token."""
        array: Any = (llama_cpp.llama_token * len(tokens))(*tokens)
        if llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(array, len(tokens))):
            raise SystemExit("llama_cpp_peer: llama.cpp could not decode")
        logits = llama_cpp.llama_get_logits_ith(self._context, -1)
        values = numpy.ctypeslib.as_array(ctypes.cast(logits, ctypes.POINTER(ctypes.c_float)), (self._vocab,))
        return int(values.argmax())


def main() -> int:
    model, path, (threads, prefill, decode) = Path(sys.argv[1]), Path(sys.argv[2]), map(int, sys.argv[3:6])
    llama_cpp.llama_backend_init()
    if model.is_file():
        quantise_gguf(model, path, threads)
    else:
        write_gguf(model, path)
    peer = Peer(path, threads, prefill + decode)
    for _ in sys.stdin:
        print(json.dumps(peer.run(prefill, decode)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
