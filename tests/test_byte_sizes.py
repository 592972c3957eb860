"""Amounts of memory as people write them."""

from __future__ import annotations

import pytest

from nexus_chain.byte_sizes import ByteSizeError, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("17", 17), ("17 B", 17), ("2k", 2048), ("2kB", 2000), ("1.5GiB", 3 << 29), (" 512MiB ", 512 << 20),
     ("512M", 512 << 20), ("3 TB", 3 * 10**12)],
)  # fmt: skip
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "much", "12 parsecs", "1e9", "1.2.3", "0x10"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ByteSizeError, match="no amount of memory"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 << 29, "1.5 GiB"), (5 << 40, "5.0 TiB")]
)
def test_sizes_are_written(size: int, text: str) -> None:
    assert format_size(size) == text
