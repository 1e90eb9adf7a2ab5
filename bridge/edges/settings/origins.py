"""`proxies:` of bridge.yaml, and what a source says of where its webhooks come from and how many there may be."""

from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from bridge.edges.settings.fields import Entry
from bridge.edges.settings.signatures import Header
from bridge.rules.origin import Network, Origin, Proxies
from bridge.rules.pacing import Quota

PROXIES = "proxies"


def _network(given: Any) -> Network:
    try:
        return ip_network(given if isinstance(given, str) else "")
    except ValueError as error:
        if "host bits" in str(error):
            nearest = ip_network(given, strict=False)
            raise ValueError(f"is no network: bits are set behind the mask; {nearest} would be one") from None
        raise ValueError("must be an address or a network, like 203.0.113.7 or 203.0.113.0/24") from None


def _not_everybody(network: Network) -> Network:
    if network.prefixlen == 0:
        raise ValueError("lists everybody, and then everybody's headers are believed; list the proxies")
    return network


NetworkField = Annotated[Network, BeforeValidator(_network)]
ProxyField = Annotated[Network, BeforeValidator(_network), AfterValidator(_not_everybody)]
_PerMinute = Annotated[int, Field(ge=0, le=1_000_000)]


class ProxiesForm(Entry):
    """The proxies whose word about a sender is believed."""

    addresses: list[ProxyField] = Field(min_length=1, max_length=256)
    header: Literal["X-Forwarded-For", "Forwarded"] = "X-Forwarded-For"

    def build(self) -> Proxies:
        """Return them."""
        return Proxies(tuple(self.addresses), self.header.lower().encode())


class CertificateForm(Entry):
    """Whose client certificate a proxy must have seen."""

    header: Header
    names: list[Annotated[str, Field(min_length=1, max_length=1024)]] = Field(min_length=1, max_length=64)


def _need_proxies(given: Any, info: ValidationInfo) -> Any:
    if not (info.context or {}).get(PROXIES):
        raise ValueError("needs `proxies` in this file: nobody else's header about a certificate is believed")
    return given


CertificateField = Annotated[CertificateForm | None, AfterValidator(_need_proxies)]
Networks = Annotated[list[NetworkField], Field(min_length=1, max_length=1024)]


def build_origin(networks: list[Network] | None, certificate: CertificateForm | None) -> Origin | None:
    """Return what a source asks of a request's origin, None for nothing."""
    if networks is None and certificate is None:
        return None
    if certificate is None:
        return Origin(tuple(networks or ()))
    names = frozenset(name.encode() for name in certificate.names)
    return Origin(tuple(networks or ()), certificate.header.lower().encode(), names)


class LimitsForm(Entry):
    """How many webhooks of a source are taken, and how many refusals one address may earn. 0: any number."""

    deliveries_per_minute: _PerMinute = 0
    refusals_per_minute: _PerMinute = 300

    def build(self) -> Quota:
        """Return the limits."""
        return Quota(self.deliveries_per_minute, self.refusals_per_minute)
