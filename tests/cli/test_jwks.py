"""check, keys check and keys show, of a source whose keys are behind a URL."""

from collections.abc import Iterator

import pytest

from deploy.demo.processes import free_port
from tests.cli.conftest import Place
from tests.support.jwks_server import JwksServer, Pair

pytestmark = pytest.mark.slow

ONE, TWO, OTHER = Pair.make("2025"), Pair.make("2026"), Pair.make("elliptic", "ES256")
CONFIG = """\
sources:
  tenant:
    signature:
      preset: jwt
      public_keys: [{{id: entry, jwks: "{url}", algorithm: RS256}}]
airflow:
  default: {{url: "http://127.0.0.1:1"}}
"""


@pytest.fixture
def provider() -> Iterator[JwksServer]:
    """A provider that publishes two usable keys and others."""
    with JwksServer() as server:
        server.publishes(ONE, TWO, OTHER.jwk(kid="elliptic"), ONE.jwk(kid="\x1b[2Jevil", use="enc"), ONE.private_jwk())
        yield server


def configured(place: Place, url: str) -> Place:
    """Name the URL in bridge.yaml."""
    (place.folder / "bridge.yaml").write_text(CONFIG.format(url=url))
    return place


def test_check_lists_what_a_key_set_holds(place: Place, provider: JwksServer) -> None:
    """The kids that are used, the others with why not, one fetch; nothing of it steers a terminal."""
    done = configured(place, provider.url).run("check")
    assert (done.code, done.err, provider.fetches) == (0, "", 1)
    rows = [line.split(maxsplit=4) for line in done.out.splitlines() if line.startswith("tenant")]
    assert rows[:2] == [["tenant", "entry", kid, "RS256", "ok"] for kid in ("2025", "2026")]
    assert "not used: this is not an RSA key" in done.out
    assert "not used: the JWK is not for signatures" in done.out
    assert "not used: this is a private key" in done.out
    assert "\x1b" not in done.out


@pytest.mark.parametrize("problem", ["down", "status", "nonsense", "unfit"])
def test_a_key_set_that_cannot_be_had(place: Place, provider: JwksServer, problem: str) -> None:
    """`check` warns, since `serve` starts all the same; `keys check` says the same and exits with 1."""
    url, words = {
        "down": (f"http://127.0.0.1:{free_port()}/keys", "cannot be reached"),
        "status": (provider.url, "the URL answers 503"),
        "nonsense": (provider.url, "not a usable key set: it is not a JSON object with a list `keys`"),
        "unfit": (provider.url, "none of its 1 keys can be used for RS256; 'elliptic': this is not an RSA key"),
    }[problem]
    provider.status = 503 if problem == "status" else 200
    if problem == "nonsense":
        provider.document = b"<html>"
    elif problem == "unfit":
        provider.publishes(OTHER)
    done = configured(place, url).run("check")
    assert done.code == 0
    assert f"warning: source tenant: key entry: {url}: " in done.err
    assert words in done.err
    done = place.run("keys", "check")
    assert done.code == 1
    assert words in done.out


def test_keys_show_tells_where_they_come_from(place: Place, provider: JwksServer) -> None:
    """Without fetching anything."""
    done = configured(place, provider.url).run("keys", "show", "--json")
    assert done.json == [
        {
            "source": "tenant",
            "preset": "jwt",
            "key": "entry",
            "kind": "RS256 jwks",
            "fingerprint": None,
            "not_before": None,
            "not_after": None,
        }
    ]
    assert provider.fetches == 0
    assert place.run("keys", "check").code == 0
