"""Element types of tensors as torch has them. It imports torch, which takes seconds; ``dtypes`` does not."""

from __future__ import annotations

import torch

TORCH_DTYPES = {"i8": torch.int8, "i16": torch.int16, "i32": torch.int32, "i64": torch.int64}
