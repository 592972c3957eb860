"""Checking an answer: what the papers say, then what the integer program says.

``verify_proof`` runs numbered steps; each names what it looked at and why it failed.

1. order      signed by the session key; its promptRoot is the root of the prompt
2. receipts   each signed by its node's receipt key, for this order, at the order's price
3. links      each receipt names its predecessor, whose output root is its input root, or the audit that bought it
4. coverage   every segment vouches for every position that was fed
5. tokens     the last segment's output root is that of the tokens in the file
6. recompute  one prefill over the tokens gives every receipt's input and output root

Steps 1 to 5 need no weights (level *trust*). Step 6 is many times cheaper than generating was,
and exact: one different bit anywhere changes a root.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from nexus_chain.commitments.merkle import MerkleTree, leaf_hashes
from nexus_chain.commitments.tensor import RowLayout, RowTree, commit, tensor_bytes, tensor_root
from nexus_chain.engine.engine import Engine
from nexus_chain.errors import NexusError
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.market.documents import Receipt, TokenFeed, require_signer
from nexus_chain.market.receipts import check_link, check_prompt, check_receipt
from nexus_chain.program import IntegerModel
from nexus_chain.program.sampling import Sampling
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.wire.peer import SignedReceipt

PREFILL_BLOCK = 256
"""Positions recomputed at a time; any number gives the same bits. An encoder takes all at once."""


@dataclass(frozen=True)
class AuditLevel:
    """How often an answer is recomputed: ``rate`` 0 trusts the receipts, 1 recomputes every answer."""

    rate: float

    def recompute(self) -> bool:
        """Draw whether this answer is recomputed; the draw cannot be predicted by a node."""
        return secrets.randbelow(1 << 53) < self.rate * (1 << 53)


TRUST = AuditLevel(0.0)
FULL = AuditLevel(1.0)


def level_of_share(rate: float) -> AuditLevel:
    """The level that recomputes a share ``rate`` of the answers."""
    return AuditLevel(min(max(rate, 0.0), 1.0))


@dataclass(frozen=True)
class VerifiedFragment:
    """The verdict on one receipt.

    ``first_difference`` is the first wrong position, exact when the answer file carries the
    boundary's leaves (``exact``), else the first position that the receipt bills.
    ``to_blame``: its input was right (or what it was sent) and its output is wrong.
    """

    segment: int
    layers: tuple[int, int]
    node: str
    from_position: int
    to_position: int
    verified: bool
    reason: str = ""
    first_difference: int | None = None
    exact: bool = False
    to_blame: bool = False


@dataclass(frozen=True)
class StepResult:
    """One numbered step; ``reason`` says why it failed, or what one that passed did not look at."""

    number: int
    name: str
    passed: bool
    reason: str = ""


@dataclass(frozen=True)
class VerificationReport:
    """What ``verify_proof`` found."""

    steps: tuple[StepResult, ...]
    fragments: tuple[VerifiedFragment, ...]
    recomputed: bool

    @property
    def passed(self) -> bool:
        """Every step that ran passed."""
        return all(step.passed for step in self.steps)

    @property
    def wrong(self) -> tuple[VerifiedFragment, ...]:
        """Fragments that failed, those to blame first."""
        return tuple(sorted((f for f in self.fragments if not f.verified), key=lambda f: not f.to_blame))


@dataclass
class Recomputation:
    """Roots and rows of every boundary, recomputed from the tokens alone."""

    width: int
    tokens: RowTree
    sampled: list[int]
    boundaries: list[RowTree]
    leaves: list[list[bytes]] = field(default_factory=list)


PositionProgress = Callable[[int, int], None]


def verify_proof(
    proof: InferenceProof,
    model: IntegerModel | None = None,
    level: AuditLevel = FULL,
    *,
    receipt_keys: Mapping[str, str] | None = None,
    progress: PositionProgress = lambda done, total: None,
) -> VerificationReport:
    """Check an answer. ``receipt_keys`` are the chain's, by node; without them the file's own are believed.

    ``progress(done, total)`` counts positions times segments. Raises ModelFilesError when the level
    asks for a recomputation and there is no model.
    """
    keys = dict(proof.receipt_keys if receipt_keys is None else receipt_keys)
    steps: list[StepResult] = []
    papers: list[tuple[str, Callable[[], None]]] = [
        ("order", lambda: _check_order(proof)),
        ("receipts", lambda: _check_receipts(proof, keys)),
        ("links", lambda: _check_links(proof)),
        ("coverage", lambda: _check_coverage(proof)),
        ("tokens", lambda: _check_tokens(proof)),
    ]
    for number, (name, check) in enumerate(papers, 1):
        steps.append(_run(number, name, check))
    if not level.recompute():
        return VerificationReport(tuple(steps), tuple(_unjudged(proof)), False)
    if model is None:
        raise ModelFilesError(
            "recomputing needs the model and there is none here",
            advice="Import or download it, or verify the signatures only with --level trust.",
        )
    fragments = tuple(judge_receipts(proof, recompute(proof, model, progress)))
    wrong = [f for f in fragments if not f.verified]
    reason = f"segment {wrong[0].segment}: {wrong[0].reason}" if wrong else ""
    steps.append(StepResult(6, "recompute", not wrong, reason))
    return VerificationReport(tuple(steps), fragments, True)


def _run(number: int, name: str, check: Callable[[], None]) -> StepResult:
    try:
        check()
    except NexusError as error:
        return StepResult(number, name, False, error.message)
    except _Failed as failed:
        return StepResult(number, name, False, str(failed))
    return StepResult(number, name, True)


class _Failed(Exception):
    """A step's own reason; never leaves this module."""


