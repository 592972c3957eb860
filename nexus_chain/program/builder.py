"""Building an op list: weights declared once, row quantisation, linear ops.

What every family's program is made of (``decoder.py`` is one). It knows how ops are named and which
tensors they write, but no architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nexus_chain.program.descriptors import POSITIONS, Op, Role, TensorSpec
from nexus_chain.program.op_kinds import ROWS, layout_of

ACTIVATION_FRACTION = 12
RESIDUAL_FRACTION = 16
ROUTER_FRACTION = 15  # exponents of two enter `exp2n` with it

Outputs = Mapping[str, tuple[str, tuple[int, ...]]]  # name -> (type, shape)


@dataclass(frozen=True)
class ExpertChoice:
    """One slot of a ``route`` op: the names of its outputs, and its sizes."""

    index: str
    gate: str
    experts: int
    slots: int
    slot: int


@dataclass
class ProgramBuilder:
    """Collects ops and weights; remembers the layer and the part that the next op belongs to and its kind of rows.

    ``context`` is the largest number of positions, which sizes the tables of :meth:`implied`.
    """

    ops: list[Op] = field(default_factory=list)
    weights: dict[str, TensorSpec] = field(default_factory=dict)
    layer: int = 0
    part: str = ""
    rows: int = POSITIONS
    context: int = 0

    def weight(self, name: str, dtype: str, *shape: int) -> str:
        """Declare a weight, once; its name."""
        self.weights.setdefault(name, TensorSpec(name, dtype, shape))
        return name

    def table(self, spec: TensorSpec) -> str:
        """Declare a committed table; its name."""
        return self.weight(spec.name, spec.dtype, *spec.shape)

    def add(
        self,
        kind: str,
        name: str,
        inputs: tuple[str, ...],
        outputs: Outputs,
        weights: tuple[str, ...] = (),
        *,
        matrix: str = "",
        chunk: int = 0,
        remainder: bool = False,
        **params: int,
    ) -> tuple[str, ...]:
        """Append an op of the current layer and part; its outputs.

        ``matrix``, ``chunk`` and ``remainder`` complete its role (:class:`Role`).
        """
        specs = tuple(TensorSpec(tensor, dtype, shape) for tensor, (dtype, shape) in outputs.items())
        role = Role(self.part, matrix, chunk, remainder)
        self.ops.append(Op(kind, name, self.layer, inputs, specs, weights, params, role))
        return tuple(outputs)

    def implied(self, kind: str, name: str, inputs: tuple[str, ...], *weights: str, **params: int) -> tuple[str, ...]:
        """Append an op whose tensors follow from its parameters: outputs ``name.0`` and on, weights as named."""
        layout = layout_of(kind, params, self.context)
        for weight, (dtype, shape, _) in zip(weights, layout.weights, strict=True):
            self.weight(weight, dtype, *shape)
        outputs = {
            f"{name}.{number}": (dtype, tuple(self.rows if size == ROWS else size for size in shape))
            for number, (dtype, shape) in enumerate(layout.outputs)
        }
        return self.add(kind, name, inputs, outputs, weights, matrix="", chunk=0, remainder=False, **params)

    def row_max(self, name: str, source: str, start: int, stop: int) -> str:
        """Largest magnitude of every row's columns [start, stop)."""
        outputs = {f"{name}.max": ("i32", (self.rows,))}
        return self.add("row_max", f"{name}.row_max", (source,), outputs, start=start, stop=stop)[0]

    def quantise(self, name: str, source: str, largest: str, start: int, stop: int, bits: int) -> str:
        """Columns [start, stop) in units of ``largest`` over the levels of ``bits`` (8 or 15)."""
        planes = (2,) if bits == 15 else ()
        outputs = {f"{name}.q": ("i8", (self.rows, *planes, stop - start))}
        inputs = (source, largest)
        return self.add("quantise", f"{name}.quantise", inputs, outputs, start=start, stop=stop, bits=bits)[0]

    def scaled_rows(self, name: str, source: str, start: int, stop: int, bits: int) -> tuple[str, str, str]:
        """Rows quantised by their own largest element: names of (q, m, e)."""
        largest = self.row_max(name, source, start, stop)
        outputs = {f"{name}.m": ("i32", (self.rows,)), f"{name}.e": ("i32", (self.rows,))}
        m, e = self.add("row_scale", f"{name}.row_scale", (largest,), outputs)
        return self.quantise(name, source, largest, start, stop, bits), m, e

    def linear(
        self,
        name: str,
        rows: tuple[str, str, str],
        size: tuple[int, int],
        bits: int,
        *,
        matrix: str = "",
        chunk: int = 0,
        remainder: bool = False,
        bias: bool = False,
        residual: str | None = None,
        output: str | None = None,
        fraction: int | None = None,
    ) -> str:
        """A product with an int8 matrix, its output's name.

        ``size`` is (output rows N, columns K); with ``residual`` the product is added to that tensor.
        ``matrix``, ``chunk`` and ``remainder`` say which matrix of the network it is (:class:`Role`).
        ``fraction`` is that of activations or of the residual unless it is given.
        """
        count, columns = size
        weights = [self.weight(f"{name}.weight", "i8", count, columns), self.weight(f"{name}.scale", "i32", count, 2)]
        if bias:
            weights.append(self.weight(f"{name}.bias", "i32", count))
        inputs = rows if residual is None else (*rows, residual)
        usual = ACTIVATION_FRACTION if residual is None else RESIDUAL_FRACTION
        return self.add(
            "linear",
            name,
            inputs,
            {output or f"{name}.output": ("i32", (self.rows, count))},
            tuple(weights),
            matrix=matrix,
            chunk=chunk,
            remainder=remainder,
            rows=count,
            columns=columns,
            bits=bits,
            fraction=usual if fraction is None else fraction,
            bias=int(bias),
            residual=int(residual is not None),
        )[0]

    def expert_linear(
        self,
        name: str,
        rows: tuple[str, str, str],
        size: tuple[int, int],
        bits: int,
        choice: ExpertChoice,
        *,
        matrix: str = "",
        chunk: int = 0,
        matrices: str,
        residual: str | None = None,
        output: str | None = None,
    ) -> str:
        """A product with the matrix of the expert that a slot chose, its output's name.

        ``matrices`` names every expert's matrix, with ``{}`` for its number. With ``residual`` the product
        times the slot's gate is added to that tensor.
        """
        count, columns = size
        weights: list[str] = []
        for expert in range(choice.experts):
            prefix = matrices.format(expert)
            weights.append(self.weight(f"{prefix}.weight", "i8", count, columns))
            weights.append(self.weight(f"{prefix}.scale", "i32", count, 2))
        combined = () if residual is None else (choice.gate, residual)
        return self.add(
            "expert_linear",
            name,
            (*rows, choice.index, *combined),
            {output or f"{name}.output": ("i32", (self.rows, count))},
            tuple(weights),
            matrix=matrix,
            chunk=chunk,
            rows=count,
            columns=columns,
            bits=bits,
            fraction=ACTIVATION_FRACTION if residual is None else RESIDUAL_FRACTION,
            experts=choice.experts,
            slots=choice.slots,
            slot=choice.slot,
            combine=int(residual is not None),
        )[0]
