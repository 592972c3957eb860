"""Places that strangers share: so many in all, and fewer for one address or account, so that nobody holds them all.

An address is the one that the server tells: of the connection, or what a proxy says that the server trusts (one on this
machine, or those in FORWARDED_ALLOW_IPS). An IPv6 network of 64 bits is one address: one machine has all of it. The
machine's own addresses share without a bound of their own: a proxy that does not say for whom it asks is all callers.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from types import TracebackType

from starlette.types import Scope

from node.gateway.errors import UnavailableError

OWN_MACHINE = ""
"""The address of callers on the gateway's own machine, and of those whose address is unknown."""


def remote_address(scope: Scope) -> str:
    """Whose request it is, as places are counted."""
    host = str((scope.get("client") or (OWN_MACHINE,))[0])
    found = _ip_of(host)
    return OWN_MACHINE if found is not None and found.is_loopback else network_of(host)


def network_of(host: str) -> str:
    """What counts as one caller: an IPv4 address, or the 64 bits of IPv6 that one customer gets.

    Who comes by IPv4 to a socket of IPv6 has the IPv4 address. What is no address stands for itself: it is unknown, or
    a proxy names its callers otherwise.
    """
    match _ip_of(host):
        case IPv6Address() as found:
            return str(IPv6Network((int(found) >> 64 << 64, 64)))
        case found:
            return host if found is None else str(found)


def _ip_of(host: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(found, IPv6Address) and found.ipv4_mapped) or found


class SharedPlaces:
    """``most`` in all, ``each`` for one holder: an address, or an account. For one event loop.

    ``what``: what they hold, as a refusal says it.
    """

    def __init__(self, most: int, each: int, what: str, retry_after: float, whose: str = "your address") -> None:
        self._most, self._each, self._what, self._retry_after, self._whose = most, each, what, retry_after, whose
        self._held: dict[str, int] = {}

    @property
    def taken(self) -> int:
        """How many are held now."""
        return sum(self._held.values())

    def take(self, holder: str) -> SharedPlace:
        """One of them, until it is given back. Raises UnavailableError where none is free, or none for ``holder``."""
        own = self._held.get(holder, 0)
        if holder != OWN_MACHINE and own >= self._each:
            raise UnavailableError(
                f"{self._whose} has {own} {self._what} already",
                advice="Wait until one of them has ended.",
                retry_after=self._retry_after,
            )
        if self.taken >= self._most:
            raise UnavailableError(
                f"the gateway has {self._most} {self._what} already",
                advice="Ask again in a moment.",
                retry_after=self._retry_after,
            )
        self._held[holder] = own + 1
        return SharedPlace(self, holder)

    def give_back(self, holder: str) -> None:
        """Used by ``SharedPlace``."""
        left = self._held[holder] - 1
        if left:
            self._held[holder] = left
        else:
            del self._held[holder]


class SharedPlace:
    """A place that is held; given back once, however often it is said, and when a ``with`` block ends."""

    def __init__(self, places: SharedPlaces, holder: str) -> None:
        self._places: SharedPlaces | None = places
        self._holder = holder

    def give_back(self) -> None:
        """Let another have it."""
        if self._places is not None:
            places, self._places = self._places, None
            places.give_back(self._holder)

    def __enter__(self) -> SharedPlace:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.give_back()
