"""The tables of a gateway's database, in SQLAlchemy's words.

Amounts are whole wei up to a uint256 and their negatives. PostgreSQL has NUMERIC(78,0) for them. SQLite's integers end
at 64 bits and its NUMERIC falls back to floats beyond, so there they are decimal text: exact, and readable in a shell.
The database never adds them up: sums are made in Python while their rows are locked, the same way on both.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

GATEWAY_SCHEMA = 1
"""What this program writes and reads."""


class Wei(TypeDecorator[int]):
    """An ``int`` of wei of any sign, exactly."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """NUMERIC where it is exact, else text."""
        return dialect.type_descriptor(Numeric(78, 0) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        """On the way in."""
        if value is None:
            return None
        return Decimal(value) if dialect.name == "postgresql" else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        """On the way out."""
        return None if value is None else int(value)


def _is_not_negative(column: str, unless: str = "") -> tuple[CheckConstraint, ...]:
    """The database itself refuses a negative amount, whatever a program believes."""
    return (
        CheckConstraint(f"{unless}{column} NOT LIKE '-%'").ddl_if(dialect="sqlite"),
        CheckConstraint(f"{unless}{column} >= 0").ddl_if(dialect="postgresql"),
    )


TABLES = MetaData()

SCHEMA_ROW = Table("schema", TABLES, Column("version", Integer, primary_key=True))

SECRETS = Table(
    "secrets",
    TABLES,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
"""Random bytes that gateways on one database share: they sign sign-in nonces."""

ACCOUNTS = Table(
    "accounts",
    TABLES,
    Column("name", Text, primary_key=True),
    Column("outside", Integer, nullable=False),
    Column("balance", Wei, nullable=False),
    *_is_not_negative("balance", "outside = 1 OR "),
)
"""``balance`` is the sum of the account's entries, kept so that a reservation reads one row. ``outside``: 1 for money
that is elsewhere, whose balance is what came from there, negated."""

TRANSACTIONS = Table(
    "transactions",
    TABLES,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)
"""``key``: what makes it happen at most once. ``created``: Unix seconds."""

LEDGER_ENTRIES = Table(
    "entries",
    TABLES,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("transaction_id", ForeignKey("transactions.id"), nullable=False),
    Column("account", ForeignKey("accounts.name"), nullable=False),
    Column("wei", Wei, nullable=False),
    UniqueConstraint("transaction_id", "account"),
    Index("entries_account", "account"),
)

RESERVATIONS = Table(
    "reservations",
    TABLES,
    Column("answer", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("api_key", Text, nullable=False),
    Column("wei", Wei, nullable=False),
    Column("day", Integer, nullable=False),
    Column("deadline", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("paid", Wei, nullable=False),
    Index("reservations_due", "state", "deadline"),
    *_is_not_negative("wei"),
)
"""``day``: days since 1970 in UTC, whose limit it counts against. ``deadline``: Unix seconds. ``api_key``: empty where
none was used."""

SPENDING = Table(
    "spending",
    TABLES,
    Column("account", Text, primary_key=True),
    Column("api_key", Text, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("spent", Wei, nullable=False),
    Column("reserved", Wei, nullable=False),
    *_is_not_negative("spent"),
    *_is_not_negative("reserved"),
)
"""What a key spent and holds reserved of one day's limit."""

API_KEYS = Table(
    "api_keys",
    TABLES,
    Column("id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("account", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("wei_per_day", Wei),
    Column("requests_per_minute", Integer),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
    Index("api_keys_account", "account"),
)

SESSIONS = Table(
    "sessions",
    TABLES,
    Column("digest", LargeBinary, primary_key=True),
    Column("account", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("thumbprint", Text),
    Index("sessions_expires", "expires"),  # looked for at each sign-in, of which strangers make many
)
"""``thumbprint``: of the key that a session is bound to; NULL where whoever has the token has the session."""

USED_NONCES = Table(
    "used_nonces",
    TABLES,
    Column("nonce", Text, primary_key=True),
    Column("expires", BigInteger, nullable=False),
    Index("used_nonces_expires", "expires"),
)
"""Sign-in nonces that were used. Unused ones are not kept: they carry their own proof."""

PAYMENTS = Table(
    "payments",
    TABLES,
    Column("key", Text, primary_key=True),
    Column("payer", Text, nullable=False),
    Column("wei", Wei, nullable=False),
    Column("authorization", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)
"""Payments that came with a request, written down before they are sent to the chain."""

CHAIN_PROGRESS = Table(
    "chain_progress",
    TABLES,
    Column("contract", Text, primary_key=True),
    Column("block", BigInteger, nullable=False),
    Column("block_hash", Text, nullable=False),
)
"""Up to which block a contract's events are in the books."""

SESSION_SPENDING = Table(
    "session_spending",
    TABLES,
    Column("session", LargeBinary, primary_key=True),
    Column("booked", Wei, nullable=False),
    Column("settled", Integer, nullable=False),
)
"""What is booked of each session that answers were paid from; ``settled`` 1: it is what the chain paid, for good."""

APPEND_ONLY = ("transactions", "entries")
