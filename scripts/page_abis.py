"""Write the page's ABIs from the shipped artefacts: only what the page calls, so that it stays small.

    python -m scripts.page_abis            write node/web/src/chain/abis.ts
    python -m scripts.page_abis --check    write nothing; exit 1 when the file is not current

Errors are taken whole: any of them may be a transaction's reason, and the page has to say it in words.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from scripts.contract_artefacts import ROOT, TARGET

PAGE_ABIS = ROOT / "node" / "web" / "src" / "chain" / "abis.ts"
USED: dict[str, tuple[str, ...]] = {
    "CreditDeposits": (
        "accountOf", "balanceOf", "cancelRefund", "deposit", "held", "notice", "operator", "refund", "requestRefund",
        "withdraw",
    ),
    "NodeRegistry": (
        "addStake", "announce", "announcementOf", "balanceOf", "completeUnbond", "minimumStake", "node", "register",
        "requestUnbond", "unbondingDelay", "updateEndpoint", "withdraw", "withdrawAnnouncement",
        "Announced", "EndpointUpdated", "Registered", "StakeAdded", "UnbondRequested",
    ),
    "InferenceMarket": (
        "balanceOf", "receiptLogOf", "withdraw", "LineClosed", "LineSettled", "ReceiptsCommitted", "VoucherPosted",
        "Withdrawn",
    ),
    "DisputeGame": ("balanceOf", "withdraw"),
}  # fmt: skip
"""By contract: functions and events, by name."""


def page_abis_text() -> str:
    """The text of the page's file. Raises KeyError for a name that no artefact has."""
    parts = ["// Written by scripts/page_abis.py from nexus_chain/chain/artefacts: change neither by hand.\n"]
    for contract, names in USED.items():
        entries = "\n".join(f"  {_typescript(entry)}," for entry in _entries(contract, names))
        parts.append(f"// prettier-ignore\nexport const {_constant(contract)} = [\n{entries}\n] as const;\n")
    return "\n".join(parts)


def _entries(contract: str, names: tuple[str, ...]) -> list[dict[str, Any]]:
    shipped = json.loads((TARGET / f"{contract}.json").read_text())["abi"]
    by_name = {entry["name"]: entry for entry in shipped if entry["type"] in ("function", "event")}
    used = [by_name[name] for name in names]
    return used + [entry for entry in shipped if entry["type"] == "error"]


def _typescript(entry: Any) -> str:
    """JSON with bare keys, without what only documentation reads."""
    if isinstance(entry, dict):
        return "{ " + ", ".join(f"{key}: {_typescript(value)}" for key, value in _kept(entry)) + " }"
    if isinstance(entry, list):
        return "[" + ", ".join(map(_typescript, entry)) + "]"
    return json.dumps(entry)


def _kept(entry: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in sorted(entry.items()) if key != "internalType"]


def _constant(contract: str) -> str:
    """NodeRegistry: nodeRegistryAbi."""
    return f"{contract[0].lower()}{contract[1:]}Abi"


def main() -> int:
    """0: current, or written."""
    text = page_abis_text()
    if "--check" not in sys.argv[1:]:
        PAGE_ABIS.write_text(text)
        return 0
    if PAGE_ABIS.read_text() == text:
        return 0
    print(f"{PAGE_ABIS} is not current: python -m scripts.page_abis", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
