"""`auth`, `proxy` and `headers` of an Airflow in bridge.yaml: what may be written, and what is said of the rest."""

from pathlib import Path

import pytest

from bridge.edges.settings import read_config
from bridge.words.errors import ConfigError
from bridge.words.targets import AirflowAuth, AirflowTarget

_ENVIRON = {
    "HOOK": "whsec_c3RyYXdiZXJyeV9qYW1fb25fdG9hc3Q",
    "WORD": "canary-word",
    "ID": "bridge",
    "PROXY": "http://a:b@p:3128",
}
_SOURCE = "sources: {planasonix: {signature: {preset: planasonix, secrets: [{id: a, env: HOOK}]}}}\n"


def read(more: str) -> AirflowTarget:
    """The Airflow of a file with these lines."""
    text = f"{_SOURCE}airflow:\n  default:\n    url: http://localhost:8080\n    {more}\n"
    return read_config(text, file="bridge.yaml", environ=_ENVIRON, base_dir=Path("/nowhere")).airflows["default"]


def problem(more: str) -> str:
    """The one mistake of such a file."""
    with pytest.raises(ConfigError) as raised:
        read(more)
    (found,) = raised.value.problems
    return str(found)


def revealed(auth: AirflowAuth) -> dict[str, object]:
    """The fields that are set, secrets in the open."""
    usual = AirflowAuth()
    found = {name: getattr(auth, name) for name in AirflowAuth.__slots__}
    return {
        name: value.reveal() if hasattr(value, "reveal") else value
        for name, value in found.items()
        if value != getattr(usual, name)
    }


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ("{username: {env: ID}, password: {env: WORD}}", {"username": "bridge", "password": "canary-word"}),
        ("{token: {env: WORD}}", {"token": "canary-word"}),
        (
            "{username: ann, password: {env: WORD}, way: basic}",
            {"username": "ann", "password": "canary-word", "way": "basic"},
        ),
        (
            "{username: ann, password: {env: WORD}, way: login, path: /api/v1/security/login,"
            " body: {username: '{username}', provider: ldap}}",
            {
                "username": "ann",
                "password": "canary-word",
                "way": "login",
                "path": "/api/v1/security/login",
                "body": {"username": "{username}", "provider": "ldap"},
            },
        ),
        (
            "{client_id: {env: ID}, client_secret: {env: WORD}}",
            {"client_id": "bridge", "client_secret": "canary-word"},
        ),
        (
            "{exec: [python3, mwaa.py, --name, orders], timeout_seconds: 20}",
            {"command": ("python3", "mwaa.py", "--name", "orders"), "command_seconds": 20},
        ),
    ],
)
def test_ways_to_sign_in(auth: str, expected: dict[str, object]) -> None:
    """Each way has its fields; what is left out has its default."""
    assert revealed(read(f"auth: {auth}").auth) == expected


def test_no_auth_sends_no_credentials() -> None:
    """An Airflow behind a gateway may need none."""
    assert revealed(read("rate: 10").auth) == {}


@pytest.mark.parametrize(
    ("auth", "what"),
    [
        ("{}", "give one of: username and password; token; client_id and client_secret; exec"),
        ("{username: ann}", "give one of"),
        ("{client_id: a}", "give one of"),
        ("{client_secret: {env: WORD}}", "give one of"),
        ("{token: {env: WORD}, exec: [a]}", "give one of"),
        ("{username: ann, password: {env: WORD}, token: {env: WORD}}", "give one of"),
        ("{exec: []}", "is empty"),
        ("{exec: python3}", "list"),
        ("{token: {env: WORD}, way: basic}", "`way` is for username and password"),
        ("{username: ann, password: {env: WORD}, way: digest}", '"digest" is not valid here'),
        ("{token: {env: WORD}, path: /auth/token}", "`path` and `body` are for a sign-in that is posted"),
        ("{username: ann, password: {env: WORD}, way: basic, path: /x}", "`path` and `body` are for"),
        ("{username: ann, password: {env: WORD}, path: auth/token}", "must be a path below the Airflow's URL"),
        ("{username: ann, password: {env: WORD}, path: 'https://elsewhere/token'}", "must be a path below"),
        ("{token: {env: WORD}, timeout_seconds: 5}", "`timeout_seconds` is for `exec`"),
        ("{exec: [a], timeout_seconds: 61}", "60"),
        ("{exec: [a], timeout: 5}", 'did you mean "timeout_seconds"?'),
    ],
)
def test_auth_that_cannot_be_meant(auth: str, what: str) -> None:
    """One mistake, with its place, and no secret in it."""
    found = problem(f"auth: {auth}")
    assert what in found
    assert found.startswith("bridge.yaml:5:")
    assert "canary" not in found


def test_headers_and_proxy() -> None:
    """Text or a reference; a proxy with a password comes from outside the file."""
    target = read("headers: {X-Org: acme, X-Gate: {env: WORD}}\n    proxy: {env: PROXY}")
    assert {name: value.reveal() for name, value in target.headers.items()} == {
        "X-Org": "acme",
        "X-Gate": "canary-word",
    }
    assert target.proxy is not None
    assert target.proxy.reveal() == "http://a:b@p:3128"
    assert "canary" not in repr(target)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (
            "headers: {Authorization: x}",
            "the header Authorization cannot be set here; `auth` or `key` sets Authorization",
        ),
        ("headers: {host: x}", "the header host cannot be set here"),
        ("headers: {'a b': x}", "'a b' is not the name of a header"),
        ('headers: {X-A: "a\\nb"}', "not printable ASCII"),
        ("proxy: proxy:3128", "must be http:// or https://"),
        ("proxy: 'http://ann:canary@proxy:3128'", "a secret is never written in this file"),
        ("proxy: socks5://proxy:1080", "must be http:// or https://"),
    ],
)
def test_headers_and_proxies_that_cannot_be_sent(more: str, what: str) -> None:
    """What would change the call itself is a mistake."""
    assert what in problem(more)
