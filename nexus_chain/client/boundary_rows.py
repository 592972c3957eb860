"""What the client saw at every boundary of an answer: rows, and the roots over them.

Boundary 0 carries the tokens (prompt, then sampled), boundary s > 0 the residual rows that
segment s - 1 put out and segment s took in. The client keeps them all: to replay them to a spare,
to compare what a spare puts out, and to recompute each root that a receipt claims. Knows no nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nexus_chain.client.errors import ReplayMismatchError
from nexus_chain.commitments.merkle import leaf_hashes
from nexus_chain.commitments.tensor import RowLayout, RowTree, tensor_bytes
from nexus_chain.wire.errors import BadRowsError
from nexus_chain.wire.peer import RowArray

LARGEST_TOKEN = 2**31 - 1


class BoundaryRows:
    """Rows of one order over ``segments`` segments; ``prompt`` are its token ids, ``salt`` the order's 32 bytes.

    ``vocab``: the model's number of token ids.
    """

    def __init__(
        self, segments: int, prompt: Sequence[int], salt: bytes, width: int, vocab: int = LARGEST_TOKEN + 1
    ) -> None:
        self.segments = segments
        self.prompt_length = len(prompt)
        self.width, self.vocab = width, vocab
        self.tokens = list(prompt)
        self._rows: list[list[RowArray]] = [[] for _ in range(segments - 1)]
        self._givers: list[list[tuple[int, str]]] = [[] for _ in range(segments)]  # from position on, node
        self._salt = salt
        self.hash_anew()

    def inputs(self, segment: int, start: int, stop: int) -> RowArray:
        """Rows that ``segment`` takes in for positions [start, stop): i32[t] tokens or i32[t, width]."""
        if segment == 0:
            return np.array(self.tokens[start:stop], np.int32)
        rows = self._rows[segment - 1]
        return np.stack(rows[start:stop]) if stop > start else np.empty((0, self.width), np.int32)

    def received(self, segment: int) -> int:
        """Positions that ``segment`` has put out so far."""
        if segment < self.segments - 1:
            return len(self._rows[segment])
        return len(self.tokens) - 1 if len(self.tokens) > self.prompt_length else 0

    def accept(self, segment: int, start: int, count: int, out: RowArray, node: str) -> list[int]:
        """Take ``out`` as what ``segment`` gives for positions [start, start + count).

        Rows already known must be the same bits (a replay); new ones are appended. Returns the
        newly sampled tokens (last segment only). Raises BadRowsError, ReplayMismatchError.
        """
        if segment == self.segments - 1:
            return self._accept_tokens(start, count, out, node)
        self.check(segment, start, count, out, node)
        known = self._rows[segment]
        overlap = max(0, min(len(known) - start, count))
        if overlap and not (same := (np.stack(known[start : start + overlap]) == out[:overlap]).all(axis=1)).all():
            first = int(same.argmin())
            raise _mismatch(node, segment, start + first, out[first])
        fresh = out[overlap:]
        self._note_giver(segment, len(known), node)
        known.extend(fresh)
        return []

    def _note_giver(self, segment: int, start: int, node: str) -> None:
        givers = self._givers[segment]
        if not givers or givers[-1][1] != node:
            givers.append((start, node))

    def giver(self, segment: int, position: int) -> str:
        """The node that gave what is known of ``segment`` for ``position``."""
        return [node for start, node in self._givers[segment] if start <= position][-1]

    def gave(self, segment: int, start: int, node: str) -> bool:
        """Whether ``node`` gave something that is known of ``segment`` for positions from ``start`` on."""
        givers = self._givers[segment]
        stops = [begin for begin, _ in givers[1:]] + [self.received(segment)]
        return any(giver == node and stop > start for (_, giver), stop in zip(givers, stops, strict=False))

    def row(self, segment: int, position: int) -> RowArray:
        """What is known of ``segment`` for ``position``: i32[width], or the sampled token i32[]."""
        if segment < self.segments - 1:
            return self._rows[segment][position]
        return np.array(self.tokens[position + 1], np.int32)

    def row_in(self, segment: int, outputs: RowArray, position: int) -> RowArray:
        """The one for ``position`` of all outputs of ``segment`` from its first position on."""
        row: RowArray = outputs[position if segment < self.segments - 1 else position - self.prompt_length + 1]
        return row

    def first_difference(self, segment: int, outputs: RowArray) -> int | None:
        """First position for which something else is known than in ``outputs``, all outputs of ``segment``."""
        start = 0 if segment < self.segments - 1 else self.prompt_length - 1
        for position in range(start, self.received(segment)):
            if not np.array_equal(self.row(segment, position), self.row_in(segment, outputs, position)):
                return position
        return None

    def cut(self, segment: int, position: int) -> None:
        """Forget what rests on the row that ``segment`` gave for ``position``, the prompt never."""
        base = max(position, self.prompt_length)
        del self.tokens[max(position + 1, self.prompt_length) :]
        for number, rows in enumerate(self._rows):
            del rows[base if number < segment else position :]
        for number in range(self.segments):
            kept = base if number < segment else position
            self._givers[number] = [(start, node) for start, node in self._givers[number] if start < kept]
        self.hash_anew()

    def check(self, segment: int, start: int, count: int, out: RowArray, node: str) -> None:
        """Raise BadRowsError unless ``out`` can be what ``segment`` gives for positions [start, start + count)."""
        if segment < self.segments - 1:
            if out.dtype != np.int32 or out.shape != (count, self.width):
                raise _bad_shape(node, segment, start, f"{count} rows of width {self.width}", out)
            return
        sampled = max(0, start + count - self._first_sampled(start))
        if out.dtype != np.int32 or out.shape != (sampled,):
            raise _bad_shape(node, segment, start, f"{sampled} sampled tokens", out)
        # Fed on, it would be the first segment's node that refuses it, and gets the blame.
        if any(not 0 <= token < self.vocab for token in out.tolist()):
            raise BadRowsError(
                f"node {node} sampled a token that the model does not have at position {start}",
                advice="Another node takes over where there is one; do not use this one.",
            )

    def _first_sampled(self, start: int) -> int:
        """The first position at or after ``start`` that samples a token."""
        return max(start, self.prompt_length - 1)

    def _accept_tokens(self, start: int, count: int, out: RowArray, node: str) -> list[int]:
        self.check(self.segments - 1, start, count, out, node)
        first = self._first_sampled(start)
        values: list[int] = out.tolist()
        known = self.tokens[first + 1 : first + 1 + len(values)]
        for offset, (before, now) in enumerate(zip(known, values, strict=False)):
            if before != now:
                raise _mismatch(node, self.segments - 1, first + offset, out[offset])
        fresh = values[len(known) :]
        self._note_giver(self.segments - 1, first + len(known), node)
        self.tokens += fresh
        return fresh

    def hash_anew(self) -> None:
        """Forget all hashes: an interrupt may have left half of some."""
        self._token_tree = RowTree(None, self._salt)
        self._trees = [RowTree(self.width, self._salt) for _ in self._rows]

    def hash_new(self) -> None:
        """Hash what was accepted since, as roots want it: cheaper now, while nodes are at work, than when they wait."""
        if tokens := self.tokens[len(self._token_tree) :]:
            self._token_tree.append(np.array(tokens, np.int32))
        for tree, rows in zip(self._trees, self._rows, strict=True):
            if fresh := rows[len(tree) :]:
                tree.append(np.stack(fresh))

    def in_root(self, segment: int, to: int) -> bytes:
        """Root over the rows that ``segment`` took in for positions [0, to)."""
        self.hash_new()
        return self._token_tree.root(to) if segment == 0 else self._trees[segment - 1].root(to)

    def out_root(self, segment: int, to: int) -> bytes:
        """Root over what ``segment`` put out for positions [0, to); the last one: prompt and sampled, to + 1."""
        self.hash_new()
        return self._token_tree.root(to + 1) if segment == self.segments - 1 else self._trees[segment].root(to)

    def leaves(self) -> tuple[tuple[bytes, ...], ...]:
        """Leaf hashes of every inner boundary: with them a wrong row can be found inside a chunk later."""
        found = []
        for rows in self._rows:
            data = np.stack(rows) if rows else np.empty((0, self.width), np.int32)
            layout = RowLayout.of("i32", tuple(data.shape))
            found.append(tuple(leaf_hashes(tensor_bytes(data), layout.leaf_bytes)))
        return tuple(found)


def _bad_shape(node: str, segment: int, start: int, expected: str, out: RowArray) -> BadRowsError:
    return BadRowsError(
        f"node {node} answered position {start} of segment {segment} with {out.dtype} {tuple(out.shape)} "
        f"instead of {expected}",
        advice="Another node takes over where there is one; do not use this one.",
    )


def _mismatch(node: str, segment: int, position: int, row: RowArray) -> ReplayMismatchError:
    return ReplayMismatchError(
        f"node {node} computed other bits for segment {segment} at position {position} than the node before it",
        advice="One of the two lied: run `nexus verify` on the answer to see which.",
        position=position,
        row=row,
    )
