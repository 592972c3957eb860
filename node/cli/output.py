"""What ``nexus`` prints: tables for people, one JSON document for programs.

Results go to standard output; observer, notes and errors to standard error, so that output can be
piped. In JSON mode standard output holds exactly one document.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from nexus_chain.workflows.observer import Advance, TaskObserver

if TYPE_CHECKING:
    from rich.console import Console

    from nexus_chain.chain.transactions import Mined

WEI_PER_ETHER = 10**18


def emit_json(value: Any) -> None:
    """The command's one JSON document. It leaves at once: a command may go on after it."""
    print(json.dumps(value, indent=1), flush=True)


def note(text: str) -> None:
    """A line for people, beside the result."""
    from rich.markup import escape

    _stderr().print(escape(text), soft_wrap=True)


def result(text: str) -> None:
    """A line of the result. It leaves at once: a command may go on after it."""
    print(text, flush=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, aside: bool = False) -> None:
    """A table on standard output, or beside it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title=escape(title), title_justify="left")
    for column in columns:
        shown.add_column(escape(column), overflow="fold")
    for row in rows:
        shown.add_row(*(escape(str(cell)) for cell in row))
    # A pipe has no width; cutting addresses there would make them useless.
    width = None if sys.stdout.isatty() else 200
    (_stderr() if aside else Console(highlight=False, width=width)).print(shown)


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


def mined_fields(mined: Mined) -> dict[str, object]:
    """What a JSON document says of a transaction."""
    return {"transaction": mined.hash, "gas": mined.gas, "fee_wei": str(mined.fee)}


class Shown(TaskObserver):
    """A task's stages as bars on standard error, where a terminal is; its notes as lines."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    @contextmanager
    def stage(self, title: str) -> Iterator[Advance]:
        """A bar that moves; it fills once the task counts."""
        if self._quiet or not sys.stderr.isatty():
            yield lambda done, total: None
            return
        from rich.markup import escape
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=_stderr(), transient=True) as bars:
            task = bars.add_task(escape(title), total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)

    def note(self, line: str) -> None:
        """A line, unless one document is all that is wanted."""
        if not self._quiet:
            note(line)


@cache
def _stderr() -> Console:
    from rich.console import Console  # takes a tenth of a second to import

    return Console(stderr=True, highlight=False)