# --------------------------------------------------------------------- the papers


def _check_order(proof: InferenceProof) -> None:
    require_signer(proof.order, proof.order_signature, proof.domain, proof.signer)
    prompt = torch.tensor(proof.tokens[: proof.prompt_length], dtype=torch.int32)
    if commit(prompt, proof.order.salt) != proof.order.prompt_root:
        raise _Failed("the prompt in the file is not the one that was ordered")


def _check_receipts(proof: InferenceProof, keys: Mapping[str, str]) -> None:
    if not proof.receipts:
        raise _Failed("there are no receipts")
    for receipt, signature in proof.receipts:
        if receipt.node not in keys:
            raise _Failed(f"no receipt key is known for node {receipt.node}")
        key = keys[receipt.node]
        check_receipt(
            receipt,
            signature,
            proof.domain,
            proof.order,
            receipt_key=key,
            prompt_length=proof.prompt_length,
            audits=[audit for audit, _ in proof.audits],
        )


def _check_links(proof: InferenceProof) -> None:
    vouching: dict[bytes, Receipt | TokenFeed] = {r.digest(proof.domain): r for r, _ in proof.receipts}
    for feed, signature in proof.feeds:
        require_signer(feed, signature, proof.domain, proof.signer)
        vouching[feed.digest(proof.domain)] = feed
    # An audit's receipt has no place in the chain: the session key vouches for its rows in.
    bought = set()
    for audit, signature in proof.audits:
        require_signer(audit, signature, proof.domain, proof.signer)
        bought.add(audit.digest(proof.domain))
    for receipt, _ in proof.receipts:
        if bought.issuperset(receipt.predecessors) and receipt.predecessors:
            continue
        if not receipt.predecessors:
            check_prompt(receipt, proof.order, proof.prompt_length)
        for digest in receipt.predecessors:
            if digest not in vouching:
                raise _Failed(f"a predecessor of segment {receipt.segment} at {receipt.to_position} is missing")
            check_link(receipt, vouching[digest], proof.domain)


