"""The exact int8 matrix product, chosen by testing this machine and device.

``torch._int_mm`` is fast and exact where the CPU multiplies bytes without saturating, as with VNNI. Elsewhere it is
wrong. So nothing is assumed: :func:`exact_product` tries each way of computing a product on data of the full range.
It compares with float64, whose sums below 2^53 are exact, and takes the first way that is right. Knows nothing of
programs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import pad

Product = Callable[[Tensor, Tensor], Tensor]
"""(x i8[R, K], w i8[N, K]) -> i32[R, N], exact; w is row-major as it lies on disk."""

TRANSPOSE_FROM_ROWS = 64  # from here on a temporary column-major slice pays for itself
ALIGNED_ROWS = 24  # the least multiple of 8 that is more than 16
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


def aligned(multiply: Product) -> Product:
    """``multiply`` for devices whose product wants more than 16 rows and sizes that are multiples of 8."""

    def product(x: Tensor, w: Tensor) -> Tensor:
        rows = max(ALIGNED_ROWS, _rounded(len(x))) - len(x)
        columns, width = (_rounded(size) - size for size in w.shape)
        found = multiply(pad(x, (0, width, 0, rows)), pad(w, (0, width, 0, columns)))
        return found[: len(x), : len(w)]

    return product


def _rounded(size: int) -> int:
    return -(-size // 8) * 8


def cublas(x: Tensor, w: Tensor) -> Tensor:
    """``torch._int_mm`` with the weights as they lie; what CUDA's tensor cores do."""
    return torch._int_mm(x, w.t())


def double(x: Tensor, w: Tensor) -> Tensor:
    """float64 product of integers: slow, exact everywhere (sums stay below 2^53)."""
    return torch.matmul(x.to(torch.float64), w.to(torch.float64).t()).to(torch.int32)


PRODUCTS: Mapping[str, Product] = {"direct": direct, "split": split, "double": double}
DEVICE_PRODUCTS: Mapping[str, Product] = {"aligned": aligned(cublas), "double": double}  # of accelerators


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


def is_exact(product: Product, device: str = "cpu") -> bool:
    """Whether ``product`` on ``device`` agrees with float64 on the CPU on every full-range case."""
    return all(torch.equal(product(x.to(device), w.to(device)).cpu(), double(x, w)) for x, w in full_range_cases())


@cache
def product_name(device: str = "cpu") -> str:
    """Name of the fastest product that is exact on ``device``, in :data:`PRODUCTS` or :data:`DEVICE_PRODUCTS`."""
    products = PRODUCTS if device == "cpu" else DEVICE_PRODUCTS
    return next(name for name, product in products.items() if name == "double" or is_exact(product, device))


def exact_product(device: str = "cpu") -> Product:
    """The fastest product that is exact on ``device``."""
    return {**PRODUCTS, **DEVICE_PRODUCTS}[product_name(device)]
