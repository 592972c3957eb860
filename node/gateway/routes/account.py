"""What the caller's account has."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter
from sqlalchemy import Connection

from node.gateway.access.types import AccountBody
from node.gateway.accounts import READ
from node.gateway.deps import GatewayLedger, KnownCaller
from node.gateway.ledger.books import booked_balance, refunds, reserved, user
from node.gateway.ledger.reservations import day_of, spent_on

router = APIRouter()


@router.get("/v1/account")
async def account(caller: KnownCaller, ledger: GatewayLedger) -> AccountBody:
    """Balance, what is reserved for answers under way, and what was spent today."""
    caller.require(READ)
    await ledger.settled(caller.account)
    return await ledger.read(partial(_account, name=caller.account, now=ledger.clock()))


def _account(connection: Connection, name: str, now: float) -> AccountBody:
    return AccountBody(
        account=name,
        balance_wei=str(booked_balance(connection, user(name))),
        reserved_wei=str(booked_balance(connection, reserved(name))),
        refundable_wei=str(booked_balance(connection, refunds(name))),
        spent_today_wei=str(spent_on(connection, name, day_of(now))),
    )
