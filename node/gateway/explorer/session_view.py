"""Sessions and settlements: what was locked, what was promised, and where each wei went."""

from __future__ import annotations

from typing import Any

from nexus_chain.market.documents import checksum
from node.gateway.explorer.archive import ChainArchive, WantedEvents
from node.gateway.explorer.chain_events import MARKET, KeptEvent
from node.gateway.explorer.context import ViewContext
from node.gateway.explorer.pages import PageRequest, page_of


def sessions_page(context: ViewContext, page: PageRequest) -> dict[str, Any]:
    """Sessions, the newest first, without their events."""
    return page_of(context.archive, page, lambda event: _session(context, event), contract=MARKET, name="SessionOpened")


def find_session(context: ViewContext, session: str) -> dict[str, Any] | None:
    """One session with its events, oldest first; None where there is none."""
    opened = context.archive.latest(contract=MARKET, name="SessionOpened", session=session)
    if opened is None:
        return None
    events = [event for event in context.archive.events(session=session) if event.contract == MARKET]
    return {**_session(context, opened), "events": [_told(event) for event in events]}


def settlements_page(context: ViewContext, page: PageRequest, node: str | None = None) -> dict[str, Any]:
    """Settled lines, the newest first; ``node``: of one node only."""
    wanted: WantedEvents = {"contract": MARKET, "name": "LineSettled"}
    if node is not None:
        wanted["node"] = node
    found = page_of(context.archive, page, lambda event: settlement(context.archive, event), **wanted)
    return {**found, "sums": context.archive.settled(node or "").document()}


def settlement(archive: ChainArchive, settled: KeptEvent) -> dict[str, Any]:
    """A settled line: what was locked is just what node, vault and user got of it, and what was locked beside it what
    publisher and user got of that.
    """
    events = list(archive.events(session=str(settled.session)))
    line = _lines([event for event in events if event.place <= settled.place])[str(settled.node)]
    return {
        "id": settled.id,
        "session": settled.session,
        "node": settled.node,
        "time": settled.time,
        "transaction": settled.transaction,
        "cap_wei": line["cap_wei"],
        "promised_wei": line["promised_wei"],
        "returned_wei": line["returned_wei"],
        **_parts(settled),
        "share": _share_paid(events, str(settled.node)),
    }


def _share_paid(events: list[KeptEvent], node: str) -> dict[str, Any] | None:
    """Where a settled line's share went; None where the session has none. It comes right after what it belongs to."""
    opened_for = next((event for event in events if event.name == "OpenedFor"), None)
    found = [event.arguments for event in events if event.name == "ShareSettled" and event.node == node]
    if opened_for is None or not found:
        return None
    return {
        "publisher": found[-1]["publisher"],
        "share_basis_points": int(opened_for.arguments["basisPoints"]),
        "to_publisher_wei": str(sum(int(one["toPublisher"]) for one in found)),
        "returned_wei": str(sum(int(one["toUser"]) for one in found)),
    }


def _parts(settled: KeptEvent) -> dict[str, Any]:
    arguments = settled.arguments
    return {
        "to_node_wei": str(arguments["toNode"]),
        "to_vault_wei": str(arguments["toVault"]),
        "to_user_wei": str(arguments["toUser"]),
        "forfeited": bool(arguments["forfeited"]),
    }


def _session(context: ViewContext, opened: KeptEvent) -> dict[str, Any]:
    events = [event for event in context.archive.events(session=str(opened.session)) if event.contract == MARKET]
    lines = list(_lines(events).values())
    closed = next((event for event in events if event.name == "SessionClosed"), None)
    expiry = int(opened.arguments["expiry"])
    end = int(closed.arguments["end"]) if closed is not None else expiry + int(context.terms["challenge_window"])
    paid = next((event for event in events if event.name == "OrderPaid"), None)
    opened_for = next((event for event in events if event.name == "OpenedFor"), None)
    return {
        "id": opened.id,
        "session": opened.session,
        "user": opened.arguments["user"],
        "signer": opened.arguments["signer"],
        "opened_at": opened.time,
        "transaction": opened.transaction,
        "expiry": expiry,
        "end": end,
        "state": _state(lines, closed is not None, expiry, end, context.now()),
        "order": None if paid is None else paid.arguments["orderDigest"],
        "opened_for": None if opened_for is None else _opened_for(opened_for),
        "lines": lines,
    }


def _opened_for(event: KeptEvent) -> dict[str, Any]:
    """The version, and what its publisher gets of what nodes earn, on top."""
    return {
        "version": event.arguments["modelVersion"],
        "publisher": event.arguments["publisher"],
        "share_basis_points": int(event.arguments["basisPoints"]),
    }


def _state(lines: list[dict[str, Any]], is_closed: bool, expiry: int, end: int, now: int) -> str:
    """``open``, ``expired``, ``closing`` (its challenge window runs), ``settling`` (it is over) or ``settled``."""
    if all(line["settled"] for line in lines):
        return "settled"
    if now > end:
        return "settling"
    if is_closed:
        return "closing"
    return "open" if now <= expiry else "expired"


def _lines(events: list[KeptEvent]) -> dict[str, dict[str, Any]]:
    """The lines of a session by node, after its events in their order."""
    lines: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.contract != MARKET:
            continue
        if event.name == "SessionOpened":
            lines = {checksum(cap["node"]): _line(cap["node"], cap["cap"]) for cap in event.arguments["caps"]}
        elif event.node is not None:
            if event.name == "Allotted":
                lines.setdefault(event.node, _line(event.node, 0))["cap_wei"] = str(event.arguments["cap"])
            elif event.node in lines:
                lines[event.node] |= _change(event, lines[event.node])
    return lines


def _line(node: str, cap: int) -> dict[str, Any]:
    return {
        "node": checksum(node), "cap_wei": str(cap), "promised_wei": "0", "returned_wei": "0", "open_games": 0,
        "closed_until": None, "settled": None, "to_publisher_wei": "0", "share_returned_wei": "0",
    }  # fmt: skip


def _change(event: KeptEvent, line: dict[str, Any]) -> dict[str, Any]:
    """What an event changes in its line."""
    match event.name:
        case "VoucherPosted":
            return {"promised_wei": str(event.arguments["cumulative"])}
        case "LineClosed":
            return {"closed_until": int(event.arguments["end"])}
        case "LineRefunded":
            return {"returned_wei": str(event.arguments["toUser"])}
        case "ShareSettled":
            return {
                "to_publisher_wei": str(int(line["to_publisher_wei"]) + int(event.arguments["toPublisher"])),
                "share_returned_wei": str(int(line["share_returned_wei"]) + int(event.arguments["toUser"])),
            }
        case "GameOpened" | "GameClosed":
            return {"open_games": int(event.arguments["openGames"])}
        case "LineSettled":
            return {"settled": {**_parts(event), "time": event.time, "transaction": event.transaction, "id": event.id}}
        case _:
            return {}


def _told(event: KeptEvent) -> dict[str, Any]:
    amount = next((event.arguments[name] for name in ("cumulative", "cap", "amount") if name in event.arguments), None)
    return {
        "id": event.id, "name": event.name, "node": event.node, "time": event.time, "transaction": event.transaction,
        "wei": None if amount is None else str(amount),
    }  # fmt: skip
