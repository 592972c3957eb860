"""AdamW (Loshchilov and Hutter, without decay) that gives the same bits on every processor.

Torch's own takes its square roots from MKL's vector library, whose last bit depends on the processor. NumPy's are
the processor's instruction, which IEEE 754 rounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

_FIRST, _SECOND, _EPSILON = 0.9, 0.999, 1e-8


class RepeatableAdamW:
    """Steps ``weights`` (float32) along their gradients; ``state`` is what a checkpoint keeps."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self._weights = weights
        self._steps = 0
        self._means = [torch.zeros_like(weight) for weight in weights]
        self._squares = [torch.zeros_like(weight) for weight in weights]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """One step; a weight without gradient stays as it is."""
        self._steps += 1
        size = learning_rate / (1 - _FIRST**self._steps)
        scale = math.sqrt(1 - _SECOND**self._steps)
        for weight, mean, square in zip(self._weights, self._means, self._squares, strict=True):
            if weight.grad is None:
                continue
            mean.mul_(_FIRST).add_(weight.grad, alpha=1 - _FIRST)
            square.mul_(_SECOND).addcmul_(weight.grad, weight.grad, value=1 - _SECOND)
            root = torch.from_numpy(np.sqrt(square.numpy()))
            weight.addcdiv_(mean, root.div_(scale).add_(_EPSILON), value=-size)

    @torch.no_grad()
    def clip(self, largest: float) -> None:
        """Shorten all gradients together to the norm ``largest`` where they are longer."""
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        norm = math.sqrt(sum(float(gradient.double().pow(2).sum()) for gradient in gradients))
        if norm > largest:
            for gradient in gradients:
                gradient.mul_(largest / norm)

    def forget_gradients(self) -> None:
        """Ready for the next batch."""
        for weight in self._weights:
            weight.grad = None

    def state(self) -> dict[str, Any]:
        """Everything that the next steps depend on."""
        return {"steps": self._steps, "means": self._means, "squares": self._squares}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self._steps = int(state["steps"])
        for own, kept in ((self._means, state["means"]), (self._squares, state["squares"])):
            for tensor, value in zip(own, kept, strict=True):
                tensor.copy_(value)
