"""Names of tensors as checkpoints spell them, and as the families here and ``transformers`` expect them.

Wrappers put prefixes before every name: of a base model saved by itself, of a compiled or distributed one, of a
language model within a larger one. Old BERT checkpoints call the parameters of norms gamma and beta.
"""

from __future__ import annotations

from collections.abc import Iterable

from nexus_chain.program.errors import TensorMismatchError

#: What may stand before a name, in any order and number, without changing what it means.
PREFIXES = ("model.", "_orig_mod.", "module.", "base_model.", "transformer.", "language_model.", "bert.")
#: Modules of a decoder that are expected behind ``model.``.
INNER_MODULES = ("layers.", "embed_tokens.", "norm.")
OLD_ENDINGS = {".gamma": ".weight", ".beta": ".bias"}


def expected_name(stored: str) -> str:
    """The name under which a tensor is known here."""
    name = stored
    while prefix := next((prefix for prefix in PREFIXES if name.startswith(prefix)), ""):
        name = name.removeprefix(prefix)
    for ending, replacement in OLD_ENDINGS.items():
        if name.endswith(ending):
            name = name.removesuffix(ending) + replacement
    return f"model.{name}" if name.startswith(INNER_MODULES) else name


def stored_names(stored: Iterable[str]) -> dict[str, str]:
    """The stored name of every expected one. Raises TensorMismatchError where two tensors would have one name."""
    found: dict[str, str] = {}
    for name in sorted(stored):
        expected = expected_name(name)
        if expected in found:
            raise TensorMismatchError(
                f"Tensors {found[expected]} and {name} both stand for {expected}",
                advice="Save the model again without a wrapper around it.",
            )
        found[expected] = name
    return found
