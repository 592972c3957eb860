"""What can run an op list; all give the same bits. Knows nothing of how, and imports nothing heavy."""

from __future__ import annotations

from typing import Literal

Backend = Literal["auto", "native", "torch", "cuda"]
BACKENDS: tuple[Backend, ...] = ("auto", "native", "torch", "cuda")
Chosen = Literal["native", "torch", "cuda"]
