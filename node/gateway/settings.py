"""A gateway's own settings: flags first, then ``NEXUS_GATEWAY_`` variables, then these defaults."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nexus_chain.errors import SettingsError
from nexus_chain.settings import merge
from node.gateway.accounts import OPEN_ANSWERS

_ORIGIN = re.compile(r"(https://(?!.*:443$)|http://(?!.*:80$))[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?")
"""As browsers write it: small letters, no path, no port that goes without saying; the policy of a page has no words for
IPv6 addresses."""
GATEWAY_PREFIX = "NEXUS_GATEWAY_"


@dataclass(frozen=True)
class GatewaySettings:
    """``listen``: host:port. ``model``: names that are served, each NAME or NAME=VERSION; none: the newest here.

    ``database``: URL; empty: SQLite in the home. ``max_tokens``: of an answer whose request names no number.
    ``verify_rate``: share of answers that are recomputed here. ``audit_rate``: share of receipts that other nodes are
    paid to recompute; above 0, reservations double. ``fee_basis_points`` of an answer's cost and ``gas_wei`` a piece:
    what the gateway takes. ``open_answers``: under way for one account, over all of its keys. ``body_limit``: bytes of
    a request. ``keep_days``: of evidence. ``drain``: seconds that answers get at shutdown. ``answers``: at once for
    each model. ``session_tokens``: positions that a session is opened for. ``public_url``: the gateway's address as
    callers see it; empty: where it listens. ``operator_key_file``: an API key of the operator's own account lies there,
    made where there is none, with ``operator_credit`` wei.
    ``deposits``: address of the contract whose deposits are credit, created in block ``deposits_block``; empty: none.
    ``x402_token``: address of the token that pays for requests without a key (EIP-3009; its EIP-712 domain has
    ``x402_name`` and ``x402_version``), ``x402_wei_per_unit`` wei of credit for its smallest unit; empty: none. No
    payment is of less than ``x402_least_wei``, which is to cover the gas of fetching it: 100 000 gas at 1 gwei.
    ``public_rpc``: addresses of RPC servers that anybody may use, with commas between: the page offers them to wallets
    that do not know the chain; empty: none. ``chain_name``: what wallets then call it.
    ``audits``: of certificates that callers may have run here at once, one for each account; 0: none are run.
    ``verifier``: origins of other gateways that the page offers as second opinion on an answer; each must name this
    one's with ``verify_for``. ``verify_for``: origins of gateways whose readers may have answers recomputed here, free
    of charge; none: nobody may.
    ``distillation``: folder of a distillation that known callers may look at; None: there is none.
    ``insecure_single_key_file``: file with the one key that may ask, without accounts and without limits.
    """

    listen: str = "127.0.0.1:11434"
    model: tuple[str, ...] = ()
    database: str = ""
    max_tokens: int = 1024
    verify_rate: float = 0.05
    audit_rate: float = 0.0
    fee_basis_points: int = 0
    gas_wei: int = 0
    open_answers: int = OPEN_ANSWERS
    body_limit: int = 2 << 20
    keep_days: float = 30.0
    drain: float = 30.0
    answers: int = 64
    session_tokens: int = 65_536
    public_url: str = ""
    operator_key_file: Path | None = None
    operator_credit: int = 0
    deposits: str = ""
    deposits_block: int = 0
    x402_token: str = ""
    x402_name: str = ""
    x402_version: str = ""
    x402_wei_per_unit: int = 0
    x402_least_wei: int = 10**14
    public_rpc: str = ""
    chain_name: str = ""
    insecure_single_key_file: Path | None = None
    audits: int = 2
    verifier: tuple[str, ...] = ()
    verify_for: tuple[str, ...] = ()
    distillation: Path | None = None
    log_level: str = "info"
    log_format: str = "text"

    def __post_init__(self) -> None:
        limits = {
            "max_tokens": (1, 1 << 20), "verify_rate": (0, 1), "audit_rate": (0, 1), "fee_basis_points": (0, 10_000),
            "gas_wei": (0, 1 << 96), "body_limit": (1 << 10, 1 << 30), "keep_days": (0, 36_500),
            "drain": (0, 3_600), "answers": (1, 1_024), "open_answers": (1, 1 << 16),
            "operator_credit": (0, 1 << 128), "session_tokens": (1, 1 << 32), "deposits_block": (0, 1 << 63),
            "x402_wei_per_unit": (1 if self.x402_token else 0, 1 << 128), "x402_least_wei": (0, 1 << 128),
            "audits": (0, 64),
        }  # fmt: skip
        for name, (least, most) in limits.items():
            if not least <= getattr(self, name) <= most:
                raise SettingsError(
                    f"{name} = {getattr(self, name)} is out of range", advice=f"Give {least} to {most}."
                )
        _ = self.address, self.public_rpcs
        for name in ("verifier", "verify_for"):
            for origin in getattr(self, name):
                _require_origin(name, origin)
        if self.public_url.rstrip("/") in self.verifier:
            raise SettingsError(
                f"verifier = {self.public_url!r} is this gateway itself", advice="Name gateways of other operators."
            )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of ``listen``. Raises SettingsError."""
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise SettingsError(f"listen = {self.listen!r} is no address", advice="Give host:port.")
        return host.strip("[]"), int(port)

    @property
    def public_rpcs(self) -> list[str]:
        """The addresses of ``public_rpc``. Raises SettingsError."""
        found = [url.strip() for url in self.public_rpc.split(",") if url.strip()]
        for url in found:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
                raise SettingsError(
                    f"public_rpc = {url!r} is no address that anybody may use",
                    advice="Give https://HOST, without a name.",
                )
        return found

    @property
    def wanted(self) -> list[tuple[str, str | None]]:
        """(name, beginning of its version's id or None) of each model."""
        pairs = (entry.partition("=") for entry in self.model)
        return [(name, version or None) for name, _, version in pairs]


def _require_origin(name: str, origin: str) -> None:
    """INVARIANT: it goes into the page's policy, so it is an address and nothing else. Raises SettingsError."""
    if _ORIGIN.fullmatch(origin) is None:
        raise SettingsError(
            f"{name} = {origin!r} is no origin of a gateway",
            advice="Give https://HOST or https://HOST:PORT, no path, no port 443.",
        )


def load_gateway_settings(given: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> GatewaySettings:
    """Settings; ``given`` by flags, None where they were not. Raises SettingsError."""
    return GatewaySettings(
        **merge(GatewaySettings, given, {}, environment, variables=lambda name: [GATEWAY_PREFIX + name.upper()])
    )
