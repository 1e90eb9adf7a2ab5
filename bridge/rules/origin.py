"""Where a request really comes from, and whether its source may be there.

A stranger can write any header. So X-Forwarded-For, Forwarded or a certificate's header counts only when the peer of
the connection is a listed proxy, and of a chain only the part that listed proxies wrote.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from bridge.words.reasons import Reason

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Headers = Iterable[tuple[bytes, bytes]]

_MAX_HOPS = 20
_for_of = re.compile(r'(?:^|;)\s*for\s*=\s*("[^"\\]*"|[^\s;",]+)\s*(?=;|$)', re.IGNORECASE).findall
_with_port = re.compile(r"\[([^\]]+)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?").fullmatch
_V6_SITE = 64  # whoever has one IPv6 address usually has the whole /64


@lru_cache(maxsize=1024)  # a flood comes from few addresses, and reading one costs 5 us
def read_address(text: str) -> Address | None:
    """Return an address as proxies spell it, with or without port; None for anything else."""
    text = text.strip()
    found = _with_port(text)
    if found:
        text = found[1] or found[2]
    try:
        address = ip_address(text.partition("%")[0])  # the zone is this machine's own affair
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_in(address: Address, networks: Iterable[Network]) -> bool:
    """Whether one of the networks holds the address."""
    return any(address in network for network in networks)


@lru_cache(maxsize=1024)
def limited_address(address: Address | None) -> str:
    """Return the key under which this address is counted: itself, or its /64 network."""
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _V6_SITE), strict=False).network_address)
    return str(address)


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies in front of the bridge, and the one header in which they name their client."""

    networks: tuple[Network, ...] = ()
    header: bytes = b"x-forwarded-for"

    def lists(self, peer: str | None) -> bool:
        """Whether the peer of a connection is one of them."""
        address = None if peer is None else read_address(peer)
        return address is not None and is_in(address, self.networks)

    def sender(self, peer: str | None, headers: Headers) -> Address | None:
        """Return the sender of a request: the peer, or whom the listed proxies name; None if nobody.

        Read from the right: every proxy appends its client, and anything further left may come from a stranger.
        """
        address = None if peer is None else read_address(peer)
        if address is None or not is_in(address, self.networks):
            return address
        for hop in reversed(self._hops(headers)):
            address = read_address(hop)
            if address is None or not is_in(address, self.networks):
                return address
        return address

    def _hops(self, headers: Headers) -> Sequence[str]:
        lines = ",".join(value.decode("latin-1") for name, value in headers if name == self.header)
        hops = [hop.strip() for hop in lines.split(",")[-_MAX_HOPS:]] if lines else []
        return hops if self.header != b"forwarded" else [_named(hop) for hop in hops]


def _named(element: str) -> str:
    """Return whom an element of Forwarded names (RFC 7239), "" if nobody or two."""
    found = _for_of(element)
    return found[0].strip('"') if len(found) == 1 else ""


NO_PROXIES = Proxies()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a source's webhooks may come from. Empty: from anywhere, with any certificate."""

    networks: tuple[Network, ...] = ()
    certificate_header: bytes = b""
    certificate_names: frozenset[bytes] = frozenset()

    def problem(self, proxies: Proxies, peer: str | None, headers: Sequence[tuple[bytes, bytes]]) -> Reason | None:
        """Return what is wrong with a request's origin, if anything."""
        if self.networks:
            sender = proxies.sender(peer, headers)
            if sender is None or not is_in(sender, self.networks):
                return Reason.ADDRESS_NOT_ALLOWED
        if self.certificate_header:
            given = [value for name, value in headers if name == self.certificate_header]
            if not proxies.lists(peer) or len(given) != 1 or given[0] not in self.certificate_names:
                return Reason.CERTIFICATE_NOT_ALLOWED
        return None
