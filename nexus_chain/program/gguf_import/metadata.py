"""A GGUF file as it is: its metadata by key, its tensors by name, and what makes the whole file one that is not read.

It does not know what tensors and keys mean to a network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, ReaderField, ReaderTensor
from numpy.typing import NDArray

from nexus_chain.program.errors import CheckpointFileError, CheckpointLayoutError

#: Tensor types that are read.
TENSOR_TYPES = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K")
NETWORKS = ("llama", "mistral", "qwen2", "qwen3")
ANOTHER_FILE = "Import the original checkpoint, or another GGUF file of the model."


class GgufFile:
    """An open GGUF file of a supported architecture whose tensors all have supported types.

    Raises :class:`CheckpointLayoutError`, which names what is not supported, and :class:`CheckpointFileError`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = _opened(path)
        self.tensors: dict[str, ReaderTensor] = {tensor.name: tensor for tensor in self._reader.tensors}
        self._require_order()
        self.network = str(self.value("general.architecture", ""))
        self._require_network()
        self._require_whole()
        self._require_types()

    def value(self, key: str, default: Any = None) -> Any:
        """The value of a key as plain Python; ``default`` without one."""
        field: ReaderField | None = self._reader.get_field(key)
        return default if field is None else self._contents(field)

    def of_network(self, key: str, default: Any = None) -> Any:
        """The value of a key that the architecture's name is put before."""
        return self.value(f"{self.network}.{key}", default)

    def keys(self, prefix: str) -> list[str]:
        """What follows ``prefix`` in the keys that begin with it."""
        return [key.removeprefix(prefix) for key in self._reader.fields if key.startswith(prefix)]

    def refuse(self, message: str, advice: str = ANOTHER_FILE) -> NoReturn:
        """Raise :class:`CheckpointLayoutError` about this file."""
        raise CheckpointLayoutError(f"{self.path.name}: {message}", advice=advice)

    def _contents(self, field: ReaderField) -> Any:
        try:
            return field.contents()
        except (ValueError, IndexError) as cause:  # a text that is no UTF-8, too
            raise CheckpointFileError(
                f"{self.path.name}: the value of {field.name} cannot be read ({cause})", advice="Download it again."
            ) from cause

    def _require_order(self) -> None:
        if self._reader.byte_order == "S":
            self.refuse("its numbers are big endian, only little endian files are read")

    def _require_network(self) -> None:
        if self.network not in NETWORKS:
            self.refuse(
                f"general.architecture is {self.network or 'missing'!r}, which is not supported",
                f"Import a file of one of: {', '.join(NETWORKS)}.",
            )
        if (kind := self.value("general.type", "model")) != "model":
            self.refuse(f"general.type is {kind!r}, only a whole 'model' can be imported")
        if experts := self.of_network("expert_count", 0):
            self.refuse(f"{self.network}.expert_count is {experts}; experts are not read from GGUF files")

    def _require_whole(self) -> None:
        if (parts := int(self.value("split.count", 1))) > 1:
            self.refuse(
                f"split.count is {parts}: the model is split over {parts} files, and this is one of them",
                "Merge them with llama.cpp's `llama-gguf-split --merge`, then import the one file.",
            )

    def _require_types(self) -> None:
        for tensor in self.tensors.values():
            if tensor.tensor_type.name not in TENSOR_TYPES:
                self.refuse(
                    f"tensor {tensor.name} has type {tensor.tensor_type.name}, which is not supported",
                    f"Import a file with tensors of these types only: {', '.join(TENSOR_TYPES)}.",
                )


def shape_of(tensor: ReaderTensor) -> tuple[int, ...]:
    """Rows and columns; GGUF files write them the other way round."""
    return tuple(int(size) for size in reversed(tensor.shape.tolist()))


def type_of(tensor: ReaderTensor) -> GGMLQuantizationType:
    """The tensor's type."""
    return GGMLQuantizationType(tensor.tensor_type)


class _Reader(GGUFReader):
    """Keeps a plain view of the file: every piece of a memory map is one itself, and slow to make."""

    @property  # type: ignore[override]  # the library says that a memory map stands there
    def data(self) -> NDArray[np.uint8]:
        return self._plain

    @data.setter
    def data(self, mapped: NDArray[np.uint8]) -> None:
        self._plain = mapped.view(np.ndarray)


def _opened(path: Path) -> GGUFReader:
    try:
        with np.errstate(all="ignore"):
            return _Reader(path)
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError, TypeError) as cause:
        raise CheckpointFileError(
            f"{path.name} ({path.stat().st_size} bytes) is truncated or not a GGUF file ({cause})",
            advice="Download it again.",
        ) from cause
