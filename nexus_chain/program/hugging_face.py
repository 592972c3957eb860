"""Import a Hugging Face checkpoint as an integer model: finds the family that its configuration names.

A new architecture is a new file in ``families`` and a line here, never a new executor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.errors import CheckpointLayoutError
from nexus_chain.program.families.llama import import_llama
from nexus_chain.program.model import IntegerModel
from nexus_chain.program.recipe import ActivationBits, Recipe

#: What ``architectures`` in config.json may name, and who imports it.
ARCHITECTURES: Mapping[str, Callable[[Checkpoint, Recipe], IntegerModel]] = {
    "LlamaForCausalLM": import_llama,
}


def import_checkpoint(path: str | Path, *, widths: ActivationBits | None = None) -> IntegerModel:
    """Read a Hugging Face folder of a supported architecture and make an integer model of it.

    ``widths`` sets the bits of each family of linear inputs. Raises
    :class:`CheckpointLayoutError`, :class:`CheckpointFileError`, :class:`TensorMismatchError` or
    :class:`NonFiniteWeightError`, each naming what is wrong and where.
    """
    checkpoint = Checkpoint(path)
    family = ARCHITECTURES[_architecture(checkpoint.config)]
    return family(checkpoint, Recipe(widths or ActivationBits()))


def _architecture(config: Mapping[str, Any]) -> str:
    """The supported architecture that ``config`` names. Raises CheckpointLayoutError."""
    supported = ", ".join(ARCHITECTURES)
    if config.get("quantization_config"):
        raise CheckpointLayoutError(
            f"config.json has a quantization_config ({_method(config)}): the checkpoint is already quantised",
            advice="Import the original checkpoint in float32, float16 or bfloat16.",
        )
    named = config.get("architectures") or []
    known = [name for name in named if name in ARCHITECTURES] if isinstance(named, list) else []
    if not known:
        found = f"names {named}" if named else f"is missing (model_type is {config.get('model_type')!r})"
        raise CheckpointLayoutError(
            f"The field architectures of config.json {found}, which is not supported",
            advice=f"Import a checkpoint of one of: {supported}.",
        )
    return str(known[0])


def _method(config: Mapping[str, Any]) -> str:
    settings = config["quantization_config"]
    return str(settings.get("quant_method", "unknown method")) if isinstance(settings, dict) else str(settings)
