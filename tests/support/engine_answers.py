"""Answers of a small random model, with the receipts that honest (or lying) nodes sign."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from nexus_chain.client.boundary_rows import BoundaryRows
from nexus_chain.commitments.tensor import commit
from nexus_chain.engine.engine import Engine
from nexus_chain.evidence.proof import InferenceProof
from nexus_chain.market.documents import Ask, Domain, Order, Receipt, TokenFeed, address_of, sign
from nexus_chain.program import IntegerModel, ModelShape, random_model
from nexus_chain.program.sampling import Sampling

DOMAIN = Domain(31337, "0x" + "11" * 20)
SHAPE = ModelShape(layers=3, width=256, heads=4, kv_heads=2, head_dim=64, ffn=128, vocab=300, context=96)
SPLIT = ((0, 1), (1, 2), (2, 3))
SESSION_KEY = bytes([3]) * 32
NODE_KEYS = tuple(bytes([9]) * 31 + bytes([i + 1]) for i in range(3))
Meddle = Callable[[int, int, Tensor], Tensor]


def small_model() -> IntegerModel:
    return random_model(SHAPE, seed=5)


def unchanged(segment: int, start: int, rows: Tensor) -> Tensor:
    return rows


def answer_of(
    model: IntegerModel,
    prompt: Sequence[int],
    count: int,
    *,
    split: Sequence[tuple[int, int]] = SPLIT,
    sampling: Sampling | None = None,
    meddle: Meddle = unchanged,
) -> InferenceProof:
    """Run the pipeline's arithmetic in this process; ``meddle`` may change what a segment puts out."""
    sampling = sampling or Sampling()
    salt = bytes([8]) * 32
    root = commit(torch.tensor(prompt, dtype=torch.int32), salt)
    asks = tuple(Ask(start, end, 10 + start) for start, end in split)
    price = sum(ask.wei_per_token for ask in asks) * (len(prompt) + count)
    order = Order(bytes(32), salt, bytes(32), root, count, sampling.seed, sampling.beta, price, asks, 2**40)
    digest = order.digest(DOMAIN)
    engines = [Engine(model.program, model.weights, *layers) for layers in split]
    shape = model.program.shape
    states = [engine.open(len(prompt), sampling, shape.context) for engine in engines]
    seen = BoundaryRows(len(split), prompt, salt, shape.width)
    receipts, feeds, closed = [], [], 0
    for stop in range(len(prompt), len(prompt) + count):
        start = 0 if stop == len(prompt) else stop - 1
        for segment, (engine, state) in enumerate(zip(engines, states, strict=True)):
            out = engine.forward([(state, torch.from_numpy(seen.inputs(segment, start, stop)))])[0]
            seen.accept(segment, start, stop - start, meddle(segment, start, out).numpy(), "node")
        if stop == len(prompt) or stop - closed == 32 or stop == len(prompt) + count - 1:
            feed = TokenFeed(digest, stop, seen.in_root(0, stop))
            previous: tuple[bytes, ...] = ()
            if stop > len(prompt):
                feeds.append((feed, sign(feed, SESSION_KEY, DOMAIN)))
                previous = (feed.digest(DOMAIN),)
            for segment, ask in enumerate(asks):
                receipt = Receipt(
                    digest,
                    address_of(NODE_KEYS[segment]),
                    segment,
                    closed,
                    stop,
                    seen.in_root(segment, stop),
                    seen.out_root(segment, stop),
                    previous,
                    ask.wei_per_token * (stop - closed),
                )
                receipts.append((receipt, sign(receipt, NODE_KEYS[segment], DOMAIN)))
                previous = (receipt.digest(DOMAIN),)
            closed = stop
    return InferenceProof(
        DOMAIN,
        order,
        sign(order, SESSION_KEY, DOMAIN),
        address_of(SESSION_KEY),
        len(prompt),
        tuple(seen.tokens),
        tuple(receipts),
        tuple(feeds),
        {address_of(key): address_of(key) for key in NODE_KEYS},
        seen.leaves(),
    )


def with_receipt(proof: InferenceProof, index: int, *, resign: bool, **changes: object) -> InferenceProof:
    """The proof with one receipt changed; ``resign``: by its own node, which is what a lying node does."""
    receipt, signature = proof.receipts[index]
    changed = replace(receipt, **changes)  # type: ignore[arg-type]
    if resign:
        signature = sign(changed, NODE_KEYS[changed.segment], DOMAIN)
    receipts = list(proof.receipts)
    receipts[index] = (changed, signature)
    return replace(proof, receipts=tuple(receipts))
