"""The float model of a checkpoint, as ``transformers`` runs it: logits, and what its channels carry.

``transformers`` holds the experts of a layer in one module. Here the down projection of each has a name of its
own all the same (see :func:`down_projection`), and can be observed and read like any module.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nexus_chain.program.checkpoint import Checkpoint
from nexus_chain.program.hugging_face import computed_fields
from nexus_chain.quality.errors import FloatModelError

Observer = Callable[[Tensor], None]  # is given rows float32[T, channels]
_InputHook = Callable[[Any, tuple[Tensor, ...]], None]  # is given a module and what it is called with
_REPAIR = "Update or repair the checkpoint, or import it --unmeasured."
_EXPERT = re.compile(r"(.+\.experts)\.(\d+)\.down_proj")


def down_projection(layer: int, expert: int | None) -> str:
    """Name of the down projection of an expert, or of a dense decoder's layer (None)."""
    return f"model.layers.{layer}.mlp.{'' if expert is None else f'experts.{expert}.'}down_proj"


class FloatModel:
    """A causal language model in float32, with the very tensors that an import reads.

    Raises :class:`FloatModelError` where it cannot be loaded, or where ``transformers`` would make up a tensor.
    """

    def __init__(self, folder: Path) -> None:
        self._model: Any = load_float_model(folder, only_computed=True)

    @torch.no_grad()
    def logits(self, tokens: Tensor) -> Tensor:
        """float32[T, vocab] after each of the tokens i32[T]. Raises FloatModelError."""
        try:
            found: Tensor = self._model(input_ids=tokens[None].long(), use_cache=False).logits[0]
        except Exception as cause:
            raise FloatModelError(
                f"transformers cannot run the float model ({type(cause).__name__}: {cause})", advice=_REPAIR
            ) from cause
        return found

    def weight(self, name: str) -> Tensor:
        """A module's weight, float32."""
        expert = _EXPERT.fullmatch(name)
        module = self._model.get_submodule(expert[1] if expert else name)
        found: Tensor = module.down_proj[int(expert[2])] if expert else module.weight
        return found.detach()

    def observe(
        self,
        windows: Sequence[Tensor],
        inputs: Mapping[str, Observer],
        outputs: Mapping[str, Observer],
        *,
        routed: bool = True,
    ) -> None:
        """Run the windows (i64[n + 1]) and show observers the input or output rows of the modules they name.

        An expert's observer sees the rows that choose the expert. With ``routed`` false it sees what the expert makes
        of every row.
        """
        with self._hooks(inputs, outputs, routed):
            for window in windows:
                self.logits(window[:-1])

    @contextmanager
    def _hooks(self, inputs: Mapping[str, Observer], outputs: Mapping[str, Observer], routed: bool) -> Iterator[None]:
        handles: list[Any] = []
        try:
            for name, hook in _input_hooks(inputs, routed).items():
                handles.append(self._model.get_submodule(name).register_forward_pre_hook(hook))
            for name, observer in outputs.items():
                handles.append(self._model.get_submodule(name).register_forward_hook(_after(observer)))
            yield
        finally:
            for handle in handles:
                handle.remove()


def load_float_model(folder: Path, *, only_computed: bool = False) -> Any:
    """The causal language model of a checkpoint in float32, as ``transformers`` runs it, ready to be evaluated.

    ``only_computed``: leaves out what the configuration says beside the network that is evaluated, of training for one.
    Raises :class:`FloatModelError` where it cannot be loaded, or where ``transformers`` would make up a tensor.
    """
    from transformers import AutoModelForCausalLM  # takes seconds to import
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        checkpoint = Checkpoint(folder)
        names = {f"^{re.escape(stored)}$": name for stored, name in checkpoint.renamed.items()}
        loading: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            config=_configuration(checkpoint.config) if only_computed else None,
            dtype=torch.float32,
            local_files_only=True,
            key_mapping=names or None,
            output_loading_info=True,
        )
    except Exception as cause:
        raise FloatModelError(f"transformers cannot load {folder} ({cause})", advice=_REPAIR) from cause
    if absent := sorted(loading[1]["missing_keys"]):
        raise FloatModelError(
            f"transformers finds no {absent[0]} in {folder} ({len(absent)} in all) and would make it up",
            advice="Save the model again with save_pretrained, or import it --unmeasured.",
        )
    return loading[0]


def _configuration(config: Mapping[str, Any]) -> Any:
    """The configuration as ``transformers`` has it, without the fields that change nothing of what is computed: a way
    of attention that is not installed, or a padding token beyond the vocabulary, would end the comparison.
    """
    from transformers import AutoConfig

    kind, fields = computed_fields(config)
    # A Ministral without a window is a Mistral, which needs none.
    if kind == "ministral" and set(fields.get("layer_types") or ()) == {"full_attention"}:
        kind, fields = "mistral", {**fields, "layer_types": None, "sliding_window": None}
    return AutoConfig.for_model(kind, **fields)


@dataclass(frozen=True)
class _ExpertHook:
    """Shows observers, by number of an expert, the hidden rows that its down projection reads."""

    observers: Mapping[int, Observer]
    routed: bool

    def __call__(self, module: Any, given: tuple[Tensor, ...]) -> None:
        rows, chosen = given[:2]  # float32[T, width], experts i64[T, slots]
        for expert, observer in self.observers.items():
            shown = rows[(chosen == expert).any(dim=1)] if self.routed else rows
            if len(shown):
                gate, up = (shown @ module.gate_up_proj[expert].T).chunk(2, dim=1)
                observer(module.act_fn(gate) * up)


def _input_hooks(inputs: Mapping[str, Observer], routed: bool) -> dict[str, _InputHook]:
    """Hooks by module; the observers of a layer's experts share one."""
    experts: defaultdict[str, dict[int, Observer]] = defaultdict(dict)
    hooks: dict[str, _InputHook] = {}
    for name, observer in inputs.items():
        if expert := _EXPERT.fullmatch(name):
            experts[expert[1]][int(expert[2])] = observer
        else:
            hooks[name] = _before(observer)
    return hooks | {name: _ExpertHook(observers, routed) for name, observers in experts.items()}


def _before(observer: Observer) -> _InputHook:
    return lambda _, given: observer(given[0][0])


def _after(observer: Observer) -> Callable[[Any, Any, Tensor], None]:
    return lambda _, given, found: observer(found[0])
