"""An integer model: a program and its weights, in memory and on disk.

On disk it is a folder with ``program.json`` and ``weights.safetensors``, whose tensor names are
those of the program. Merkle roots and shards are the business of ``nexus_chain.commitments``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from nexus_chain.program.descriptors import Program, TensorSpec
from nexus_chain.program.errors import ModelFolderError, ProgramFormatError, TensorMismatchError
from nexus_chain.program.file_names import PROGRAM_FILE, WEIGHTS_FILE
from nexus_chain.program.fixed_point import EXP2_ONE, EXPONENT_LIMIT, LOG2_ONE, MANTISSA_MAX, PHI_ONE
from nexus_chain.program.op_kinds import PHI_NAME
from nexus_chain.program.reproduction import read_program
from nexus_chain.program.torch_dtypes import TORCH_DTYPES


@dataclass(frozen=True)
class IntegerModel:
    """A program with every weight it declares, exactly as declared."""

    program: Program
    weights: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        check_weights(self.program.weights, self.weights)
        check_weight_ranges(self.program.weights, self.weights)

    def save(self, folder: str | Path) -> None:
        """Write ``program.json`` and ``weights.safetensors`` into ``folder``, creating it.

        Raises :class:`ModelFolderError`; what was written until then stays, see ``staging.py``.
        """
        folder = Path(folder)
        ordered = {spec.name: self.weights[spec.name].contiguous() for spec in self.program.weights}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / PROGRAM_FILE).write_text(self.program.to_json() + "\n")
            save_file(ordered, folder / WEIGHTS_FILE)
        except (OSError, SafetensorError) as cause:
            size = sum(spec.nbytes for spec in self.program.weights)
            raise ModelFolderError(
                f"{folder} cannot take the model's {size / (1 << 20):.1f} MiB ({cause})",
                advice="Make room on the disk, or give another place with --out.",
            ) from cause

    @classmethod
    def load(cls, folder: str | Path) -> IntegerModel:
        """Read what :meth:`save` wrote; weights are memory-mapped.

        Raises :class:`ProgramFormatError`, :class:`UnreproducibleProgramError`, :class:`TensorMismatchError`.
        """
        folder = Path(folder)
        missing = [name for name in (PROGRAM_FILE, WEIGHTS_FILE) if not (folder / name).is_file()]
        if missing:
            raise ProgramFormatError(
                f"{folder} has no {missing[0]}", advice="Point to a folder written by `nexus model import`."
            )
        program = read_program((folder / PROGRAM_FILE).read_bytes())
        return cls(program, _read_weights(folder / WEIGHTS_FILE))


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as source:
            return {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as cause:
        raise ProgramFormatError(
            f"{path.name} is truncated or not a safetensors file ({cause})", advice="Import or download it again."
        ) from cause


def check_weights(specs: tuple[TensorSpec, ...], weights: Mapping[str, Tensor]) -> None:
    """Raise :class:`TensorMismatchError` unless ``weights`` holds exactly what ``specs`` declares."""
    declared = {spec.name for spec in specs}
    if extra := sorted(set(weights) - declared):
        raise TensorMismatchError(
            f"Tensor {extra[0]} is not part of the program", advice="Use the weights that belong to this program."
        )
    for spec in specs:
        tensor = weights.get(spec.name)
        found = "nothing" if tensor is None else f"{tensor.dtype} {tuple(tensor.shape)}"
        if tensor is None or tensor.dtype != TORCH_DTYPES[spec.dtype] or tuple(tensor.shape) != spec.shape:
            raise TensorMismatchError(
                f"Tensor {spec.name} should be {spec.dtype} {spec.shape} but the weights hold {found}",
                advice="Use the weights that belong to this program.",
            )


def read_weight(name: str, tensor: Tensor) -> Tensor:
    """A weight as ops read it, whatever its bits: the tensor itself where they are in the ranges of its name.

    Leaves out what every op does for itself: saturating biases and gains.
    """
    ranges = _ranges(name)
    if not ranges:
        return tensor
    low, high = (torch.tensor(bounds, dtype=tensor.dtype, device=tensor.device) for bounds in zip(*ranges, strict=True))
    read = torch.minimum(torch.maximum(tensor, low), high)
    return tensor if torch.equal(read, tensor) else read


def check_weight_ranges(specs: tuple[TensorSpec, ...], weights: Mapping[str, Tensor]) -> None:
    """Raise :class:`TensorMismatchError` where normalising a read would change a weight.

    Honest weights never do; :func:`read_weight` is what such others would be read as.
    """
    for spec in specs:
        for column, (low, high) in enumerate(_ranges(spec.name)):
            values = weights[spec.name] if spec.name.startswith("tables.") else weights[spec.name][:, column]
            outside = ((values < low) | (values > high)).nonzero()[:, 0].tolist()
            if outside:
                raise TensorMismatchError(
                    f"Tensor {spec.name} leaves [{low}, {high}] in row {outside[0]} ({len(outside)} rows in all)",
                    advice="Do not use these weights; import the model again.",
                )


def _ranges(name: str) -> tuple[tuple[int, int], ...]:
    """Allowed range of a table, or of each column of a scale; nothing for other weights."""
    if name == "tables.exp2":
        return ((0, EXP2_ONE),)
    if name == "tables.log2":
        return ((0, LOG2_ONE),)
    if name == PHI_NAME:
        return ((0, PHI_ONE),)
    if name.endswith(".scale"):
        return (0, MANTISSA_MAX), (-EXPONENT_LIMIT, EXPONENT_LIMIT)
    return ()
