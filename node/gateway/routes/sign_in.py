"""Sign-in with Ethereum: a nonce, then a signed message for a session."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request, Response

from node.gateway.access.sign_in import NONCE_SECONDS, end_session
from node.gateway.access.tokens import SESSION_PREFIX
from node.gateway.access.types import NonceBody, SessionBody, SignedMessageBody
from node.gateway.deps import GatewayDesk, GatewayLedger, KnownCaller, bearer_of
from node.gateway.errors import InvalidRequestError

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
    kind = "Bearer" if found.thumbprint is None else "DPoP"
    return SessionBody(
        token=found.token, account=found.account, expires=found.expires, token_type=kind, thumbprint=found.thumbprint
    )


@router.post("/v1/siwe/logout", status_code=204)
async def logout(request: Request, _: KnownCaller, ledger: GatewayLedger) -> None:
    """End the session whose token comes with the request: from now on it opens nothing, at any gateway.

    Keys that were made with it stay. Raises InvalidRequestError for an API key, which is revoked instead.
    """
    token = bearer_of(request) or ""
    if not token.startswith(SESSION_PREFIX):
        raise InvalidRequestError("an API key signs nobody in", advice="Revoke it: DELETE /v1/keys/ID.")
    await ledger.write(partial(end_session, token=token))
