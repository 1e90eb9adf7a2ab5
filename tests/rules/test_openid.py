"""What a sign-in by OpenID Connect remembers is its own and ends; groups make a role; a name is the provider's word."""

from dataclasses import replace
from typing import Any

import pytest

from bridge.rules import openid
from bridge.words.errors import SignInFailed
from bridge.words.roles import Caller, Role
from bridge.words.targets import OpenIdProvider, Secret

SECRET = Secret("secret-of-the-client-0123456789")
ROLES = {"team": Role.VIEWER, "on-call": Role.OPERATOR, "owners": Role.ADMIN}
PROVIDER = OpenIdProvider("https://login.example.com", "bridge", SECRET, ROLES)
BEGUN = openid.begin(chance=bytes(range(32)), now=1000.9, onward="/deliveries?q=\u00e4")
COOKIE = openid.seal(BEGUN, SECRET)


def test_a_cookie_is_its_sign_in_for_ten_minutes() -> None:
    """State, end and where it leads; one second later nothing."""
    assert openid.read(COOKIE, SECRET, now=1599.9) == BEGUN
    assert openid.read(COOKIE, SECRET, now=1600) is None


@pytest.mark.parametrize(("length", "is_kept"), [(1, True), (999, True), (1000, True), (1001, False)])
def test_where_a_sign_in_leads_is_kept_if_a_cookie_can_carry_it(length: int, is_kept: bool) -> None:
    """Up to 1000 characters of whatever spelling; else it leads to the first page."""
    onward = ("/\u20ac" + "x" * length)[:length]
    begun = openid.begin(chance=bytes(32), now=0, onward=onward)
    assert begun.onward == (onward if is_kept else "/")
    cookie = openid.seal(begun, SECRET)
    assert openid.read(cookie, SECRET, now=0) == begun
    assert len(cookie) < 4096


def test_a_path_of_any_length_comes_back() -> None:
    """Base64 without its padding is read whatever is missing."""
    for length in range(20):
        begun = openid.begin(chance=bytes(32), now=0, onward="/" + "x" * length)
        assert openid.read(openid.seal(begun, SECRET), SECRET, now=0) == begun


def test_a_state_is_as_long_as_a_verifier() -> None:
    """43 letters, 256 bits that nobody guesses."""
    assert len(openid.begin(chance=bytes(openid.STATE_BYTES), now=0, onward="/").state) == 43


@pytest.mark.parametrize(
    "cookie",
    ["", ".", "...", "....", COOKIE[:-1], COOKIE + "x", COOKIE.replace("1600", "9999"), "\u00e4.1.x.y", "x" * 9000],
)
def test_nobody_makes_a_cookie_without_the_secret(cookie: str) -> None:
    """Whatever else it looks like."""
    assert openid.read(cookie, SECRET, now=0) is None
    assert openid.read(COOKIE, Secret("another-secret-0123456789"), now=0) is None


def test_what_is_derived_is_the_sign_ins_own() -> None:
    """Verifier, nonce and state say nothing of each other, nor of the secret; another sign-in has others."""
    other = replace(BEGUN, state="another")
    words = [BEGUN.state, openid.verifier(BEGUN, SECRET), openid.nonce(BEGUN, SECRET), COOKIE.rpartition(".")[2]]
    words += [openid.verifier(other, SECRET), openid.nonce(other, SECRET), openid.session_key(PROVIDER).reveal()]
    assert len(set(words)) == len(words)
    assert len(openid.verifier(BEGUN, SECRET)) == 43  # RFC 7636 wants 43 to 128
    assert SECRET.reveal() not in COOKIE


