"""Quality control of an import: what integers cost in perplexity, and the choices that make it little.

Knows checkpoints, engines and ``transformers``; nothing of chains, nodes or certificates' documents.
"""

from __future__ import annotations

from nexus_chain.quality.comparison import GATE, Comparison, assess, compare, require_alike, require_within
from nexus_chain.quality.errors import CalibrationError, FloatModelError, QualityError, QualityGateError
from nexus_chain.quality.float_model import FloatModel
from nexus_chain.quality.selection import Choice, choose_recipe

__all__ = [
    "GATE",
    "CalibrationError",
    "Choice",
    "Comparison",
    "FloatModel",
    "FloatModelError",
    "QualityError",
    "QualityGateError",
    "assess",
    "choose_recipe",
    "compare",
    "require_alike",
    "require_within",
]
