"""What this machine computes with, and whether it computes the right bits."""

from __future__ import annotations

from pathlib import Path

from nexus_chain.diagnosis import OK, WARN, Finding
from nexus_chain.engine.backends import Backend

#: Linux's names of instruction sets for byte products, the best first.
INSTRUCTIONS = ("amx_int8", "avx512_vnni", "avx_vnni", "avx2")


def engine_health(wanted: Backend = "auto") -> Finding:
    """Run the engine's self-test on this processor. Raises KernelUnavailableError where ``wanted`` cannot be had."""
    from nexus_chain.engine.engine import choose_backend  # torch takes seconds to import
    from nexus_chain.engine.products import product_name

    chosen = choose_backend(wanted)
    said = f"{instruction_set()}; the self-test chose {chosen}, torch's exact product is {product_name()}"
    if wanted == "auto" and chosen == "torch":
        return Finding(WARN, said, "Answers are right and slow: install a C compiler (cc).")
    return Finding(OK, said)


def instruction_set() -> str:
    """The processor's best instructions for byte products, as the system names them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown instruction set"
    flags = set(next((line for line in lines if line.startswith(("flags", "Features"))), "").split())
    return next((name for name in INSTRUCTIONS if name in flags), "no known byte products")
