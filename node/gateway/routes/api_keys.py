"""API keys: make, list, revoke. They need the scope ``keys``."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Response

from node.gateway.access.api_keys import list_keys, make_key, revoke_key
from node.gateway.access.types import KeyBody, KeyListBody, MadeKeyBody, NewKeyBody
from node.gateway.accounts import KEYS
from node.gateway.deps import GatewayLedger, KnownCaller

router = APIRouter()


@router.post("/v1/keys", status_code=201)
async def make(body: NewKeyBody, caller: KnownCaller, ledger: GatewayLedger, response: Response) -> MadeKeyBody:
    """A new key of the caller's account; its secret is shown this once."""
    caller.require(KEYS)
    now = ledger.clock()
    key, secret = await ledger.write(partial(make_key, maker=caller, terms=body.terms(now), now=now))
    response.headers["cache-control"] = "no-store"
    return MadeKeyBody.model_validate(KeyBody.of(key).model_dump() | {"key": secret})


@router.get("/v1/keys")
async def show(caller: KnownCaller, ledger: GatewayLedger) -> KeyListBody:
    """The account's keys, the newest first, without their secrets."""
    caller.require(KEYS)
    found = await ledger.read(partial(list_keys, account=caller.account))
    return KeyListBody(data=[KeyBody.of(key) for key in found])


@router.delete("/v1/keys/{key}")
async def revoke(key: str, caller: KnownCaller, ledger: GatewayLedger) -> KeyBody:
    """End a key; from now on it opens nothing, at any gateway."""
    caller.require(KEYS)
    ended = await ledger.write(partial(revoke_key, account=caller.account, key=key, now=ledger.clock()))
    return KeyBody.of(ended)
