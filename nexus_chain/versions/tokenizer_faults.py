"""What the tokenizers library raises for files that are broken: bare ``Exception``, and panics of its Rust.

A panic is no ``Exception``: it passes every handler but one for it, and would end a gateway or an audit. Its class
cannot be imported, so it is known by its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nexus_chain.versions.errors import ModelFilesError

_PANIC = ("pyo3_runtime", "PanicException")
_MOST_SAID = 300  # characters of what the library says


@contextmanager
def tokenizer_faults(what: str) -> Iterator[None]:
    """Whatever the tokenizers library finds wrong inside is a ModelFilesError that begins with ``what``."""
    try:
        yield
    except BaseException as error:
        if not _is_fault(error):
            raise
        raise ModelFilesError(
            f"{what}: {str(error)[:_MOST_SAID]}",
            advice="Give the model version's own tokenizer.json, or download it again.",
        ) from error


def _is_fault(error: BaseException) -> bool:
    """The library raises nothing more precise than Exception itself."""
    kind = type(error)
    return kind is Exception or (kind.__module__, kind.__name__) == _PANIC
