"""Whom a request comes from: a header counts only from a listed proxy, and only as far as listed proxies wrote it."""

from ipaddress import ip_address, ip_network

import pytest

from bridge.rules.origin import Origin, Proxies, limited_address, read_address
from bridge.words.reasons import Reason

PROXY, SECOND_PROXY, SENDER, STRANGER = "10.0.0.1", "10.0.0.2", "203.0.113.7", "198.51.100.66"
PROXIES = Proxies((ip_network("10.0.0.0/8"), ip_network("2001:db8:f::/48")))
FORWARDED = Proxies(PROXIES.networks, b"forwarded")


def named(*values: str, header: bytes = b"x-forwarded-for") -> list[tuple[bytes, bytes]]:
    """Return these headers among others."""
    return [(b"host", b"bridge"), *((header, value.encode("latin-1")) for value in values)]


@pytest.mark.parametrize(
    ("peer", "values", "sender"),
    [
        (SENDER, [], SENDER),
        (STRANGER, [SENDER], STRANGER),  # a stranger's word
        (PROXY, [SENDER], SENDER),
        (PROXY, [f"{STRANGER}, {SENDER}"], SENDER),  # the left one came from outside
        (PROXY, [STRANGER, SENDER], SENDER),  # the same in two lines
        (PROXY, [f"{SENDER}, {SECOND_PROXY}"], SENDER),
        (PROXY, [f"{STRANGER}, {SENDER} , {SECOND_PROXY}"], SENDER),
        (PROXY, [], PROXY),  # it asks for itself
        (PROXY, [SECOND_PROXY], SECOND_PROXY),
        (PROXY, [f"{SENDER}:51234"], SENDER),
        (PROXY, ["[2001:db8::7]:443"], "2001:db8::7"),
        (PROXY, ["2001:db8::7"], "2001:db8::7"),
        (PROXY, ["::ffff:203.0.113.7"], SENDER),
        ("::ffff:10.0.0.1", [SENDER], SENDER),
        ("2001:db8:f::1", [SENDER], SENDER),
        (PROXY, [f"{SENDER}, unknown"], None),
        (PROXY, [f"{SENDER}, "], None),
        (PROXY, [f"{SENDER}, 203.0.113"], None),
        (PROXY, [f"{SENDER}, 0x7f.1"], None),
        (PROXY, [f"{SENDER}, 203.0.113.07"], None),
        (PROXY, [f"{SENDER}, \xb2"], None),
        ("fe80::1%eth0", [], "fe80::1"),
        (None, [SENDER], None),
    ],
)
def test_the_sender_of_a_request(peer: str | None, values: list[str], sender: str | None) -> None:
    """X-Forwarded-For is read from the right, and what cannot be read is nobody."""
    found = PROXIES.sender(peer, named(*values))
    assert found == (None if sender is None else ip_address(sender))


@pytest.mark.parametrize(
    ("value", "sender"),
    [
        (f"for={SENDER}", SENDER),
        (f"For={SENDER};proto=https;by={PROXY}", SENDER),
        (f'proto=https; for="{SENDER}:8443"', SENDER),
        ('for="[2001:db8::7]:4711"', "2001:db8::7"),
        (f"for={STRANGER}, for={SENDER}, for={SECOND_PROXY}", SENDER),
        ("for=_hidden", None),
        ("for=unknown", None),
        (f"by={SENDER}", None),
        (f"for={SENDER};for={STRANGER}", None),
        (f"xfor={SENDER}", None),
        ('for="203.0.113.7', None),
    ],
)
def test_forwarded_in_its_own_grammar(value: str, sender: str | None) -> None:
    """RFC 7239; hidden and unknown ones are nobody."""
    found = FORWARDED.sender(PROXY, named(value, header=b"forwarded"))
    assert found == (None if sender is None else ip_address(sender))


