"""The files of one node. ``nexus_chain.folder_lock`` keeps a second daemon off them.

wallet.json     keystore (unless configured elsewhere)
node.toml       settings, written by `register`
tls.key/.crt    TLS identity
events.sqlite   write-ahead log
receipts.sqlite append-only receipt log
transactions.sqlite every transaction that was sent
rows/           input rows of every order
traces/         traces of disputed receipts, computed once
verified/       which shard files were verified and programs proven; only its owner can enter
watch/          the watcher's log and the evidence of its cases
"""

from __future__ import annotations

from pathlib import Path


def events_path(folder: Path) -> Path:
    """The write-ahead log."""
    return folder / "events.sqlite"


def receipts_path(folder: Path) -> Path:
    """The receipt log."""
    return folder / "receipts.sqlite"


def transactions_path(folder: Path) -> Path:
    """The record of sent transactions."""
    return folder / "transactions.sqlite"


def rows_path(folder: Path) -> Path:
    """The folder of input rows."""
    return folder / "rows"


def traces_path(folder: Path) -> Path:
    """The folder of traces."""
    return folder / "traces"


def facts_path(folder: Path) -> Path:
    """The folder of checks already done."""
    return folder / "verified"
