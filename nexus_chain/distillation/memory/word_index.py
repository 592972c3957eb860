"""Which words stand in which example: FTS5 on SQLite, ``tsvector`` with a GIN index on PostgreSQL.

Both get the same words, cut here: runs of letters and digits, NFKC, case-folded. The index holds no text, so it stays
as it is when an example's texts are compressed.

A word of more than COMMON examples tells few of them apart, and ranking by it costs most. It counts only where a query
has no rarer one; then the newest examples with all of its words come.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Protocol

from sqlalchemy import Connection, text

COMMON = 1000
_WORD = re.compile(r"\w{1,64}")
_MOST_WORDS = 20_000  # of one example: PostgreSQL refuses a tsvector of 1 MiB
_MOST_ASKED = 16


class WordIndex(Protocol):
    """The index in one kind of database. Words are those of ``words_of``."""

    def create(self, connection: Connection) -> None:
        """Make the empty index."""

    def add(self, connection: Connection, entries: Sequence[tuple[int, Sequence[str]]]) -> None:
        """Index new examples: their ids, and their words."""

    def count(self, connection: Connection, word: str) -> int:
        """Examples with the word, at most COMMON + 1."""

    def ranked(self, connection: Connection, counts: Mapping[str, int], most: int) -> list[int]:
        """Ids of examples with any of the words, the best first; ``counts``: examples of each word."""

    def newest(self, connection: Connection, words: Sequence[str], most: int) -> list[int]:
        """Ids of examples with all of the words, the newest first."""


def words_of(*texts: str) -> list[str]:
    """The words of texts, in order, at most 20 000."""
    found: list[str] = []
    for one in texts:
        found += _WORD.findall(unicodedata.normalize("NFKC", one).casefold().replace("_", " "))
    return found[:_MOST_WORDS]


def word_index(connection: Connection) -> WordIndex:
    """The index of this kind of database."""
    return Fts5Index() if connection.dialect.name == "sqlite" else TsvectorIndex()


def find_words(connection: Connection, query: str, most: int) -> list[int]:
    """Ids of at most ``most`` examples with words of ``query``, the best first."""
    index = word_index(connection)
    asked = list(dict.fromkeys(words_of(query)))[:_MOST_ASKED]
    counts = {word: count for word in asked if (count := index.count(connection, word))}
    rare = {word: count for word, count in counts.items() if count <= COMMON}
    if rare:
        return index.ranked(connection, rare, most)
    return index.newest(connection, list(counts), most) if counts else []


class Fts5Index:
    """A table of SQLite's FTS5 without content. Ranks by BM25."""

    def create(self, connection: Connection) -> None:
        connection.exec_driver_sql(
            "CREATE VIRTUAL TABLE example_words USING fts5(words, content='', tokenize='unicode61 remove_diacritics 0')"
        )

    def add(self, connection: Connection, entries: Sequence[tuple[int, Sequence[str]]]) -> None:
        rows = [(number, " ".join(words)) for number, words in entries]
        if rows:
            connection.exec_driver_sql("INSERT INTO example_words(rowid, words) VALUES (?, ?)", rows)

    def count(self, connection: Connection, word: str) -> int:
        inner = "SELECT 1 FROM example_words WHERE example_words MATCH ? LIMIT ?"
        found = connection.exec_driver_sql(f"SELECT count(*) FROM ({inner})", (_phrase(word), COMMON + 1))
        return int(found.scalar_one())

    def ranked(self, connection: Connection, counts: Mapping[str, int], most: int) -> list[int]:
        return self._ids(connection, " OR ".join(map(_phrase, counts)), "rank, rowid", most)

    def newest(self, connection: Connection, words: Sequence[str], most: int) -> list[int]:
        return self._ids(connection, " AND ".join(map(_phrase, words)), "rowid DESC", most)

    def _ids(self, connection: Connection, query: str, order: str, most: int) -> list[int]:
        statement = f"SELECT rowid FROM example_words WHERE example_words MATCH ? ORDER BY {order} LIMIT ?"
        return list(connection.exec_driver_sql(statement, (query, most)).scalars())


class TsvectorIndex:
    """A table with a ``tsvector`` for each example. Ranks by the sum of the words' rarities, short examples first."""

    def create(self, connection: Connection) -> None:
        for statement in (
            "CREATE TABLE example_words (example_id BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)",
            "CREATE INDEX idx_words ON example_words USING GIN (words)",
        ):
            connection.execute(text(statement))

    def add(self, connection: Connection, entries: Sequence[tuple[int, Sequence[str]]]) -> None:
        rows = [{"id": number, "words": list(dict.fromkeys(words))} for number, words in entries]
        if rows:
            statement = "INSERT INTO example_words VALUES (:id, array_to_tsvector(CAST(:words AS TEXT[])))"
            connection.execute(text(statement), rows)

    def count(self, connection: Connection, word: str) -> int:
        inner = "SELECT 1 FROM example_words WHERE words @@ CAST(:query AS TSQUERY) LIMIT :most"
        found = connection.execute(
            text(f"SELECT count(*) FROM ({inner}) AS found"), {"query": _lexeme(word), "most": COMMON + 1}
        )
        return int(found.scalar_one())

    def ranked(self, connection: Connection, counts: Mapping[str, int], most: int) -> list[int]:
        order = " + ".join(
            f"CASE WHEN words @@ CAST(:word{at} AS TSQUERY) THEN CAST(:rarity{at} AS FLOAT8) ELSE 0 END"
            for at in range(len(counts))
        )
        values: dict[str, str | float] = {}
        for at, (word, count) in enumerate(counts.items()):
            values |= {f"word{at}": _lexeme(word), f"rarity{at}": math.log1p(COMMON / count)}
        query = " | ".join(map(_lexeme, counts))
        return self._ids(connection, query, f"{order} DESC, length(words), example_id", most, values)

    def newest(self, connection: Connection, words: Sequence[str], most: int) -> list[int]:
        return self._ids(connection, " & ".join(map(_lexeme, words)), "example_id DESC", most, {})

    def _ids(
        self, connection: Connection, query: str, order: str, most: int, values: Mapping[str, str | float]
    ) -> list[int]:
        statement = (
            f"SELECT example_id FROM example_words WHERE words @@ CAST(:query AS TSQUERY) ORDER BY {order} LIMIT :most"
        )
        return list(connection.execute(text(statement), {**values, "query": query, "most": most}).scalars())


# A word is letters and digits only, so it ends no quotation and is no operator.
def _phrase(word: str) -> str:
    return f'"{word}"'


def _lexeme(word: str) -> str:
    return f"'{word}'"