def test_only_the_one_header_counts() -> None:
    """A proxy that sets one of the two passes the other one on as a stranger wrote it."""
    headers = [*named(STRANGER, header=b"forwarded"), *named(SENDER)]
    assert PROXIES.sender(PROXY, headers) == ip_address(SENDER)
    assert FORWARDED.sender(PROXY, named(SENDER)) == ip_address(PROXY)


def test_a_long_chain_is_read_at_its_end_only() -> None:
    """Whatever was sent in, the work is bounded."""
    assert PROXIES.sender(PROXY, named(", ".join([STRANGER] * 5000 + [SENDER]))) == ip_address(SENDER)
    assert PROXIES.sender(PROXY, named(", ".join([STRANGER] + [PROXY] * 5000))) == ip_address(PROXY)
    assert PROXIES.sender(PROXY, named(", ".join([SENDER] + [PROXY] * 19))) == ip_address(SENDER)
    assert PROXIES.sender(PROXY, named(", ".join([SENDER] + [PROXY] * 20))) == ip_address(PROXY)


@pytest.mark.parametrize(
    "text", ["", " ", "x" * 70_000, "1" * 70_000, "[" * 70_000, ":" * 70_000, "203.0.113.7:999999"]
)
def test_what_is_no_address(text: str) -> None:
    """Nothing raises, nothing is guessed."""
    assert read_address(text) is None


def test_refusals_are_counted_by_site() -> None:
    """Whoever has one IPv6 address has the 2**64 beside it."""
    assert (
        limited_address(ip_address("2001:db8::1"))
        == limited_address(ip_address("2001:db8::ffff:1"))
        == limited_address(ip_address("2001:db8::8000:0:0:1"))
        != limited_address(ip_address("2001:db8:0:1::1"))
    )
    assert limited_address(ip_address(SENDER)) == SENDER


@pytest.mark.parametrize(
    ("peer", "values", "problem"),
    [
        (SENDER, [], None),
        (PROXY, [SENDER], None),
        (STRANGER, [], Reason.ADDRESS_NOT_ALLOWED),
        (STRANGER, [SENDER], Reason.ADDRESS_NOT_ALLOWED),
        (PROXY, [f"{SENDER}, {STRANGER}"], Reason.ADDRESS_NOT_ALLOWED),
        (PROXY, [], Reason.ADDRESS_NOT_ALLOWED),
        (PROXY, ["unknown"], Reason.ADDRESS_NOT_ALLOWED),
        (None, [], Reason.ADDRESS_NOT_ALLOWED),
    ],
)
def test_an_allow_list_looks_at_the_real_peer(peer: str | None, values: list[str], problem: Reason | None) -> None:
    """docs/security.md, "Where webhooks may come from": nobody else's X-Forwarded-* counts."""
    assert Origin((ip_network("203.0.113.0/24"),)).problem(PROXIES, peer, named(*values)) is problem


@pytest.mark.parametrize(
    ("peer", "values", "is_right"),
    [
        (PROXY, ["CN=planasonix"], True),
        (PROXY, ["CN=other"], False),
        (PROXY, ["cn=planasonix"], False),
        (PROXY, ["CN=planasonix "], False),
        (PROXY, [""], False),
        (PROXY, [], False),
        (PROXY, ["CN=planasonix", "CN=planasonix"], False),
        (PROXY, ["CN=other", "CN=planasonix"], False),
        (SENDER, ["CN=planasonix"], False),
        (None, ["CN=planasonix"], False),
    ],
)
def test_a_client_certificate_is_believed_from_a_listed_proxy(
    peer: str | None, values: list[str], is_right: bool
) -> None:
    """Once, exactly, and from nobody else."""
    origin = Origin((), b"x-ssl-client-s-dn", frozenset({b"CN=planasonix"}))
    found = origin.problem(PROXIES, peer, named(*values, header=b"x-ssl-client-s-dn"))
    assert found is (None if is_right else Reason.CERTIFICATE_NOT_ALLOWED)