def test_an_answer_is_to_the_sign_in_with_its_state() -> None:
    """And to no other."""
    assert openid.is_same(BEGUN, BEGUN.state)
    assert not any(openid.is_same(BEGUN, state) for state in ("", BEGUN.state[:-1], BEGUN.state + "x", "\ud800"))


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["team"], Role.VIEWER),
        (["team", "owners", "on-call"], Role.ADMIN),
        (["other", "on-call"], Role.OPERATOR),
        ("on-call", Role.OPERATOR),
        ("on-call,owners", None),
        ([], None),
        (None, None),
        ([["owners"], {"owners": 1}, 7, None], None),
        ({"owners": True}, None),
        (["Owners", "owners ", "own"], None),
    ],
)
def test_the_highest_role_of_the_groups(groups: Any, role: Role | None) -> None:
    """A group counts whole, in its own spelling; what is no list of names is none."""
    found = openid.caller_of({"sub": "u1", "groups": groups}, PROVIDER)
    assert found == (None if role is None else Caller("person:u1", role))


def test_groups_stand_where_the_settings_say() -> None:
    """Some providers call them roles."""
    provider = replace(PROVIDER, groups_claim="roles")
    assert openid.caller_of({"sub": "u1", "groups": ["owners"]}, provider) is None
    assert openid.caller_of({"sub": "u1", "roles": ["owners"]}, provider) == Caller("person:u1", Role.ADMIN)


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"email": "a@example.com"}, "person:a@example.com"),
        ({"email": "a@example.com", "email_verified": True}, "person:a@example.com"),
        ({"email": "a@example.com", "email_verified": "true"}, "person:a@example.com"),
        ({"email": "a@example.com", "email_verified": False}, "person:u1"),
        ({"email": "a@example.com", "email_verified": None}, "person:u1"),
        ({"email": ""}, "person:u1"),
        ({"email": " "}, "person:u1"),
        ({"email": "a\u202eb"}, "person:u1"),
        ({"email": "a\n2026 token:admin"}, "person:u1"),
        ({"email": "x" * 255}, "person:" + "x" * 255),
        ({"email": "x" * 256}, "person:u1"),
        ({"email": " a@example.com "}, "person:a@example.com"),
        ({"email": 5}, "person:u1"),
        ({"email": ["a@example.com"]}, "person:u1"),
        ({"email": "token:admin"}, "person:token:admin"),
        ({}, "person:u1"),
    ],
)
def test_a_name_is_what_the_provider_vouches_for(claims: dict[str, Any], name: str) -> None:
    """Nobody is called as a token is, and none has a line of the log of its own."""
    assert openid.name_of({"sub": "u1"} | claims, PROVIDER) == name


def test_a_provider_that_names_nobody_lets_nobody_in() -> None:
    """There must be somebody whom the audit log can name."""
    for claims in ({}, {"sub": "\n"}, {"sub": "x" * 256}, {"sub": 5}, {"email": "", "sub": " "}):
        with pytest.raises(SignInFailed, match=r"^the provider's ID token names nobody$"):
            openid.name_of(claims, PROVIDER)


def test_only_an_address_must_be_verified() -> None:
    """Where the name is another claim, what is said of an address does not matter."""
    provider = replace(PROVIDER, name_claim="preferred_username")
    claims = {"sub": "u1", "preferred_username": "anna", "email": "a@example.com", "email_verified": False}
    assert openid.name_of(claims, provider) == "person:anna"


@pytest.mark.parametrize(
    "changed",
    [
        {"roles": ROLES | {"owners": Role.VIEWER}},
        {"secret": Secret("another-secret-0123456789")},
        {"issuer": "https://elsewhere.example.com"},
        {"client_id": "another"},
        {"groups_claim": "roles"},
    ],
)
def test_other_settings_end_the_sessions(changed: dict[str, Any]) -> None:
    """So that a role that was taken from a group is nobody's any more; the order of the groups says nothing."""
    key = openid.session_key(PROVIDER).reveal()
    assert openid.session_key(replace(PROVIDER, **changed)).reveal() != key
    assert openid.session_key(replace(PROVIDER, roles=dict(reversed(ROLES.items())))).reveal() == key
