"""The texts that an import is measured on, cut into windows of tokens: some choose, others judge.

The first of these that exists is taken: the given text, the checkpoint's held-out sample, the documentation of Python's
standard library. The last is at hand wherever this runs. Half of a given text or sample chooses, the other half
judges; of the documentation, some modules choose and others judge. So no text judges what it chose.

A model with a chat format is measured on conversations too, written in that format. Tokens are those that are served:
what the tokenizer puts around a text is there, and nothing else.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor

from nexus_chain.program.file_names import TOKENIZER_FILE
from nexus_chain.quality.errors import CalibrationError
from nexus_chain.quality.held_out import SAMPLE_FILE, HeldOutSample, cut
from nexus_chain.versions.errors import ChatFormatError, ModelFilesError
from nexus_chain.versions.text_codec import TextCodec

CALIBRATION_WINDOW = 512  # positions, or the model's context if that is shorter
CALIBRATION_TOKENS = 4096  # predictions: two models on the same text need no more to be compared
DOCUMENTED = (
    "argparse", "ast", "asyncio", "collections", "decimal", "email", "fractions", "inspect", "json", "logging",
    "pathlib", "random", "sqlite3", "statistics", "string", "subprocess", "threading", "typing", "unittest",
)  # fmt: skip
JUDGING = (
    "calendar", "configparser", "contextlib", "csv", "ctypes", "datetime", "difflib", "enum", "functools", "heapq",
    "ipaddress", "itertools", "locale", "multiprocessing", "pickle", "queue", "shutil", "socket", "tarfile", "textwrap",
    "traceback", "uuid", "zipfile", "selectors", "bisect", "gettext", "tempfile", "http.client", "urllib.parse",
)  # fmt: skip
CHAT_SHARE = 0.5  # of the tokens, where the model has a chat format and the text is the documentation


def calibration_windows(checkpoint: Path, config: Mapping[str, Any], text: Path | None = None) -> list[Tensor]:
    """Windows i64[n + 1] of the texts that choose, by the checkpoint's own tokenizer.

    ``config`` is that of the checkpoint, ``text`` a file to use instead of the default. Raises
    :class:`CalibrationError`.
    """
    return _windows(checkpoint, config, text, judging=False)


def judging_windows(checkpoint: Path, config: Mapping[str, Any], text: Path | None = None) -> list[Tensor]:
    """Windows i64[n + 1] of the texts that judge; nothing of them is in :func:`calibration_windows`."""
    return _windows(checkpoint, config, text, judging=True)


def require_vocabulary(checkpoint: Path, vocab: int) -> Tokenizer:
    """The checkpoint's tokenizer; :class:`CalibrationError` if it makes tokens that an embedding of ``vocab`` lacks."""
    return _codec(checkpoint, vocab).tokenizer


def documentation(modules: Sequence[str] = DOCUMENTED) -> Iterator[str]:
    """The docstrings of some modules of the standard library, one text a module."""
    for name in modules:
        yield "\n\n".join(text for _, text in _documented(name))


def conversations(modules: Sequence[str]) -> Iterator[list[dict[str, str]]]:
    """The same documentation as questions and answers: a conversation for each two things that are documented."""
    for name in modules:
        found = _documented(name)
        for pair in zip(found[::2], found[1::2], strict=False):
            yield [
                message
                for what, text in pair
                for message in (
                    {"role": "user", "content": f"What is {what} in Python?"},
                    {"role": "assistant", "content": text},
                )
            ]


def _windows(checkpoint: Path, config: Mapping[str, Any], text: Path | None, *, judging: bool) -> list[Tensor]:
    codec = _codec(checkpoint, int(config.get("vocab_size") or 0))
    longest = min(CALIBRATION_WINDOW, int(config.get("max_position_embeddings") or CALIBRATION_WINDOW))
    if text is not None or (checkpoint / SAMPLE_FILE).is_file():
        return _cut(_half(_stream(codec, _texts(checkpoint, text), 2 * CALIBRATION_TOKENS + 2), judging), longest)
    modules = JUDGING if judging else DOCUMENTED
    if codec.chat_template is None:
        return _cut(_stream(codec, documentation(modules), CALIBRATION_TOKENS + 1), longest)
    talk = int(CHAT_SHARE * CALIBRATION_TOKENS)
    spoken = _cut(_chat_stream(codec, conversations(modules[1::2]), talk + 1), longest)
    return _cut(_stream(codec, documentation(modules[::2]), CALIBRATION_TOKENS - talk + 1), longest) + spoken


def _stream(codec: TextCodec, texts: Iterable[str], tokens: int) -> list[int]:
    """The first ``tokens`` of the texts, each as it is served."""
    stream: list[int] = []
    for piece in texts:
        stream += codec.encode_plain(piece, special=True)
        if len(stream) >= tokens:
            break
    return stream[:tokens]


def _chat_stream(codec: TextCodec, talks: Iterable[list[dict[str, str]]], tokens: int) -> list[int]:
    """The first ``tokens`` of the conversations. Raises :class:`CalibrationError` where there is no writing them."""
    stream: list[int] = []
    for messages in talks:
        try:
            stream += codec.chat_prompt(messages, answering=False)
        except ChatFormatError as error:
            raise CalibrationError(
                f"The chat format does not work: {error.message}", advice="Repair it, or remove it from the folder."
            ) from error
        if len(stream) >= tokens:
            break
    return stream[:tokens]


def _half(stream: list[int], judging: bool) -> list[int]:
    """One of the stream's halves, no token of which is in the other."""
    middle = len(stream) // 2
    return stream[middle:] if judging else stream[:middle]


def _cut(stream: list[int], longest: int) -> list[Tensor]:
    window = min(longest, len(stream) - 1)
    if window < 1:
        raise CalibrationError("The calibration text makes no two tokens", advice="Give a longer one.")
    return cut(stream, window)


def _texts(checkpoint: Path, text: Path | None) -> Iterable[str]:
    if text is not None:
        return [_read(text)]
    return [held.text for held in HeldOutSample.from_bytes((checkpoint / SAMPLE_FILE).read_bytes()).texts]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise CalibrationError(f"{path} cannot be read as text ({cause})", advice="Give a UTF-8 text file.") from cause


def _documented(name: str) -> list[tuple[str, str]]:
    """What a module documents, itself first: (name, docstring)."""
    module = importlib.import_module(name)
    public = [(f"{name}.{key}", value) for key, value in sorted(vars(module).items()) if not key.startswith("_")]
    candidates = [(name, module), *((what, it) for what, it in public if inspect.isclass(it) or inspect.isfunction(it))]
    return [(what, text) for what, value in candidates if (text := inspect.getdoc(value))]


def _codec(checkpoint: Path, vocab: int) -> TextCodec:
    """The checkpoint's texts. Raises :class:`CalibrationError` as ``require_vocabulary`` says."""
    try:
        codec = TextCodec(checkpoint / TOKENIZER_FILE)
    except ModelFilesError as cause:
        raise CalibrationError(cause.message, advice=cause.advice) from cause
    tokens = codec.tokenizer.get_vocab(with_added_tokens=True)
    if beyond := sorted((token for token in tokens if tokens[token] >= vocab), key=tokens.__getitem__):
        raise CalibrationError(
            f"The tokenizer in {checkpoint} makes tokens up to {tokens[beyond[-1]]}, the model embeds {vocab} "
            f"(the first beyond is {beyond[0]!r})",
            advice="Copy the tokenizer.json there that belongs to these weights, or take tokens that no text needs, "
            "such as one for padding, out of the tokenizer's files.",
        )
    return codec
