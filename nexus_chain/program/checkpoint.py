"""Reading a Hugging Face checkpoint folder: configuration, safetensors (single or sharded), checks.

Everything that can be wrong with the files is found here, with the tensor and the rows named.
It does not know what the tensors mean; that is the business of ``families``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nexus_chain.json_text import parse_json
from nexus_chain.program.errors import (
    CheckpointFileError,
    CheckpointLayoutError,
    NonFiniteWeightError,
    TensorMismatchError,
)
from nexus_chain.program.file_names import ADAPTER_CONFIG_FILE
from nexus_chain.program.tensor_names import stored_names

#: Names of the files of a checkpoint's folder.
SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
BLOCK_ELEMENTS = 1 << 22  # of a matrix that is read some rows at a time: 32 MiB of float64
NAMED_ROWS = 4  # rows that an error message lists before it counts the rest
DOWNLOAD_AGAIN = "Download or save the checkpoint again."


@dataclass(frozen=True)
class MatrixSource:
    """A matrix in a checkpoint: a tensor, or ``rows`` [start, stop) of one plane of a stack of matrices."""

    tensor: str
    plane: int | None = None
    rows: tuple[int, int] | None = None


class Checkpoint:
    """A checkpoint whose tensors have exactly the expected names and shapes; values are read on demand.

    Names are those that :func:`expected_name` makes of the stored ones.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        _require_no_adapter(self.folder)
        self.config = _read_config(self.folder)
        files = _tensor_files(self.folder)
        self._stored = stored_names(files)
        self._files = {name: files[stored] for name, stored in self._stored.items()}

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    @property
    def renamed(self) -> dict[str, str]:
        """The name here of every tensor that is stored under another one."""
        return {stored: name for name, stored in self._stored.items() if stored != name}

    def require(self, shapes: Mapping[str, tuple[int, ...]], ignored: Iterable[str] = ()) -> None:
        """Raise :class:`TensorMismatchError` unless the files hold exactly ``shapes``, floating point."""
        found = set(self._files) - {name for name in self._files if name.endswith(tuple(ignored))}
        extra = sorted(found - set(shapes))
        if missing := sorted(set(shapes) - found):
            instead = self._instead(extra)
            raise TensorMismatchError(
                f"{_listed(missing)} missing from the checkpoint, which its configuration requires{instead}",
                advice="Check that config.json belongs to these weights, or download the missing shard.",
            )
        if extra:
            raise TensorMismatchError(
                f"{_listed(extra)} in the checkpoint, which its configuration does not explain",
                advice="Check that config.json belongs to these weights and that no adapter is mixed in.",
            )
        for name, shape in shapes.items():
            self._require_layout(name, shape)

    def read(self, name: str) -> Tensor:
        """A tensor as float64; :class:`NonFiniteWeightError` names the rows with NaN or infinity."""
        with _opened(self._files[name]) as source:
            return _finite(name, source.get_tensor(self._stored[name]).to(torch.float64), 0)

    def blocks(
        self, matrix: str | MatrixSource, columns: tuple[int, int] | None = None
    ) -> Iterator[tuple[int, Tensor]]:
        """(first row, rows f64[n, K]) of a matrix in turn, of its columns [start, stop) only where given.

        Rounding needs float64, which is eight times the int8 result; some rows at a time need little.
        Raises :class:`NonFiniteWeightError` as :meth:`read` does.
        """
        chosen = MatrixSource(matrix) if isinstance(matrix, str) else matrix
        with _opened(self._files[chosen.tensor]) as source:
            view = source.get_slice(self._stored[chosen.tensor])
            *_, height, width = view.get_shape()
            (begin, end), (first, last) = chosen.rows or (0, height), columns or (0, width)
            step = max(1, BLOCK_ELEMENTS // (last - first))
            for start in range(begin, end, step):
                part = slice(start, min(start + step, end)), slice(first, last)
                rows = view[part] if chosen.plane is None else view[chosen.plane, *part]
                yield start - begin, _finite(chosen.tensor, rows.to(torch.float64), start)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all tensors, sorted."""
        return tuple(sorted(self._files))

    def dtype(self, name: str) -> torch.dtype:
        """The type that a tensor is stored in. Raises :class:`TensorMismatchError` unless it is a float."""
        with _opened(self._files[name]) as source:
            found = source.get_slice(self._stored[name]).get_dtype()
        if found not in FLOATS:
            raise _no_float(name, found)
        return FLOATS[found]

    def holds(self, name: str) -> bool:
        """Whether a tensor of this name is in the checkpoint."""
        return name in self._files

    def rename(self, name: str, new: str) -> None:
        """Know the tensor ``name`` as ``new`` from now on, of which there is none yet."""
        self._stored[new], self._files[new] = self._stored.pop(name), self._files.pop(name)

    def parameters(self) -> int:
        """Number of stored weights; a tied head is not stored twice."""
        total = 0
        for path in sorted(set(self._files.values())):
            with _opened(path) as source:
                total += sum(prod(source.get_slice(name).get_shape()) for name in source.keys())  # noqa: SIM118
        return total

    def _instead(self, names: list[str]) -> str:
        """What the checkpoint holds that nobody expects, as it spells it."""
        if not names:
            return ""
        shown = ", ".join(self._stored[name] for name in names[:NAMED_ROWS])
        return f"; it holds {len(names)} that are not expected, such as {shown}"

    def _require_layout(self, name: str, shape: tuple[int, ...]) -> None:
        with _opened(self._files[name]) as source:
            view = source.get_slice(self._stored[name])
            found, dtype = tuple(view.get_shape()), view.get_dtype()
        if found != shape:
            raise TensorMismatchError(
                f"Tensor {name} has shape {found} but config.json makes it {shape}{_row_difference(found, shape)}",
                advice="Use the config.json that belongs to these weights.",
            )
        if dtype not in FLOATS:
            raise _no_float(name, dtype)


def _no_float(name: str, dtype: str) -> TensorMismatchError:
    return TensorMismatchError(
        f"Tensor {name} has type {dtype}, not one of {', '.join(FLOATS)}",
        advice="Save the model unquantised, in float32, float16 or bfloat16.",
    )


def _finite(name: str, values: Tensor, start: int) -> Tensor:
    """``values``, the rows of a tensor from ``start`` on. Raises NonFiniteWeightError."""
    finite = torch.isfinite(values)
    if not bool(finite.all()):
        rows = (~finite).reshape(values.shape[0], -1).any(dim=1).nonzero()[:, 0] + start
        raise NonFiniteWeightError(
            f"Tensor {name} holds NaN or infinity in {_rows(rows.tolist())}",
            advice="Repair these rows or train again; an integer program has no NaN.",
        )
    return values


def _require_no_adapter(folder: Path) -> None:
    """Raise for an adapter, alone or beside a whole model: ``transformers`` would run the model with it."""
    if (path := folder / ADAPTER_CONFIG_FILE).is_file():
        raise CheckpointLayoutError(
            f"{folder} holds an adapter ({path.name}{_base_of(path)}), which is no model of its own",
            advice="Merge it into its base with peft's merge_and_unload, and save that; or remove the adapter's files.",
        )


def _base_of(adapter: Path) -> str:
    try:
        base = parse_json(adapter.read_bytes())["base_model_name_or_path"]
    except (ValueError, OSError, KeyError, TypeError):
        return ""
    return f" of {base}" if isinstance(base, str) else ""


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointLayoutError(
            f"{folder} has no config.json", advice="Point to the folder of a Hugging Face checkpoint."
        )
    try:
        config = parse_json(path.read_bytes())
    except ValueError as cause:
        raise CheckpointLayoutError(f"{path} is not JSON ({cause})", advice=DOWNLOAD_AGAIN) from cause
    if not isinstance(config, dict):
        raise CheckpointLayoutError(f"{path} does not hold a JSON object", advice=DOWNLOAD_AGAIN)
    return config


def weight_files(folder: Path) -> tuple[str, ...]:
    """Names of the files that hold a checkpoint's weights: the single one, else the index and its shards by name.

    A folder may have both; ``transformers`` reads the single file of such a one, and so does everybody here. No tensor
    is read. Raises :class:`CheckpointLayoutError` where there are none or a shard is missing.
    """
    if (folder / SINGLE_FILE).is_file():
        return (SINGLE_FILE,)
    if not (folder / INDEX_FILE).is_file():
        raise CheckpointLayoutError(
            f"{folder} has neither {SINGLE_FILE} nor {INDEX_FILE}",
            advice="Save the model with save_pretrained; pickled .bin weights are not read.",
        )
    return (INDEX_FILE, *sorted(set(_weight_map(folder).values())))


def holds_checkpoint(folder: Path) -> bool:
    """Whether every file of weights is there; none is opened."""
    try:
        return bool(weight_files(folder))
    except CheckpointLayoutError:
        return False


def _tensor_files(folder: Path) -> dict[str, Path]:
    """Which file holds which tensor."""
    first, *shards = weight_files(folder)
    if not shards:
        with _opened(folder / first) as source:
            return dict.fromkeys(source.keys(), folder / first)
    files = {name: folder / shard for name, shard in _weight_map(folder).items()}
    _check_shards(files)
    return files


def _weight_map(folder: Path) -> dict[str, str]:
    """Which shard holds which tensor, as the index says; every shard is in the folder, and there is one."""
    try:
        index = parse_json((folder / INDEX_FILE).read_bytes())["weight_map"]
        shards = {str(name): str(shard) for name, shard in index.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise CheckpointLayoutError(
            f"{INDEX_FILE} has no weight map ({cause!r})", advice="Download the index of the checkpoint again."
        ) from cause
    if not shards:
        raise CheckpointLayoutError(f"{INDEX_FILE} names no tensor", advice=DOWNLOAD_AGAIN)
    for shard in sorted(set(shards.values())):
        if Path(shard).name != shard or not (folder / shard).is_file():
            raise CheckpointLayoutError(
                f"{INDEX_FILE} names {shard}, which is not in the folder", advice="Download the missing shard."
            )
    return shards


def _check_shards(files: Mapping[str, Path]) -> None:
    """Raise unless every shard holds the tensors that the index (``files``) puts there, and no others."""
    unnamed: list[tuple[str, Path]] = []
    for path in sorted(set(files.values())):
        names = {name for name, file in files.items() if file == path}
        with _opened(path) as source:
            held = set(source.keys())
        if absent := sorted(names - held):
            raise TensorMismatchError(
                f"{_listed(absent)} missing from {path.name}, where {INDEX_FILE} says it is", advice=DOWNLOAD_AGAIN
            )
        unnamed += [(name, path) for name in sorted(held - names)]
    if unnamed:
        name, path = unnamed[0]
        raise TensorMismatchError(
            f"{_listed([name])} in {path.name}, where {INDEX_FILE} does not put it",
            advice="Save the model again, so that its index names every tensor.",
        )


def _opened(path: Path) -> safe_open:
    """Open a safetensors file; a truncated one is refused here, because its header states its length."""
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as cause:
        size = path.stat().st_size if path.is_file() else 0
        raise CheckpointFileError(
            f"{path.name} ({size} bytes) is truncated or not a safetensors file: {cause}{_first_truncated(path)}",
            advice=DOWNLOAD_AGAIN,
        ) from cause


def _first_truncated(path: Path) -> str:
    """Which tensor and rows a cut-off file still announces but no longer holds, if its header is whole."""
    try:
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        header = parse_json(content[8:start])
        left = len(content) - start
        entries = sorted((entry["data_offsets"], name) for name, entry in header.items() if name != "__metadata__")
        for (begin, end), name in entries:
            if end > left:
                rows = int(header[name]["shape"][0])
                whole = max(0, left - begin) * rows // (end - begin)
                return f"; tensor {name} is cut off from row {whole} of {rows}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, ZeroDivisionError):
        return ""  # a header that makes no sense says nothing about rows
    return ""


def _row_difference(found: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """Which rows are too many or too few, when only their number differs."""
    if not found or not expected or found[1:] != expected[1:]:
        return ""
    first, last = sorted((found[0], expected[0]))
    return f": rows {first} to {last - 1} are {'too many' if found[0] > expected[0] else 'missing'}"


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - NAMED_ROWS} more" if len(names) > NAMED_ROWS else ""
    plural = "Tensors" if len(names) > 1 else "Tensor"
    return f"{plural} {', '.join(names[:NAMED_ROWS])}{rest} {'are' if len(names) > 1 else 'is'}"


def _rows(rows: list[int]) -> str:
    rest = f" and {len(rows) - NAMED_ROWS} more" if len(rows) > NAMED_ROWS else ""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows[:NAMED_ROWS]))}{rest}"
