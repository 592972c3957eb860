"""The exact int8 matrix product, chosen by testing this machine.

``torch._int_mm`` is fast and exact where the CPU multiplies bytes without saturating (VNNI) and
wrong elsewhere, so nothing is assumed: :func:`exact_product` tries each way of computing a
product on full-range data, against float64 (whose sums below 2^53 are exact), and takes the first
that is right. Knows nothing of programs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

import torch
from torch import Tensor

Product = Callable[[Tensor, Tensor], Tensor]
"""(x i8[R, K], w i8[N, K]) -> i32[R, N], exact; w is row-major as it lies on disk."""

TRANSPOSE_FROM_ROWS = 64  # from here on a temporary column-major slice pays for itself
SLICE_BYTES = 8 << 20  # size of that slice: no second resident copy of a weight


def direct(x: Tensor, w: Tensor) -> Tensor:
    """One ``torch._int_mm``; exact on CPUs with VNNI."""
    if len(x) < TRANSPOSE_FROM_ROWS:
        return torch._int_mm(x, w.t())
    step = max(1, SLICE_BYTES // w.shape[1])
    return torch.cat([torch._int_mm(x, part.t().contiguous()) for part in torch.split(w, step)], dim=1)


def split(x: Tensor, w: Tensor) -> Tensor:
    """Two products with ``w = 2 * (w >> 1) + (w & 1)``: halves too small for int16 pairs to saturate."""
    return direct(x, w >> 1) * 2 + direct(x, w & 1)


def double(x: Tensor, w: Tensor) -> Tensor:
    """float64 product of integers: slow, exact everywhere (sums stay below 2^53)."""
    return torch.matmul(x.to(torch.float64), w.to(torch.float64).t()).to(torch.int32)


PRODUCTS: Mapping[str, Product] = {"direct": direct, "split": split, "double": double}


def full_range_cases() -> Iterator[tuple[Tensor, Tensor]]:
    """Operands that make a saturating product visible: random over all bytes, and all extremes."""
    generator = torch.Generator().manual_seed(8)
    for rows, columns, width in ((1, 24, 256), (3, 17, 200), (5, 64, 1024), (80, 48, 96)):
        yield (
            torch.randint(-128, 128, (rows, width), generator=generator, dtype=torch.int8),
            torch.randint(-128, 128, (columns, width), generator=generator, dtype=torch.int8),
        )
    for a, b in ((127, 127), (-128, 127), (127, -128), (-128, -128)):
        yield torch.full((4, 512), a, dtype=torch.int8), torch.full((16, 512), b, dtype=torch.int8)


def is_exact(product: Product) -> bool:
    """Whether ``product`` agrees with float64 on every full-range case."""
    return all(torch.equal(product(x, w), double(x, w)) for x, w in full_range_cases())


@cache
def product_name() -> str:
    """Name in :data:`PRODUCTS` of the fastest product that is exact on this CPU."""
    return next(name for name, product in PRODUCTS.items() if name == "double" or is_exact(product))


def exact_product() -> Product:
    """The fastest product that is exact on this CPU."""
    return PRODUCTS[product_name()]
