"""The float model of a checkpoint, as ``transformers`` runs it: logits, and what its channels carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nexus_chain.quality.errors import FloatModelError

Observer = Callable[[Tensor], None]  # is given rows float32[T, channels]


class FloatModel:
    """A causal language model in float32. Raises :class:`FloatModelError` where it cannot be loaded."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM  # takes seconds to import
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]

        try:
            self._model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError, MemoryError) as cause:
            raise FloatModelError(
                f"transformers cannot load {folder} ({cause})",
                advice="Update or repair the checkpoint, or import it --unmeasured.",
            ) from cause

    @torch.no_grad()
    def logits(self, tokens: Tensor) -> Tensor:
        """float32[T, vocab] after each of the tokens i32[T]."""
        found: Tensor = self._model(input_ids=tokens[None].long(), use_cache=False).logits[0]
        return found

    def weight(self, name: str) -> Tensor:
        """A module's weight, float32."""
        found: Tensor = self._model.get_submodule(name).weight.detach()
        return found

    def observe(
        self, windows: Sequence[Tensor], inputs: Mapping[str, Observer], outputs: Mapping[str, Observer]
    ) -> None:
        """Run the windows (i64[n + 1]) and show observers the input or output rows of the modules they name."""
        with self._hooks(inputs, outputs):
            for window in windows:
                self.logits(window[:-1])

    @contextmanager
    def _hooks(self, inputs: Mapping[str, Observer], outputs: Mapping[str, Observer]) -> Iterator[None]:
        handles: list[Any] = []
        try:
            for name, observer in inputs.items():
                handles.append(self._model.get_submodule(name).register_forward_pre_hook(_before(observer)))
            for name, observer in outputs.items():
                handles.append(self._model.get_submodule(name).register_forward_hook(_after(observer)))
            yield
        finally:
            for handle in handles:
                handle.remove()


def _before(observer: Observer) -> Callable[[Any, tuple[Tensor, ...]], None]:
    return lambda _, given: observer(given[0][0])


def _after(observer: Observer) -> Callable[[Any, Any, Tensor], None]:
    return lambda _, given, found: observer(found[0])
