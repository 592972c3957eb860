"""What ``nexus`` prints: tables for people, one JSON document for programs.

Results go to standard output; progress, notes and errors to standard error, so that output can be
piped. In JSON mode standard output holds exactly one document.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

WEI_PER_ETHER = 10**18

stderr = Console(stderr=True, highlight=False)


def emit_json(value: Any) -> None:
    """The command's one JSON document."""
    print(json.dumps(value, indent=1))


def note(text: str) -> None:
    """A line for people, beside the result."""
    stderr.print(escape(text), soft_wrap=True)


def result(text: str) -> None:
    """A line of the result."""
    print(text)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, aside: bool = False) -> None:
    """A table on standard output, or beside it."""
    shown = Table(title=escape(title), title_justify="left")
    for column in columns:
        shown.add_column(escape(column), overflow="fold")
    for row in rows:
        shown.add_row(*(escape(str(cell)) for cell in row))
    # A pipe has no width; cutting addresses there would make them useless.
    width = None if sys.stdout.isatty() else 200
    (stderr if aside else Console(highlight=False, width=width)).print(shown)


def ether(wei: int) -> str:
    """An amount for people, exact: wei below a gwei, else ether."""
    if abs(wei) < 10**9:
        return f"{wei} wei"
    whole, rest = divmod(abs(wei), WEI_PER_ETHER)
    text = f"{whole}.{rest:018d}".rstrip("0").rstrip(".")
    return f"{'-' if wei < 0 else ''}{text} ETH"


def hex_id(value: bytes) -> str:
    """Bytes as 0x hex."""
    return "0x" + value.hex()


@contextmanager
def progress(title: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error; yields ``advance(done, total)``."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=stderr, transient=True) as bar:
        task = bar.add_task(escape(title), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def spinner(title: str, *, quiet: bool = False) -> Iterator[None]:
    """Something moving on standard error while work of unknown length is done."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    with stderr.status(escape(title)):
        yield
