"""What a model's folder or a shard's file holds, what serving it takes, and whether every byte of it is right."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nexus_chain.commitments.block_index import BlockIndex, index_path
from nexus_chain.commitments.errors import TensorBlockError
from nexus_chain.commitments.tensor_block import load_tensor_block, page_margin
from nexus_chain.commitments.weights import ModelCommitment
from nexus_chain.engine.stream_plan import least_limit
from nexus_chain.planning.demand import Demand, Load, ModelDemand
from nexus_chain.program import IntegerModel, Program, TensorSpec
from nexus_chain.program.errors import ProgramFormatError
from nexus_chain.program.file_names import PROGRAM_FILE
from nexus_chain.program.reproduction import read_program
from nexus_chain.workflows.observer import SILENT, TaskObserver

if TYPE_CHECKING:
    from nexus_chain.workflows.library import ModelLibrary  # inspecting needs no chain


@dataclass(frozen=True)
class Held:
    """What lies at a place: layers of a program, and the roots it claims (``known``: computed from the bytes)."""

    kind: str
    program: Program
    layers: tuple[int, int]
    weights_root: bytes
    program_root: bytes
    known: bool

    @property
    def weights(self) -> list[TensorSpec]:
        """Every weight of the layers."""
        return list(self.program.weights_of(*self.layers))

    def bytes_by_layer(self) -> list[int]:
        """Bytes of weights of each layer held."""
        return [sum(spec.nbytes for spec in self.program.weights_of(n, n + 1)) for n in range(*self.layers)]

    def ops(self) -> dict[str, int]:
        """How many ops of each kind the layers take."""
        return dict(sorted(Counter(op.kind for op in self.program.segment(*self.layers)).items()))

    def demand(self, load: Load) -> Demand:
        """The memory that serving takes. Raises PlanInputError."""
        return ModelDemand(self.program, load).of(*self.layers)

    def least_memory_limit(self) -> int:
        """The least limit, bytes, under which the layers run from disk."""
        size = sum(spec.nbytes for spec in self.weights)
        return least_limit(self.program, *self.layers, margin=page_margin(size))


@dataclass(frozen=True)
class VerifiedPlace:
    """What lies at a place, every byte of it checked against ``weights_root``; ``size`` in bytes."""

    layers: tuple[int, int]
    size: int
    weights_root: bytes
    program_root: bytes


def read_place(place: Path, observer: TaskObserver = SILENT) -> Held:
    """A shard's index, or an integer model's folder with its roots computed. Raises the readers' errors."""
    if place.is_dir():
        model = IntegerModel.load(place)
        with observer.stage(f"Hashing {place}"):
            roots = ModelCommitment.of(model)
        layers = (0, model.program.shape.layers)
        return Held("model", model.program, layers, roots.weights_root, roots.program_root, known=True)
    index = BlockIndex.read(index_path(place))
    return Held("shard", index.program, index.layers, index.claimed_root, index.program_root, known=False)


def read_program_at(place: Path) -> Program:
    """The program of a shard or of an integer model's folder, without its weights. Raises the readers' errors."""
    if not place.is_dir():
        return BlockIndex.read(index_path(place)).program
    if not (place / PROGRAM_FILE).is_file():
        raise ProgramFormatError(
            f"{place} has no {PROGRAM_FILE}", advice="Point to a folder written by `nexus model import`."
        )
    return read_program((place / PROGRAM_FILE).read_bytes())


def registered_roots(library: ModelLibrary, wanted: str) -> tuple[bytes, bytes]:
    """Weights root and program root of the version whose id starts with ``wanted``. Raises ModelFilesError."""
    version = library.record_of(library.choose(wanted))
    return version.weights_root, version.program_root


def verify_place(
    place: Path, weights_root: bytes, program_root: bytes | None, observer: TaskObserver = SILENT
) -> VerifiedPlace:
    """Check every byte at ``place``. ``program_root`` None: any program.

    Raises TensorBlockError and TamperedTensorError.
    """
    with observer.stage(f"Verifying {place}"):
        if place.is_dir():
            return _verify_folder(place, weights_root, program_root)
        block = load_tensor_block(place, weights_root, program_root)
        layers = (block.layer_start, block.layer_end)
        return VerifiedPlace(layers, block.nbytes, weights_root, block.commitment.program_root)


def _verify_folder(place: Path, weights_root: bytes, program_root: bytes | None) -> VerifiedPlace:
    held = read_place(place)
    for name, found, wanted in (
        ("weights", held.weights_root, weights_root),
        ("program", held.program_root, program_root or held.program_root),
    ):
        if found != wanted:
            raise TensorBlockError(
                f"{place} has {name} root {found.hex()}, not {wanted.hex()}",
                advice="Import the checkpoint again, or download the registered version.",
            )
    size = sum(spec.nbytes for spec in held.program.weights)
    return VerifiedPlace(held.layers, size, weights_root, held.program_root)