def _check_coverage(proof: InferenceProof) -> None:
    fed = len(proof.tokens) - 1
    for segment in range(len(proof.order.asks)):
        reach = max((r.to_position for r, _ in proof.receipts if r.segment == segment), default=0)
        if reach < fed:
            raise _Failed(f"segment {segment} vouches for {reach} of {fed} positions")


def _check_tokens(proof: InferenceProof) -> None:
    last = len(proof.order.asks) - 1
    for receipt, _ in proof.receipts:
        if receipt.segment == last and receipt.out_root != token_root(proof, receipt.to_position + 1):
            raise _Failed(f"the last segment's receipt at {receipt.to_position} is not over the tokens in the file")


def token_root(proof: InferenceProof, to: int) -> bytes:
    """Root of the answer's first ``to`` tokens under its order's salt."""
    return commit(torch.tensor(proof.tokens[:to], dtype=torch.int32), proof.order.salt)


def _unjudged(proof: InferenceProof) -> Iterator[VerifiedFragment]:
    for receipt, _ in proof.receipts:
        yield _fragment(proof, receipt, verified=True, reason="not recomputed")


def _fragment(proof: InferenceProof, receipt: Receipt, *, verified: bool, **more: object) -> VerifiedFragment:
    ask = proof.order.asks[receipt.segment] if receipt.segment < len(proof.order.asks) else None
    layers = (ask.layer_start, ask.layer_end) if ask else (0, 0)
    where = (receipt.segment, layers, receipt.node, receipt.from_position, receipt.to_position)
    return VerifiedFragment(*where, verified, **more)  # type: ignore[arg-type]


# ---------------------------------------------------------------- recomputation


def recompute(
    proof: InferenceProof, model: IntegerModel, progress: PositionProgress = lambda done, total: None
) -> Recomputation:
    """One prefill over the answer's tokens, segment by segment as they were ordered.

    Raises ModelFilesError when the model's layers are not those of the order.
    """
    order, shape = proof.order, model.program.shape
    if not order.asks or order.asks[-1].layer_end != shape.layers:
        raise ModelFilesError(
            f"the order is for another model than this one of {shape.layers} layers",
            advice="Give the folder of the model version that answered.",
        )
    fed, last = len(proof.tokens) - 1, len(order.asks) - 1
    rows = torch.tensor(proof.tokens[: max(fed, proof.prompt_length)], dtype=torch.int32)
    tokens = RowTree(None, order.salt)
    tokens.append(torch.tensor(proof.tokens, dtype=torch.int32))
    found = Recomputation(shape.width, tokens, [], [])
    for segment, ask in enumerate(order.asks):
        done = segment * len(rows)
        total = len(rows) * len(order.asks)
        step = partial(_advance, progress, done, total)
        out = _prefill(model, (ask.layer_start, ask.layer_end), rows, proof, step)
        if segment == last:
            found.sampled = out.tolist()
        else:
            tree = RowTree(shape.width, order.salt)
            tree.append(out)
            found.boundaries.append(tree)
            layout = RowLayout.of("i32", tuple(out.shape))
            found.leaves.append(leaf_hashes(tensor_bytes(out), layout.leaf_bytes))
            rows = out
    return found


def _advance(progress: PositionProgress, before: int, total: int, positions: int) -> None:
    progress(before + positions, total)


def _prefill(
    model: IntegerModel, layers: tuple[int, int], rows: Tensor, proof: InferenceProof, step: Callable[[int], None]
) -> Tensor:
    """All rows of one segment's output: i32[t, width], or the sampled tokens i32[n]."""
    engine = Engine(model.program, model.weights, *layers)
    sampling = Sampling(proof.order.sampling, proof.order.sampling_seed)
    state = engine.open(proof.prompt_length, sampling, len(rows))
    parts: list[Tensor] = []
    size = len(rows) if model.program.is_encoder else PREFILL_BLOCK
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        parts.append(engine.forward([(state, block)])[0])
        step(start + len(block))
    return torch.cat(parts)


