"""Whether a checkpoint is another one with a LoRA adapter merged in: W' = W + scale x B A.

Matrix products of floats differ in their last bits between machines, so merged matrices are compared within the
rounding of their own type. All other weights have to be equal. What the merged weights compute afterwards is integers,
and those are compared exactly elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from nexus_chain.certificates.audit_evidence import finding, require_found
from nexus_chain.json_text import parse_json
from nexus_chain.program.checkpoint import Checkpoint

_PREFIX = "base_model.model."
_FIRST, _SECOND = ".lora_A.weight", ".lora_B.weight"
_HEAD = "lm_head.weight"
_PRODUCT_EPS = 2.0**-23
"""PEFT multiplies an adapter's matrices in float32, whatever the checkpoint's type."""
LARGEST_ROUNDING = 2.0**-12
"""The most that the product's rounding may come to, as a share of the matrix's largest weight."""
#: Fields of config.json that change no result.
_UNRELATED = ("_name_or_path", "dtype", "torch_dtype", "transformers_version", "use_cache")
#: Fields of adapter_config.json that would mean another merge than this one, with the values that do not.
_PLAIN: dict[str, tuple[Any, ...]] = {
    "use_dora": (False, None),
    "bias": ("none", None),
    "fan_in_fan_out": (False, None),
    "modules_to_save": (None, []),
    "rank_pattern": ({}, None),
    "alpha_pattern": ({}, None),
    "lora_bias": (False, None),
    "trainable_token_indices": (None, []),
    "target_parameters": (None, []),
    "layer_replication": (None, []),
}


@dataclass(frozen=True)
class LoraMatrices:
    """A [r, in] and B [out, r] of one matrix, in float64."""

    first: Tensor
    second: Tensor


def require_merged(parent: Path, adapter: Path, config: Path, child: Path) -> int:
    """How many matrices the adapter changes. Raises AuditStepError unless ``child`` is ``parent`` with ``adapter``.

    ``parent`` and ``child``: folders of checkpoints. Raises the importer's errors for a folder that is none.
    """
    scale, matrices = _read_config(config), _read_adapter(adapter)
    before, after = Checkpoint(parent), Checkpoint(child)
    _require_like(before.config, after.config)
    names = _untied(before)
    require_found(names == _untied(after), "the child's tensors have other names than the parent's")
    strangers = sorted(set(matrices).difference(names))
    require_found(not strangers, f"the adapter changes what the parent does not have: {strangers[:1]}")
    for name in names:
        old, new = before.read(name), after.read(name)
        require_found(old.shape == new.shape, f"{name} has another shape than the parent's")
        kind = after.dtype(name)
        if name in matrices:
            _require_sum(name, old, new, matrices[name], scale(matrices[name]), torch.finfo(kind).eps)
        else:
            same = torch.equal(old.to(kind).to(torch.float64), new)
            require_found(same, f"{name} is not the parent's, and the adapter does not change it")
    return len(matrices)


def _require_like(parent: dict[str, Any], child: dict[str, Any]) -> None:
    """Both configurations state the same: a setting that is missing, or is there besides, may change results."""
    absent = object()
    stated = (set(parent) | set(child)).difference(_UNRELATED)
    differing = sorted(key for key in stated if child.get(key, absent) != parent.get(key, absent))
    require_found(not differing, f"config.json of the child has another {', '.join(differing)} than the parent's")


def _untied(checkpoint: Checkpoint) -> list[str]:
    """Names of tensors; a head that is the embedding is stored by some libraries, and left out by others."""
    tied = bool(checkpoint.config.get("tie_word_embeddings"))
    return [name for name in checkpoint.names if not (tied and name == _HEAD)]


def _require_sum(name: str, old: Tensor, new: Tensor, lora: LoraMatrices, scale: float, eps: float) -> None:
    """|new - (old + scale B A)| is within rounding: of the sum in the child's type, of the product in float32.

    Terms that are huge and cancel would round to anything: they are refused, as are sums beyond float64.
    """
    shape = (lora.second.shape[0], lora.first.shape[1])
    require_found(tuple(old.shape) == shape, f"the adapter's matrices for {name} do not fit its shape")
    rank = lora.first.shape[0]
    expected = old + scale * (lora.second @ lora.first)
    product = _PRODUCT_EPS * (rank + 2) * abs(scale) * (lora.second.abs() @ lora.first.abs())
    small = bool((product <= LARGEST_ROUNDING * old.abs().max()).all())
    require_found(small, f"the adapter's terms for {name} are so large that rounding alone could change the weights")
    allowed = eps * (old.abs() + expected.abs()) + product
    finite = bool(expected.isfinite().all() and allowed.isfinite().all())
    require_found(finite, f"the parent's {name} plus the adapter's is not finite")
    require_found(bool(((new - expected).abs() <= allowed).all()), f"{name} is not the parent's plus the adapter's")


def _read_config(path: Path) -> Any:
    """The scale of a pair of matrices, as a function of the pair. Raises AuditStepError for another kind of merge."""
    try:
        config = parse_json(path.read_bytes())
        alpha, rank, rooted = config["lora_alpha"], config["r"], bool(config.get("use_rslora"))
        require_found(config.get("peft_type") == "LORA", "the adapter is no LoRA adapter")
        for field, values in _PLAIN.items():
            require_found(config.get(field) in values, f"the adapter's {field} is not one that an audit can merge")
        divisor = math.sqrt(rank) if rooted else rank
        scale = float(alpha) / divisor
        require_found(math.isfinite(scale), "the adapter's scale is not finite")
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise finding(f"the adapter's configuration cannot be read ({error!r})") from error

    def scale_of(lora: LoraMatrices) -> float:
        require_found(lora.first.shape[0] == rank == lora.second.shape[1], f"a matrix has not the rank {rank}")
        return scale

    return scale_of


def _read_adapter(path: Path) -> dict[str, LoraMatrices]:
    """Pairs of matrices by the name of the weight that they change."""
    try:
        tensors = {name: tensor.to(torch.float64) for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise finding(f"the adapter cannot be read ({error})") from error
    found = {}
    for name in tensors:
        stem, pair = name.removesuffix(_FIRST), tensors.get(name.removesuffix(_FIRST) + _SECOND)
        if stem != name and pair is not None and name.startswith(_PREFIX):
            finite = bool(tensors[name].isfinite().all() and pair.isfinite().all())
            require_found(finite and tensors[name].ndim == pair.ndim == 2, f"{name} is no finite matrix")
            found[stem.removeprefix(_PREFIX) + ".weight"] = LoraMatrices(tensors[name], pair)
    require_found(2 * len(found) == len(tensors) > 0, "the adapter has tensors that are no pairs of LoRA matrices")
    return found
