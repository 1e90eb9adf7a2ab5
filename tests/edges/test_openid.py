"""A provider is asked in bounded time and size, over TLS, where configuration says; every trouble is one sentence."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.edges.openid import Provider
from bridge.words.errors import ProviderUnavailable
from bridge.words.roles import Role
from bridge.words.targets import OpenIdProvider, Secret
from deploy.demo.processes import free_port
from tests.support.certificates import self_signed
from tests.support.jwks_server import JwksServer


@pytest.fixture
def server() -> Iterator[JwksServer]:
    """Something that answers every path with one document."""
    with JwksServer() as server:
        yield server


def base(server: JwksServer) -> str:
    """Return its issuer."""
    return server.url.removesuffix("/.well-known/jwks.json")


def target(issuer: str) -> OpenIdProvider:
    """Return the settings of a provider there."""
    return OpenIdProvider(issuer, "bridge", Secret("canary-of-a-client-secret"), {"team": Role.VIEWER})


def says(server: JwksServer, **more: Any) -> None:
    """Let the provider describe itself."""
    issuer = base(server)
    document = {"issuer": issuer, "authorization_endpoint": f"{issuer}/authorize?tenant=a"} | more
    server.document = json.dumps(document).encode()


def address(provider: Provider) -> str:
    """Ask where a browser goes."""
    return provider.address(redirect="http://127.0.0.1/back", state="s", nonce="n", verifier="v" * 43)


def problem(provider: Provider) -> str:
    """Return why that cannot be had."""
    with pytest.raises(ProviderUnavailable) as caught:
        address(provider)
    return str(caught.value)


def test_a_document_is_asked_for_once(server: JwksServer) -> None:
    """From below the issuer, with nothing that could be stolen, and then kept for a while."""
    says(server)
    provider = Provider(target(base(server)))
    assert address(provider).startswith(f"{base(server)}/authorize?tenant=a&response_type=code")
    address(provider)
    ((path, headers),) = server.asked
    assert path == "/.well-known/openid-configuration"
    assert not {"Authorization", "Cookie"} & set(headers)


def test_who_hangs_is_left_and_nobody_waits_anew(server: JwksServer) -> None:
    """After the time of one sign-in; whoever comes within the next seconds hears the same at once."""
    says(server)
    server.pause_seconds = 600
    provider = Provider(target(base(server)), seconds=0.5)
    assert problem(provider) == "the provider cannot be asked: no whole answer within 0.5 s"
    before = time.process_time(), server.fetches
    assert problem(provider) == "the provider cannot be asked: no whole answer within 0.5 s"
    assert server.fetches == before[1]


def test_who_trickles_is_left_too(server: JwksServer) -> None:
    """A byte now and then is no answer."""
    says(server, filler="x" * 5000)
    server.trickle_seconds = 0.2
    assert "no whole answer" in problem(Provider(target(base(server)), seconds=1))


def test_who_is_not_there_is_said() -> None:
    """With what the system says."""
    provider = Provider(target(f"http://127.0.0.1:{free_port()}"))
    assert "the provider cannot be reached: " in problem(provider)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"x" * 300_000, "more than 262144 bytes"),
        (b"<html>", "no JSON"),
        (b"[]", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"issuer": "https://elsewhere.example.com"}', "another issuer"),
        (b"{}", "another issuer"),
    ],
)
def test_a_document_that_is_none_is_said(server: JwksServer, document: bytes, said: str) -> None:
    """Nothing of it is shown."""
    server.document = document
    assert said in problem(Provider(target(base(server))))


@pytest.mark.parametrize("status", [301, 302, 307, 404, 500])
def test_no_redirect_is_followed(server: JwksServer, status: int) -> None:
    """Configuration alone says who is asked."""
    with JwksServer() as elsewhere:
        server.status, server.headers = status, {"Location": elsewhere.url}
        assert problem(Provider(target(base(server)))) == f"the provider answers {status}"
        assert elsewhere.fetches == 0


@pytest.mark.parametrize(
    "url",
    [None, 7, "", "javascript:alert(1)", "http://login.example.com/", "/authorize", "https://", "http://[", "data:,x"],
)
def test_a_browser_is_sent_over_tls_or_to_this_machine(server: JwksServer, url: object) -> None:
    """Never where a script, or somebody on the way, would take over."""
    says(server, authorization_endpoint=url)
    assert problem(Provider(target(base(server)))) == "the provider names no usable authorization_endpoint"


def test_an_own_authority_is_believed_and_no_other(tmp_path: Path) -> None:
    """And a provider over TLS may not send anybody to plain HTTP on this machine."""
    certificate = self_signed(tmp_path / "both.pem")
    with JwksServer(certificate=certificate) as server:
        says(server)
        settings = target(base(server))
        assert "cannot be reached" in problem(Provider(settings))
        believed = replace(settings, ca_file=str(certificate))
        assert address(Provider(believed)).startswith(base(server))
        says(server, authorization_endpoint="http://127.0.0.1:1/")
        assert "no usable" in problem(Provider(believed))


def test_many_threads_may_ask(server: JwksServer) -> None:
    """One object serves all of them."""
    says(server)
    provider = Provider(target(base(server)))
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: address(provider), range(32)))) == 1
