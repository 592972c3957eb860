"""Import a Hugging Face checkpoint as an integer model: finds the family that its configuration names.

A new architecture is a new file in ``families`` and a line here, never a new executor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.errors import CheckpointLayoutError
from nexus_chain.program.families.bert import import_bert
from nexus_chain.program.families.fields import is_harmless, read_fields
from nexus_chain.program.families.llama import import_llama
from nexus_chain.program.families.mistral import import_mistral
from nexus_chain.program.families.mixtral import import_mixtral
from nexus_chain.program.families.qwen import import_qwen2, import_qwen3
from nexus_chain.program.model import IntegerModel
from nexus_chain.program.recipe import ActivationBits, Recipe

#: What ``architectures`` in config.json may name, and who imports it.
ARCHITECTURES: Mapping[str, Callable[[Checkpoint, Recipe], IntegerModel]] = {
    "LlamaForCausalLM": import_llama,
    "MistralForCausalLM": import_mistral,
    "MinistralForCausalLM": import_mistral,
    "MixtralForCausalLM": import_mixtral,
    "Qwen2ForCausalLM": import_qwen2,
    "Qwen3ForCausalLM": import_qwen3,
    "BertModel": import_bert,
}

#: What ``model_type`` may say beside an architecture: ``transformers`` chooses the network by it alone. The first
#: names the table of fields.
MODEL_TYPES: Mapping[str, tuple[str, ...]] = {
    "LlamaForCausalLM": ("llama",),
    "MistralForCausalLM": ("mistral", "ministral"),
    "MinistralForCausalLM": ("ministral",),
    "MixtralForCausalLM": ("mixtral",),
    "Qwen2ForCausalLM": ("qwen2",),
    "Qwen3ForCausalLM": ("qwen3",),
    "BertModel": ("bert",),
}

#: Recipes of families for which the defaults are not good enough. Rows of an encoder come out of norms and have a few
#: large channels that nothing can smooth. And embeddings are compared more closely than tokens.
RECIPES: Mapping[str, Recipe] = {"BertModel": Recipe(ActivationBits(15, 15, 15, 15, 15))}


def import_checkpoint(
    path: str | Path, *, widths: ActivationBits | None = None, recipe: Recipe | None = None
) -> IntegerModel:
    """Read a Hugging Face folder of a supported architecture and make an integer model of it.

    ``recipe`` is the one that the folder records where none is given; ``widths`` replaces its bits of
    each family of linear inputs. Raises :class:`CheckpointLayoutError`, :class:`CheckpointFileError`,
    :class:`TensorMismatchError`, :class:`NonFiniteWeightError`, :class:`RecipeError` or
    :class:`NotEnoughMemoryError`, each saying what is wrong and where.
    """
    checkpoint = Checkpoint(path)
    family = ARCHITECTURES[architecture(checkpoint.config)]
    chosen = recipe or Recipe.of_folder(checkpoint.folder, default_recipe(checkpoint.config))
    return family(checkpoint, replace(chosen, widths=widths) if widths else chosen)


def default_recipe(config: Mapping[str, Any]) -> Recipe:
    """The choices of an import that records none. Raises CheckpointLayoutError."""
    return RECIPES.get(architecture(config), Recipe())


def architecture(config: Mapping[str, Any]) -> str:
    """The supported architecture that ``config`` names, all of whose fields are understood.

    Raises :class:`CheckpointLayoutError`.
    """
    supported = ", ".join(ARCHITECTURES)
    if config.get("quantization_config") is not None:
        raise CheckpointLayoutError(
            f"config.json has a quantization_config ({_method(config)}): the checkpoint is already quantised",
            advice="Import the original checkpoint in float32, float16 or bfloat16.",
        )
    named = config.get("architectures") or []
    listed = named if isinstance(named, list) else []
    known = [name for name in listed if isinstance(name, str) and name in ARCHITECTURES]
    if not known:
        found = f"names {named}" if named else f"is missing (model_type is {config.get('model_type')!r})"
        raise CheckpointLayoutError(
            f"The field architectures of config.json {found}, which is not supported",
            advice=f"Import a checkpoint of one of: {supported}.",
        )
    _require_own_network(config, known[0])
    read_fields(config, MODEL_TYPES[known[0]][0])
    return known[0]


def computed_fields(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The ``model_type``, and the fields of ``config`` that say what is computed. Raises CheckpointLayoutError."""
    family = MODEL_TYPES[architecture(config)][0]
    fields = {name: value for name, value in config.items() if not is_harmless(name, family) and name != "model_type"}
    return config.get("model_type") or family, fields


def _require_own_network(config: Mapping[str, Any], name: str) -> None:
    """Refuse code beside the checkpoint, and a ``model_type`` that makes another network of it."""
    kind = config.get("model_type")
    if kind is not None and kind not in MODEL_TYPES[name]:
        raise CheckpointLayoutError(
            f"config.json names the architecture {name} and the model_type {kind!r}, which is another network",
            advice="Correct the field that is wrong, or import another checkpoint.",
        )
    if config.get("auto_map") is not None:
        raise CheckpointLayoutError(
            f"The field auto_map of config.json names code of the checkpoint's own ({config['auto_map']})",
            advice="Delete the field if the network is the usual one of its architecture; foreign code is never run.",
        )


def _method(config: Mapping[str, Any]) -> str:
    settings = config["quantization_config"]
    return str(settings.get("quant_method", "unknown method")) if isinstance(settings, dict) else str(settings)
