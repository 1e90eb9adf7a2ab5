"""Whatever a library says, no secret is in what is shown of it."""

import pytest

from bridge.rules.scrubbing import scrub

_CANARY = "c4nary-of-a-s3cret"


@pytest.mark.parametrize(
    "message",
    [
        f"could not connect to postgresql://bridge:{_CANARY}@db:5432/bridge",
        f"invalid dsn: 'postgres://bridge:a@{_CANARY}@db/bridge'",
        f"Illegal header value b'Bearer {_CANARY}'",
        f"Invalid header: Authorization: Basic {_CANARY}",
        f"connection failed: host=db user=bridge password={_CANARY} dbname=bridge",
        f"password='{_CANARY}' is wrong",
        f"{{'client_secret': '{_CANARY}', 'a': 1}}",
        f"no key whsec_{_CANARY} here",
        f"https://a.example/jwks?api_key={_CANARY}&x=1 failed",
    ],
)
def test_what_looks_like_a_secret_is_taken_out(message: str) -> None:
    """URLs with a password, headers, parameters: the rest of the message stays."""
    scrubbed = scrub(message)
    assert _CANARY not in scrubbed
    assert "***" in scrubbed


def test_known_secrets_are_taken_out_wherever_they_stand() -> None:
    """The longest first, so that no end of one is left over; a short text is part of half the words there are."""
    assert scrub("a b-canary-long c b-canary", ["b-canary", "b-canary-long", "a"]) == "a *** c ***"


@pytest.mark.parametrize(("secret", "shown"), [("abcdef", "x *** y"), ("abcde", "x abcde y")])
def test_a_secret_of_six_characters_is_taken_out(secret: str, shown: str) -> None:
    """A shorter one would be taken out of half the words there are."""
    assert scrub(f"x {secret} y", [secret]) == shown


@pytest.mark.parametrize("message", ["[Errno 2] No such file: 'tokens.yaml'", "timeout after 3 s", "host db: unknown"])
def test_other_messages_stay(message: str) -> None:
    """What helps to find the cause is kept."""
    assert scrub(message) == message
