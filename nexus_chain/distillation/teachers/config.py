"""One teacher: where it is, what it costs, and how much it may be asked."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import urlsplit

from nexus_chain.distillation.secret import Secret
from nexus_chain.distillation.teachers.errors import TeacherConfigError
from nexus_chain.distillation.teachers.presets import LengthField, TeacherProtocol
from nexus_chain.distillation.teachers.prices import TokenPrices, price_per_token


@dataclass(frozen=True)
class QuotaLimits:
    """What a teacher may be asked in a day and in a calendar month, both of UTC; None: as much as one likes."""

    requests_per_day: int | None = None
    requests_per_month: int | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None


@dataclass(frozen=True)
class TeacherConfig:
    """See component 2 of the design for the first five fields.

    ``name``: what the teacher is called in answers and records. ``api_key``: None for a server that wants none.
    ``endpoint``: the address that the client's ``base_url`` takes; plain ``http`` only on this machine.
    ``cost_per_1k_tokens``: USD for tokens read and written alike; ``input_cost_per_1k`` and ``output_cost_per_1k``
    where they differ. ``rate_limit_rpm``: requests in any minute. ``model``: as the provider calls it.
    ``free``: costs nothing, and is asked before those that cost. ``max_tokens``: of an answer.
    ``temperature``: None: the provider's. ``timeout_seconds``: for a whole call. ``max_answer_bytes``: of the body
    that is read; ``max_text_characters``: of the text in it. ``prompt_overhead``: tokens that the provider's chat
    format may add. Raises TeacherConfigError.
    """

    name: str
    api_key: Secret | None
    endpoint: str
    cost_per_1k_tokens: Decimal = Decimal(0)
    rate_limit_rpm: int = 60
    model: str = ""
    protocol: TeacherProtocol = TeacherProtocol.OPENAI
    input_cost_per_1k: Decimal | None = None
    output_cost_per_1k: Decimal | None = None
    free: bool = False
    max_tokens: int = 1024
    length_field: LengthField = LengthField.MAX_TOKENS
    temperature: float | None = None
    timeout_seconds: float = 120.0
    max_answer_bytes: int = 1 << 20
    max_text_characters: int = 100_000
    prompt_overhead: int = 256
    quota: QuotaLimits = field(default_factory=QuotaLimits)

    def __post_init__(self) -> None:
        if isinstance(self.api_key, str):  # whoever has no type checker is safe, too
            object.__setattr__(self, "api_key", Secret(self.api_key))  # type: ignore[unreachable]
        if not self.name.strip() or not self.model.strip():
            raise TeacherConfigError("a teacher has no name or no model", advice="Give it both.")
        _check_endpoint(self.name, self.endpoint)
        self._check_numbers()
        paid = self.prices != TokenPrices(0, 0)
        if paid == self.free:
            told = "is free and has a price" if paid else "has no price and is not said to be free"
            raise TeacherConfigError(f"the teacher {self.name} {told}", advice="Set its prices, or free = true.")

    @property
    def prices(self) -> TokenPrices:
        """Of a token read and of a token written."""
        read = self.cost_per_1k_tokens if self.input_cost_per_1k is None else self.input_cost_per_1k
        written = self.cost_per_1k_tokens if self.output_cost_per_1k is None else self.output_cost_per_1k
        return TokenPrices(price_per_token("the input price", read), price_per_token("the output price", written))

    def _check_numbers(self) -> None:
        whole = {
            "rate_limit_rpm": self.rate_limit_rpm,
            "max_tokens": self.max_tokens,
            "max_answer_bytes": self.max_answer_bytes,
            "max_text_characters": self.max_text_characters,
            **{name: value for name, value in vars(self.quota).items() if value is not None},
        }
        for name, value in whole.items():
            most = 10**6 if name == "max_tokens" else 10**12
            if not 1 <= value <= most:
                raise TeacherConfigError(
                    f"{name} = {value} of {self.name} is out of range", advice=f"Give 1 to {most}."
                )
        if not 0 <= self.prompt_overhead <= 10**6:
            raise TeacherConfigError(f"prompt_overhead of {self.name} is out of range", advice="Give 0 to 1,000,000.")
        if not (math.isfinite(self.timeout_seconds) and 0 < self.timeout_seconds <= 86_400):
            raise TeacherConfigError(f"timeout_seconds of {self.name} is out of range", advice="Give up to 86,400.")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise TeacherConfigError(f"temperature of {self.name} is out of range", advice="Give 0 to 2.")


def _check_endpoint(name: str, endpoint: str) -> None:
    """A key goes to nobody who listens on the way, and no part of the address is a secret of its own."""
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        parts, host = urlsplit(""), ""
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise TeacherConfigError(f"the endpoint of {name} is no address", advice="Give https://HOST/PATH.")
    if parts.username is not None or parts.password is not None:
        raise TeacherConfigError(f"the endpoint of {name} holds a password", advice="Give the key by itself.")
    if parts.scheme == "http" and not _is_this_machine(host):
        raise TeacherConfigError(
            f"the endpoint of {name} is not encrypted", advice="Give an https address: anybody could read the key."
        )


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
