"""Sign-in with Ethereum: a nonce, then a signed message for a session."""

from __future__ import annotations

from fastapi import APIRouter, Response

from node.gateway.access.sign_in import NONCE_SECONDS
from node.gateway.access.types import NonceBody, SessionBody, SignedMessageBody
from node.gateway.deps import GatewayDesk

router = APIRouter()


@router.get("/v1/siwe/nonce")
async def nonce(desk: GatewayDesk, response: Response) -> NonceBody:
    """A nonce, and what else the message has to say."""
    response.headers["cache-control"] = "no-store"
    terms = desk.terms
    return NonceBody(
        nonce=await desk.nonce(),
        domain=terms.domain,
        uri=terms.uri,
        chain_id=terms.chain_id,
        expires_in=NONCE_SECONDS,
    )


@router.post("/v1/siwe/verify")
async def verify(body: SignedMessageBody, desk: GatewayDesk, response: Response) -> SessionBody:
    """A session token for the account that signed the message."""
    response.headers["cache-control"] = "no-store"
    found = await desk.verify(body.message, body.signature)
    return SessionBody(token=found.token, account=found.account, expires=found.expires)
