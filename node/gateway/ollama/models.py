"""Models as Ollama lists and shows them. A digest is the root of the weights, as the chain registers it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from nexus_chain.program.descriptors import ModelShape
from nexus_chain.program.file_names import CONFIG_FILE
from node.gateway.errors import UnknownModelError
from node.gateway.generation import OfferedModel, Service
from node.gateway.ollama.answers import rfc3339

LATEST = ":latest"
NEVER = "9999-12-31T23:59:59Z"


def named_model(service: Service, name: str) -> OfferedModel:
    """The model of that name, with or without ``:latest``. Raises UnknownModelError."""
    try:
        return service.model(name)
    except UnknownModelError:
        if not name.endswith(LATEST):
            raise
    return service.model(name.removesuffix(LATEST))


def listed_models(models: Sequence[OfferedModel]) -> dict[str, Any]:
    """What ``/api/tags`` answers."""
    return {"models": [{**_named(one), "modified_at": _created(one)} for one in models]}


def running_models(models: Sequence[OfferedModel]) -> dict[str, Any]:
    """What ``/api/ps`` answers: every model is ready, on machines of others."""
    ready = {"expires_at": NEVER, "size_vram": 0}
    return {"models": [{**_named(one), **ready, "context_length": one.context} for one in models]}


def shown_model(model: OfferedModel) -> dict[str, Any]:
    """What ``/api/show`` answers."""
    template = model.files.codec.chat_template
    return {
        "modelfile": "",
        "parameters": "",
        "template": "" if template is None else template.source,
        "license": model.licence,
        "details": _details(model),
        "model_info": _information(model),
        "capabilities": _capabilities(model),
        "modified_at": _created(model),
    }


def parameter_count(shape: ModelShape) -> int:
    """Numbers in the matrices of a transformer of that shape; an encoder's last layer is no network's."""
    heads = (2 * shape.heads + 2 * shape.kv_heads) * shape.head_dim * shape.width
    blocks = max(1, shape.experts) * (2 if shape.encoder else 3) * shape.ffn * shape.width
    layers = shape.layers - 1 if shape.encoder else shape.layers
    tables = 1 if shape.tied or shape.encoder else 2
    return layers * (heads + blocks + shape.experts * shape.width) + tables * shape.vocab * shape.width


def _named(model: OfferedModel) -> dict[str, Any]:
    name = model.name if ":" in model.name else model.name + LATEST
    size = sum(spec.nbytes for spec in model.files.program.weights)
    digest = model.weights_root.hex()
    return {"name": name, "model": name, "size": size, "digest": digest, "details": _details(model)}


def _details(model: OfferedModel) -> dict[str, Any]:
    family = _family(model)
    return {
        "parent_model": "",
        "format": "nexus",
        "family": family,
        "families": [family],
        "parameter_size": _short(parameter_count(model.files.program.shape)),
        "quantization_level": "INT8",
    }


def _information(model: OfferedModel) -> dict[str, Any]:
    shape, family = model.files.program.shape, _family(model)
    sizes = {
        "context_length": shape.context,
        "embedding_length": shape.width,
        "block_count": shape.layers,
        "feed_forward_length": shape.ffn,
        "attention.head_count": shape.heads,
        "attention.head_count_kv": shape.kv_heads,
        "vocab_size": shape.vocab,
    }
    return {
        "general.architecture": family,
        "general.parameter_count": parameter_count(shape),
        **{f"{family}.{name}": size for name, size in sizes.items()},
        "nexus.version": f"0x{model.version.hex()}",
        "nexus.weights_root": f"sha256:{model.weights_root.hex()}",
        "nexus.wei_per_token": model.wei_per_token,
        "nexus.share_basis_points": model.share,
        "nexus.source": model.source,
    }


def _capabilities(model: OfferedModel) -> list[str]:
    """In Ollama's words; ``chat`` beside them tells a model with a chat format from one that continues texts."""
    if model.is_encoder:
        return ["embedding"]
    return ["completion", "chat"] if model.is_chat else ["completion"]


def _family(model: OfferedModel) -> str:
    """The architecture's name, as the checkpoint's configuration says it."""
    path = model.files.folder / CONFIG_FILE
    found = json.loads(path.read_bytes()).get("model_type") if path.is_file() else None
    return found if isinstance(found, str) and found else "encoder" if model.is_encoder else "decoder"


def _created(model: OfferedModel) -> str:
    return rfc3339(datetime.fromtimestamp(model.created, UTC))


def _short(count: int) -> str:
    """A number of parameters as people say it: 5.8M."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)
