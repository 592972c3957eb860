"""A prompt with the route that it will take and what it can cost; nothing of it is signed yet."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from nexus_chain.client.network import ClientRoute
from nexus_chain.client.order import AskOptions, price_order
from nexus_chain.market.pricing import Quote
from nexus_chain.routing.errors import NoNodeForLayersError
from nexus_chain.versions.model_files import ModelFiles


@dataclass(frozen=True)
class Prompt:
    """What is asked: the text, and its token ids."""

    text: str
    tokens: tuple[int, ...]

    @classmethod
    def of(cls, asked: str | Sequence[int], files: ModelFiles, options: AskOptions) -> Prompt:
        """From a text, or from token ids. Raises PromptTooLongError."""
        if isinstance(asked, str):
            return cls(asked, tuple(files.prompt_of(asked, options.max_tokens)))
        files.require_room(len(asked), options.max_tokens)
        return cls(files.codec.decode(asked), tuple(asked))


@dataclass(frozen=True)
class Request:
    """A prompt with a route and a price."""

    prompt: Prompt
    route: ClientRoute
    offer: Quote
    options: AskOptions

    @property
    def value_at_risk(self) -> int:
        """Wei that a wrong answer could cost: what the user said, else the order's price."""
        wei = self.options.value_at_risk
        return self.offer.total_wei if wei is None else wei

    @property
    def needs(self) -> Mapping[str, int]:
        """Wei that each first node of the route earns at most."""
        wei: dict[str, int] = {}
        for candidates, ask in zip(self.route.segments, self.route.asks, strict=True):
            node = candidates[0].address
            wei[node] = wei.get(node, 0) + ask.wei_per_token * self.offer.positions
        return wei


def price_request(prompt: Prompt, route: ClientRoute, options: AskOptions, share: int = 0) -> Request:
    """A request with its price; ``share``: the publisher's, basis points.

    Raises PriceError above the user's limit, OrderOverLimitError.
    """
    return Request(prompt, route, price_order(route.asks, prompt.tokens, options, share), options)


@contextmanager
def blame_choice_of(operators: Collection[str], layers: int) -> Iterator[None]:
    """Where operators were named and nobody serves a range of layers, say that it is nobody *among them*."""
    try:
        yield
    except NoNodeForLayersError as error:
        if not operators:
            raise
        raise NoNodeForLayersError(
            error.layer_start, error.layer_end, layers, detail=f"among the {len(operators)} operators that you named"
        ) from None