def judge_receipts(proof: InferenceProof, found: Recomputation) -> Iterator[VerifiedFragment]:
    """Compare every receipt with the recomputation, in segment order within each chunk."""
    for receipt, _ in receipts_in_order(proof.receipts):
        right_input = receipt.in_root == _root_of(found, receipt.segment - 1, receipt.to_position)
        difference, exact = _output_difference(proof, found, receipt)
        if right_input and difference is None:
            yield _fragment(proof, receipt, verified=True)
        elif right_input:
            yield _fragment(
                proof,
                receipt,
                verified=False,
                reason=f"node {receipt.node} signed an output that its input does not give",
                first_difference=difference,
                exact=exact,
                to_blame=True,
            )
        else:
            yield _fragment(
                proof,
                receipt,
                verified=False,
                reason="it worked on rows that are not the program's: see its predecessor",
                first_difference=receipt.from_position if difference is None else difference,
                exact=exact,
            )


def receipts_in_order(receipts: Sequence[SignedReceipt]) -> list[SignedReceipt]:
    """Receipts chunk by chunk, in each by segment: the order in which ``judge_receipts`` speaks of them."""
    return sorted(receipts, key=lambda signed: (signed[0].to_position, signed[0].segment))


def _root_of(found: Recomputation, boundary: int, to: int) -> bytes | None:
    """Root of what segment ``boundary`` put out (-1: of the tokens) up to ``to``; None beyond what was fed.

    None for a segment that the order has not: whoever made the file wrote what it liked.
    """
    if boundary >= len(found.boundaries):
        return None
    tree = found.tokens if boundary < 0 else found.boundaries[boundary]
    return tree.root(to) if to <= len(tree) else None


def _output_difference(proof: InferenceProof, found: Recomputation, receipt: Receipt) -> tuple[int | None, bool]:
    """(first wrong position, whether that is exact), or (None, True) when the output root is right."""
    if receipt.segment == len(proof.order.asks) - 1:
        return _token_difference(proof, found, receipt)
    if receipt.out_root == _root_of(found, receipt.segment, receipt.to_position):
        return None, True
    return _row_difference(proof, found, receipt)


def _token_difference(proof: InferenceProof, found: Recomputation, receipt: Receipt) -> tuple[int | None, bool]:
    # INVARIANT: the receipt is judged, not the tokens in the file: whoever made the file wrote those as it liked.
    given = proof.prompt_length
    right = [*proof.tokens[:given], *found.sampled[: receipt.to_position + 1 - given]]
    if receipt.out_root == commit(torch.tensor(right, dtype=torch.int32), proof.order.salt):
        return None, True
    first = given - 1
    if receipt.out_root == token_root(proof, receipt.to_position + 1):
        for offset, (theirs, ours) in enumerate(zip(proof.tokens[given:], right[given:], strict=False)):
            if theirs != ours:
                return first + offset, True
    return receipt.from_position, False


def _row_difference(proof: InferenceProof, found: Recomputation, receipt: Receipt) -> tuple[int, bool]:
    """Compare leaf by leaf where the file's leaves are really those behind the receipt's root."""
    if receipt.segment >= len(found.leaves):
        return receipt.from_position, False
    ours = found.leaves[receipt.segment]
    theirs = proof.leaves[receipt.segment] if receipt.segment < len(proof.leaves) else ()
    tree = found.boundaries[receipt.segment]
    size = len(tree), found.width
    layout = RowLayout.of("i32", size)
    root = tensor_root("i32", size, MerkleTree(theirs).root(), proof.order.salt)
    if len(theirs) != len(ours) or receipt.to_position != len(tree) or root != receipt.out_root:
        return receipt.from_position, False
    for leaf, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        if one != other:
            return layout.rows_of_leaf(leaf)[0], layout.rows_per_leaf == 1
    return receipt.from_position, False
