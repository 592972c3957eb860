"""The text that an import is measured on, cut into windows of tokens.

The first of these that exists is taken: the given text, the checkpoint's held-out sample, the documentation of Python's
standard library. The last is at hand wherever this runs.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor

from nexus_chain.program.file_names import TOKENIZER_FILE
from nexus_chain.quality.errors import CalibrationError
from nexus_chain.quality.held_out import SAMPLE_FILE, HeldOutSample, cut

CALIBRATION_WINDOW = 512  # positions, or the model's context if that is shorter
CALIBRATION_TOKENS = 4096  # predictions: two models on the same text need no more to be compared
DOCUMENTED = (
    "argparse", "ast", "asyncio", "collections", "decimal", "email", "fractions", "inspect", "json", "logging",
    "pathlib", "random", "sqlite3", "statistics", "string", "subprocess", "threading", "typing", "unittest",
)  # fmt: skip


def calibration_windows(checkpoint: Path, config: Mapping[str, Any], text: Path | None = None) -> list[Tensor]:
    """Windows i64[n + 1] of the calibration text, by the checkpoint's own tokenizer.

    ``config`` is that of the checkpoint, ``text`` a file to use instead of the default. Raises
    :class:`CalibrationError`.
    """
    tokenizer = require_vocabulary(checkpoint, int(config.get("vocab_size") or 0))
    stream: list[int] = []
    for piece in _texts(checkpoint, text):
        stream += [*_start(config), *tokenizer.encode(piece, add_special_tokens=False).ids]
        if len(stream) > CALIBRATION_TOKENS:
            break
    window = min(CALIBRATION_WINDOW, int(config.get("max_position_embeddings") or CALIBRATION_WINDOW), len(stream) - 1)
    if window < 1:
        raise CalibrationError("The calibration text makes no two tokens", advice="Give a longer one.")
    return cut(stream[: CALIBRATION_TOKENS + 1], window)


def require_vocabulary(checkpoint: Path, vocab: int) -> Tokenizer:
    """The checkpoint's tokenizer; :class:`CalibrationError` if it makes tokens that an embedding of ``vocab`` lacks."""
    tokenizer = _tokenizer(checkpoint)
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    if largest >= vocab:
        raise CalibrationError(
            f"The tokenizer in {checkpoint} makes tokens up to {largest}, the model embeds {vocab}",
            advice="Copy the tokenizer.json there that belongs to these weights.",
        )
    return tokenizer


def _texts(checkpoint: Path, text: Path | None) -> Iterable[str]:
    if text is not None:
        return [_read(text)]
    if (sample := checkpoint / SAMPLE_FILE).is_file():
        return [held.text for held in HeldOutSample.from_bytes(sample.read_bytes()).texts]
    return documentation()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as cause:
        raise CalibrationError(f"{path} cannot be read as text ({cause})", advice="Give a UTF-8 text file.") from cause


def documentation() -> Iterator[str]:
    """The docstrings of some modules of the standard library, one text a module."""
    for name in DOCUMENTED:
        module = importlib.import_module(name)
        public = [value for key, value in sorted(vars(module).items()) if not key.startswith("_")]
        documented = [module, *(value for value in public if inspect.isclass(value) or inspect.isfunction(value))]
        yield "\n\n".join(filter(None, (inspect.getdoc(value) for value in documented)))


def _start(config: Mapping[str, Any]) -> list[int]:
    """The token that begins a text, if the model has one."""
    token = config.get("bos_token_id")
    return [token] if isinstance(token, int) and token >= 0 else []


def _tokenizer(checkpoint: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(checkpoint / TOKENIZER_FILE))
    except Exception as cause:  # the library raises nothing more precise
        raise CalibrationError(
            f"{checkpoint / TOKENIZER_FILE} cannot be read ({cause})", advice="Copy the model's tokenizer there."
        ) from cause
