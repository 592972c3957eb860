"""Element types of tensors: their names, numbers in descriptors and commitments and sizes."""

from __future__ import annotations

DTYPE_CODES = {"i8": 1, "i16": 2, "i32": 3, "i64": 4}
DTYPE_BYTES = {"i8": 1, "i16": 2, "i32": 4, "i64": 8}
