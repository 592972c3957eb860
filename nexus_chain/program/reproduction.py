"""Whether a program is one that our builders make: the only programs that are published, served and audited.

A program may be hostile although all of its ops are well formed: ops can be wired so that the contract and the
engines read different things. So a program is judged as a whole. Shape, widths of rows, shifts of the embedding
tables and the names of matrices in two parts are read from the program itself; nothing else is the builders' choice.
The program is built anew from them, and every op and every weight must be the same. ``OPERATORS.md`` ("Whole
programs") lists what follows. Pure and cheap: a network of a hundred layers takes milliseconds.
"""

from __future__ import annotations

from itertools import zip_longest

from nexus_chain.program import blocks
from nexus_chain.program.blocks import EXPERT_MATRICES, HEAD, LAYER_INPUTS, LAYER_MATRICES
from nexus_chain.program.decoder import decoder_program
from nexus_chain.program.descriptors import ModelShape, Op, Program
from nexus_chain.program.encoder import EmbeddingShifts, encoder_program
from nexus_chain.program.errors import ProgramError, UnreproducibleProgramError
from nexus_chain.program.fixed_point import LEVELS
from nexus_chain.program.op_kinds import MAX_EXPERTS, MAX_SLOTS
from nexus_chain.program.recipe import ActivationBits

_WIDE = max(LEVELS)
_ADVICE = "Do not publish, serve or accuse anybody on this program: the contract may read it otherwise than nodes do."
#: The linear ops that read each kind of row, without the layer's prefix; whichever of them a program has.
_READERS = {
    "attention_input": ("attention.query",),
    "attention_output": ("attention.output",),
    "mlp_input": ("mlp.gate", "mlp.slots.0.gate", "mlp.up"),
    "down": ("mlp.down.0", "mlp.slots.0.down.0"),
}


def reproduce(program: Program) -> Program:
    """``program`` as a builder makes it: the same, with the role of each op.

    Raises :class:`UnreproducibleProgramError` unless a builder makes exactly ``program``; it names the first op.

    ``program`` has passed :meth:`Program.validate`.
    """
    if problem := _shape_problem(program):
        raise UnreproducibleProgramError(f"No builder makes this program: {problem}", advice=_ADVICE)
    try:
        rebuilt = _rebuilt(program)
    except ProgramError as cause:
        raise UnreproducibleProgramError(
            f"No builder makes a program of this shape: {cause.message}", advice=_ADVICE
        ) from cause
    if problem := _difference(program, rebuilt):
        raise UnreproducibleProgramError(f"The builders make another program: {problem}", advice=_ADVICE)
    return rebuilt


def read_program(text: str | bytes) -> Program:
    """The program in a file that anybody may have written.

    Raises :class:`ProgramFormatError` and :class:`UnreproducibleProgramError`.
    """
    return reproduce(Program.from_json(text))


def _rebuilt(program: Program) -> Program:
    """The program that the builders make of what ``program`` says about its shape, widths and shifts."""
    ops, shape = {op.name: op for op in program.ops}, program.shape
    wider = _wider(ops, shape)
    bits = ActivationBits(8, 8, 8, 8, _bits(ops, "head"))
    if shape.encoder:
        shifts = EmbeddingShifts(_param(ops, "embed", "shift"), _param(ops, "embed.position", "shift"))
        return encoder_program(program.name, shape, bits, shifts, wider)
    return decoder_program(program.name, shape, bits, _param(ops, "embed", "shift"), wider, _finer(ops, shape))


def _wider(ops: dict[str, Op], shape: ModelShape) -> tuple[str, ...]:
    """Names of the rows that have 15 bits, as recipes name them."""
    layers = shape.layers - 1 if shape.encoder else shape.layers
    return tuple(
        f"{layer}.{family}"
        for layer in range(layers)
        for family in LAYER_INPUTS
        if any(_bits(ops, f"layers.{layer}.{reader}") == _WIDE for reader in _READERS[family])
    )


def _finer(ops: dict[str, Op], shape: ModelShape) -> tuple[str, ...]:
    """Names of the matrices that have two parts, as recipes name them."""
    parts = dict.fromkeys(LAYER_MATRICES, "attention") | dict.fromkeys(EXPERT_MATRICES, "mlp")
    head = (HEAD,) if f"{HEAD}.remainder" in ops else ()
    return head + tuple(
        f"{layer}.{name}"
        for layer in range(shape.layers)
        for name in LAYER_MATRICES
        if f"layers.{layer}.{parts[name]}.{name}{'.0' if name == 'down' else ''}.remainder" in ops
    )


def _bits(ops: dict[str, Op], name: str) -> int:
    """15 where the op reads such rows, else 8: any other width is found when the ops are compared."""
    return _WIDE if _param(ops, name, "bits") == _WIDE else 8


def _param(ops: dict[str, Op], name: str, param: str) -> int:
    return ops[name].params.get(param, 0) if name in ops else 0


def _shape_problem(program: Program) -> str:
    """Why no network has this shape, or an empty string. Bounds the work of building it as well."""
    shape = program.shape
    if len(shape.windows) not in (0, shape.layers) or any(window < 0 for window in shape.windows):
        return f"{len(shape.windows)} windows of {shape.layers} layers, the least {min(shape.windows, default=0)}"
    if shape.rms_eps >= 1:
        return f"its norms add {shape.rms_eps} to what they divide by"
    if shape.heads % shape.kv_heads or shape.head_dim % 2:
        return f"{shape.heads} heads of {shape.head_dim} columns cannot share {shape.kv_heads} key heads"
    if not 0 <= shape.experts <= MAX_EXPERTS or not 0 <= shape.experts_per_token <= min(MAX_SLOTS, shape.experts):
        return f"a row cannot choose {shape.experts_per_token} of {shape.experts} experts"
    if bool(shape.experts) != bool(shape.experts_per_token):
        return f"a row chooses {shape.experts_per_token} of {shape.experts} experts"
    if shape.encoder and (shape.layers < 2 or shape.windows or shape.experts):
        return "an encoder has a layer besides the one that answers, and neither windows nor experts"
    chunks = -(-shape.ffn // blocks.DOWN_CHUNK)
    if shape.layers * chunks * max(1, shape.experts_per_token) > len(program.ops) + chunks:
        return f"{len(program.ops)} ops are too few for its shape"
    return ""


def _difference(program: Program, rebuilt: Program) -> str:
    """The first op, else the first weight, in which two programs differ, or an empty string."""
    for found, made in zip_longest(program.ops, rebuilt.ops):
        if found != made:
            return f"op {found.name if found else '(none)'} stands where they have {_described(found, made)}"
    for one, other in zip_longest(program.weights, rebuilt.weights):
        if one != other:
            return f"weight {one.name if one else '(none)'} stands where they have {other.name if other else 'none'}"
    return ""


def _described(found: Op | None, made: Op | None) -> str:
    """What the builders put where ``found`` stands: another op, or the fields in which theirs differs."""
    if found is None or made is None or found.name != made.name:
        return made.name if made else "none"
    parts = ("kind", "layer", "inputs", "outputs", "weights", "params")
    return f"one with other {', '.join(part for part in parts if getattr(found, part) != getattr(made, part))}"
