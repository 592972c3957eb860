"""A process that writes random examples into a memory, five at a time.

    python -m tests.support.memory_writer URL SEED COUNT

Prints how many are saved after each step: what it promised to whoever started it.
"""

from __future__ import annotations

import sys

from nexus_chain.distillation.memory.persistence import CognitivePersistence
from tests.support.memory_examples import random_examples

STEP = 5


def write(url: str, seed: int, count: int) -> None:
    """Save the examples of ``seed``, in order."""
    examples = random_examples(count, seed)
    with CognitivePersistence(url) as memory:
        for start in range(0, count, STEP):
            memory.save_examples(examples[start : start + STEP])
            print(start + STEP, flush=True)


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
