"""Models by use, the best one first. Sizes are those of Ollama's library, in 10⁹ bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from nexus_chain.distillation.local.errors import LocalRequestError


class ModelUse(StrEnum):
    """What a model is wanted for."""

    CODE = "code"
    GENERAL = "general"
    FAST = "fast"
    QUALITY = "quality"


@dataclass(frozen=True)
class RecommendedModel:
    """``reason``: why it is in the list. ``installed``: whether the server has it."""

    name: str
    size_gb: float
    reason: str
    installed: bool = False


DEEPSEEK = RecommendedModel("deepseek-coder:7b", 4.1, "writes code")
CODELLAMA = RecommendedModel("codellama:7b", 3.8, "writes code, the smaller alternative")
LLAMA = RecommendedModel("llama3:8b", 4.7, "general questions")
MISTRAL = RecommendedModel("mistral:7b", 4.1, "fast for what it knows")
LARGE_LLAMA = RecommendedModel("llama3:70b", 40.0, "the best answers; needs a graphics processor")

RECOMMENDED = {
    ModelUse.CODE: (DEEPSEEK, CODELLAMA, LLAMA),
    ModelUse.GENERAL: (LLAMA, MISTRAL),
    ModelUse.FAST: (MISTRAL, CODELLAMA, DEEPSEEK),
    ModelUse.QUALITY: (LARGE_LLAMA, LLAMA, DEEPSEEK),
}


def model_use(name: str) -> ModelUse:
    """The use of that name. Raises LocalRequestError."""
    try:
        return ModelUse(name)
    except ValueError:
        raise LocalRequestError(f"there is no use {name!r}", advice=f"Name one of {', '.join(ModelUse)}.") from None


def recommended_models(use: ModelUse, installed: Iterable[str]) -> list[RecommendedModel]:
    """The models for a use: those of ``installed`` names first, each group in the table's order."""
    there = {full_name(name) for name in installed}
    marked = [
        RecommendedModel(one.name, one.size_gb, one.reason, installed=full_name(one.name) in there)
        for one in RECOMMENDED[use]
    ]
    return sorted(marked, key=lambda one: not one.installed)  # stable


def full_name(name: str) -> str:
    """A model's name as Ollama means it: without a tag it is the latest one."""
    return name if ":" in name else f"{name}:latest"
