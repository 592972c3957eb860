"""Where checkpoints keep the experts of a decoder: names and shapes of tensors, nothing of their values."""

from __future__ import annotations

from typing import Protocol

from nexus_chain.program.checkpoint import MatrixSource
from nexus_chain.program.descriptors import ModelShape

MATRICES = {"gate": "w1", "up": "w3", "down": "w2"}


class ExpertTensors(Protocol):
    """Where a family's checkpoints keep the experts of a layer."""

    def router(self, layer: int) -> str:
        """Name of the tensor [experts, width] whose product is the logits of the choice."""

    def matrix(self, layer: int, expert: int, name: str) -> MatrixSource:
        """The matrix "gate", "up" or "down" of an expert."""

    def shapes(self, shape: ModelShape, layer: int) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor of a layer's router and experts."""


class SeparateExperts:
    """One tensor per matrix, as checkpoints of this family are published."""

    def router(self, layer: int) -> str:
        """Name of the tensor [experts, width]."""
        return f"model.layers.{layer}.block_sparse_moe.gate.weight"

    def matrix(self, layer: int, expert: int, name: str) -> MatrixSource:
        """The matrix "gate", "up" or "down" of an expert."""
        return MatrixSource(f"model.layers.{layer}.block_sparse_moe.experts.{expert}.{MATRICES[name]}.weight")

    def shapes(self, shape: ModelShape, layer: int) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor of a layer's router and experts."""
        inner, outer = (shape.ffn, shape.width), (shape.width, shape.ffn)
        found: dict[str, tuple[int, ...]] = {self.router(layer): (shape.experts, shape.width)}
        for expert in range(shape.experts):
            for name in MATRICES:
                found[self.matrix(layer, expert, name).tensor] = outer if name == "down" else inner
        return found


class StackedExperts:
    """All experts in two tensors, as newer versions of ``transformers`` hold and may save them."""

    def __init__(self, ffn: int) -> None:
        self._rows = {"gate": (0, ffn), "up": (ffn, 2 * ffn)}

    def router(self, layer: int) -> str:
        """Name of the tensor [experts, width]."""
        return f"model.layers.{layer}.mlp.gate.weight"

    def matrix(self, layer: int, expert: int, name: str) -> MatrixSource:
        """The matrix "gate", "up" or "down" of an expert."""
        tensor = "down_proj" if name == "down" else "gate_up_proj"
        return MatrixSource(f"model.layers.{layer}.mlp.experts.{tensor}", expert, self._rows.get(name))

    def shapes(self, shape: ModelShape, layer: int) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor of a layer's router and experts."""
        return {
            self.router(layer): (shape.experts, shape.width),
            self.matrix(layer, 0, "gate").tensor: (shape.experts, 2 * shape.ffn, shape.width),
            self.matrix(layer, 0, "down").tensor: (shape.experts, shape.width, shape.ffn),
        }


SEPARATE = SeparateExperts()
