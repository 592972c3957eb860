"""What one element of an op depends on; a module per op kind, named like its Solidity library."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nexus_chain.disputes.operators import (
    embed,
    expert_linear,
    gelu,
    linear,
    norm_scale,
    normalise,
    position_embed,
    prefix_mean,
    quantise,
    rope_quantise,
    route,
    row_layout,
    row_max,
    row_scale,
    row_squares,
    sample,
    sample_blocks,
    silu_product,
    value_layout,
    value_quantise,
)
from nexus_chain.disputes.step import Needed, Step

NEEDED: Mapping[str, Callable[[Step], Needed]] = {
    "embed": embed.needed,
    "row_max": row_max.needed,
    "row_squares": row_squares.needed,
    "norm_scale": norm_scale.needed,
    "row_scale": row_scale.needed,
    "quantise": quantise.needed,
    "linear": linear.needed,
    "rope_quantise": rope_quantise.needed,
    "value_quantise": value_quantise.needed,
    "value_layout": value_layout.needed,
    "silu_product": silu_product.needed,
    "sample_blocks": sample_blocks.needed,
    "sample": sample.needed,
    "position_embed": position_embed.needed,
    "normalise": normalise.needed,
    "gelu": gelu.needed,
    "row_layout": row_layout.needed,
    "prefix_mean": prefix_mean.needed,
    "route": route.needed,
    "expert_linear": expert_linear.needed,
}
"""Kinds that one step decides; attention has its own module and moves."""
