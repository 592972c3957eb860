"""What a watcher has to say for itself, as a JSON value."""

from __future__ import annotations

from typing import Any

from node.watch.cases import WatchState


def report_of(state: WatchState) -> dict[str, Any]:
    """What was judged and where every case stands; amounts in wei."""
    verdicts = list(state.judged.values())
    return {
        "answers": {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))},
        "spent_wei": state.spent,
        "locked_wei": state.locked,
        "lost_wei": state.lost,
        "reputation": {node: state.book.of(node) for node in state.book.records},
        "cases": [
            {
                "receipt": "0x" + case.receipt.hex(),
                "node": case.node,
                "kind": case.kind,
                "game": case.game,
                "outcome": case.outcome,
                "transactions": case.transactions,
                "gas": case.gas,
                "fees_wei": case.fees,
            }
            for case in state.cases.values()
        ],
    }
