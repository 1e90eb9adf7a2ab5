"""A session's cookie is taken only from who has the token of its role, and only until it ends."""

import pytest

from bridge.rules import sessions
from bridge.words.roles import SIGN_INS, Role
from bridge.words.targets import Secret

TOKENS = {role: Secret(f"token-of-the-{role}-0123456789") for role in Role}
SESSION = sessions.begin(Role.OPERATOR, ends_at=2_000, chance=bytes(range(16)))
COOKIE = sessions.seal(SESSION, TOKENS[Role.OPERATOR])


def test_a_cookie_is_its_session_until_it_ends() -> None:
    """The same role, end and mark; one second later nobody."""
    assert sessions.read(COOKIE, TOKENS, now=1_999.9) == SESSION
    assert sessions.read(COOKIE, TOKENS, now=2_000) is None


def test_the_token_is_not_in_the_cookie() -> None:
    """Nor in the form token; and the two are not the same."""
    form = sessions.form_token(SESSION, TOKENS[Role.OPERATOR])
    assert TOKENS[Role.OPERATOR].reveal() not in COOKIE + form
    assert form not in COOKIE


def test_a_changed_token_ends_its_sessions() -> None:
    """Those of other roles go on."""
    assert sessions.read(COOKIE, TOKENS | {Role.OPERATOR: Secret("another-token-0123456789")}, now=0) is None
    assert sessions.read(COOKIE, {Role.ADMIN: TOKENS[Role.ADMIN]}, now=0) is None
    assert sessions.read(COOKIE, TOKENS | {Role.ADMIN: Secret("another-token-0123456789")}, now=0) == SESSION


@pytest.mark.parametrize("role", SIGN_INS)
def test_nobody_makes_more_of_a_cookie(role: Role) -> None:
    """Another role or a later end needs another signature."""
    version, word, ends_at, mark, signature = COOKIE.split(".")
    if role != word:
        assert sessions.read(f"{version}.{role}.{ends_at}.{mark}.{signature}", TOKENS, now=0) is None
    assert sessions.read(f"{version}.{role}.9999999999.{mark}.{signature}", TOKENS, now=0) is None


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        ".",
        "....",
        COOKIE[:-1],
        COOKIE + "x",
        COOKIE + ".",
        "2" + COOKIE[1:],
        COOKIE.replace("2000", "02000"),
        COOKIE.replace("2000", "+2000"),
        COOKIE.replace("2000", "\u0662000"),
        COOKIE.replace("operator", "metrics"),
        COOKIE.replace("operator", "nobody"),
        "1.operator." + "9" * 5000 + ".x.y",
        "1.operator.x.x.y",
        "1.operator..x.y",
        "3" + COOKIE[1:],
        COOKIE.replace("2000", "2000.0", 1),
    ],
)
def test_what_is_no_cookie_is_nobody(cookie: str) -> None:
    """Never an error, whatever a browser sends."""
    assert sessions.read(cookie, TOKENS, now=0) is None


@pytest.mark.parametrize("role", [Role.METRICS, Role.OUTCOMES])
def test_the_token_of_one_path_makes_no_session(role: Role) -> None:
    """Even if somebody signs one with it."""
    made = sessions.begin(role, ends_at=2_000, chance=bytes(16))
    assert sessions.read(sessions.seal(made, TOKENS[role]), TOKENS, now=0) is None


def test_form_tokens_differ_by_session_and_by_token() -> None:
    """So that what one session knows opens no other."""
    other = sessions.begin(Role.OPERATOR, ends_at=2_000, chance=bytes(16))
    token = TOKENS[Role.OPERATOR]
    assert (
        len(
            {
                sessions.form_token(SESSION, token),
                sessions.form_token(other, token),
                sessions.form_token(SESSION, Secret("x")),
            }
        )
        == 3
    )


PEOPLE = Secret("key-of-the-sessions-of-people")
PERSON = sessions.begin(Role.OPERATOR, ends_at=2_000, chance=bytes(range(16)), person="person:\u00e4nne@example.com")
OF_PERSON = sessions.seal(PERSON, PEOPLE)


def test_a_persons_cookie_has_their_name() -> None:
    """Until it ends; it is as good without any token."""
    assert sessions.read(OF_PERSON, {}, PEOPLE, now=1_999.9) == PERSON
    assert sessions.read(OF_PERSON, {}, PEOPLE, now=2_000) is None
    assert (PERSON.caller.name, SESSION.caller.name) == ("person:\u00e4nne@example.com", "token:operator")
    assert OF_PERSON.isascii()


def test_a_persons_cookie_and_a_tokens_are_two() -> None:
    """Neither key makes the other kind, and without the provider a person's is nobody's."""
    assert sessions.read(OF_PERSON, TOKENS, None, now=0) is None
    assert sessions.read(OF_PERSON, {Role.OPERATOR: PEOPLE}, None, now=0) is None
    assert sessions.read(sessions.seal(SESSION, PEOPLE), TOKENS, PEOPLE, now=0) is None
    assert sessions.read(sessions.seal(PERSON, TOKENS[Role.OPERATOR]), TOKENS, PEOPLE, now=0) is None


def test_nobody_makes_more_of_a_persons_cookie() -> None:
    """Another role, end or name needs another signature, and no spelling but one is taken."""
    version, role, ends_at, mark, name, signature = OF_PERSON.split(".")
    for parts in (
        (version, "admin", ends_at, mark, name),
        (version, role, "9999", mark, name),
        (version, role, ends_at, mark, name[:-2]),
        (version, role, ends_at, mark, name + "="),
        (version, role, ends_at, mark, ""),
        (version, role, ends_at, mark, "\u00e4"),
        ("1", role, ends_at, mark, name),
        ("1", role, ends_at, mark),
        (version, role, ends_at, mark),
    ):
        assert sessions.read(".".join((*parts, signature)), TOKENS, PEOPLE, now=0) is None


@pytest.mark.parametrize(("ends_at", "is_read"), [(99_999_999_999, True), (999_999_999_999, True), (10**12, False)])
def test_the_end_of_a_session_has_at_most_twelve_digits(ends_at: int, is_read: bool) -> None:
    """Longer than anybody lives, and short enough to be read."""
    session = sessions.begin(Role.ADMIN, ends_at=ends_at, chance=bytes(16))
    assert sessions.read(sessions.seal(session, TOKENS[Role.ADMIN]), TOKENS, now=0) == (session if is_read else None)


def test_a_mark_is_of_128_bits() -> None:
    """22 letters: no two sessions ever have the same."""
    assert len(sessions.begin(Role.ADMIN, ends_at=1, chance=bytes(sessions.MARK_BYTES)).mark) == 22


@pytest.mark.parametrize("name", ["", "x", "xy", "xyz", "x.y", "\u00e4\u20ac\U0001f600"])
def test_a_name_of_any_length_comes_back(name: str) -> None:
    """Whatever characters it has."""
    session = sessions.begin(Role.ADMIN, ends_at=1, chance=bytes(16), person=f"person:{name}")
    assert sessions.read(sessions.seal(session, PEOPLE), {}, PEOPLE, now=0) == session
    assert session.caller.name == f"person:{name}"
