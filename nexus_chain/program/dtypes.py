"""Element types of tensors: their names, numbers in descriptors and commitments, sizes and torch types."""

from __future__ import annotations

import torch

DTYPE_CODES = {"i8": 1, "i16": 2, "i32": 3, "i64": 4}
DTYPE_BYTES = {"i8": 1, "i16": 2, "i32": 4, "i64": 8}
TORCH_DTYPES = {"i8": torch.int8, "i16": torch.int16, "i32": torch.int32, "i64": torch.int64}
