"""What one element of an op depends on; a module per op kind, named like its Solidity library.

Each has ``needed``, the cells that an element depends on. A kind whose step is dear says so in ``GAS_PER_ENTRY``:
the parameter that counts the entries one step works on, and gas for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec

from nexus_chain.disputes.step import Needed, Step
from nexus_chain.program.op_kinds import KINDS, collect

#: Kinds that one step does not decide: attention has moves of its own.
SEVERAL_STEPS = frozenset({"attention"})
_MODULES = {kind: import_module(f"{__name__}.{kind}") for kind in KINDS if find_spec(f"{__name__}.{kind}")}
_FOUND: Mapping[str, Callable[[Step], Needed]] = {
    kind: module.needed for kind, module in _MODULES.items() if hasattr(module, "needed")
}

NEEDED = collect(_FOUND, "nexus_chain.disputes.operators", without=SEVERAL_STEPS)
"""Kinds that one step decides."""
GAS_PER_ENTRY: Mapping[str, tuple[str, int]] = {
    kind: getattr(module, "GAS_PER_ENTRY", ("", 0)) for kind, module in _MODULES.items()
}
"""Of every kind: the parameter that counts what one step works on, and gas for each; ("", 0) for the cheap ones."""
