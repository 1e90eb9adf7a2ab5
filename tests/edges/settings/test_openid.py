"""`sign_in:` of bridge.yaml: what may be written, and what is said of the rest."""

from pathlib import Path

import pytest

from bridge.edges.settings import read_config
from bridge.words.errors import ConfigError
from bridge.words.roles import Role
from bridge.words.targets import OpenIdProvider

_SECRET = "canary-of-a-client-secret-0123456789"
_ENVIRON = {"HOOK": "whsec_c3RyYXdiZXJyeV9qYW1fb25fdG9hc3Q", "CLIENT": _SECRET, "SHORT": "canary"}
_REST = """\
sources: {planasonix: {signature: {preset: planasonix, secrets: [{id: a, env: HOOK}]}}}
airflow: {default: {url: "http://localhost:8080"}}
"""
_LEAST = (
    "issuer: https://login.example.com/realms/data, client_id: bridge, secret: {env: CLIENT},"
    " roles: {on-call: operator}"
)


def read(form: str) -> OpenIdProvider | None:
    """The provider of a file with this form."""
    text = f"{_REST}sign_in: {{openid: {{{form}}}}}\n"
    return read_config(text, file="bridge.yaml", environ=_ENVIRON, base_dir=Path("/nowhere")).openid


def test_the_least_is_provider_client_and_roles() -> None:
    """The rest has defaults; without `sign_in` there is no provider."""
    found = read(_LEAST)
    assert found is not None
    assert (found.issuer, found.client_id) == ("https://login.example.com/realms/data", "bridge")
    assert found.secret.reveal() == _SECRET
    assert found.roles == {"on-call": Role.OPERATOR}
    assert (found.scopes, found.groups_claim, found.name_claim) == (("openid", "profile", "email"), "groups", "email")
    assert read_config(_REST, file="b", environ=_ENVIRON, base_dir=Path("/nowhere")).openid is None


@pytest.mark.parametrize(
    ("was", "written", "said"),
    [
        ("https://login", "http://login", "must begin with https://"),
        ("/realms/data", "/realms/data?x=1", "as the provider's own document spells it"),
        ("/realms/data", "/realms/data#x", "must be"),
        ("{env: CLIENT}", _SECRET, "never written in this file"),
        ("{env: CLIENT}", "{env: SHORT}", "24 bytes"),
        ("{env: CLIENT}", "{env: NONE}", "is not set"),
        ("operator", "metrics", "it can be viewer, operator, admin"),
        ("{on-call: operator}", "{}", "is empty"),
        ("client_id: bridge", 'client_id: ""', "client_id"),
        ("client_id: bridge", "client_id: bridge, scopes: [email]", "must have `openid`"),
        ("client_id: bridge", 'client_id: bridge, scopes: ["openid email"]', "item 1"),
        ("client_id: bridge", "client_id: bridge, group_claim: g", "groups_claim"),
        ("client_id: bridge", "client_id: bridge, ca_file: none.pem", "cannot be read"),
    ],
)
def test_a_mistake_is_said_where_it_stands(was: str, written: str, said: str) -> None:
    """And never what is secret."""
    with pytest.raises(ConfigError) as caught:
        read(_LEAST.replace(was, written))
    (problem,) = caught.value.problems
    assert said in str(problem)
    assert problem.line == 3
    assert "canary" not in str(problem)


def test_http_is_for_this_machine_alone() -> None:
    """As for key sets: who answers decides who is believed."""
    assert read(_LEAST.replace("https://login.example.com", "http://127.0.0.1:9400"))
