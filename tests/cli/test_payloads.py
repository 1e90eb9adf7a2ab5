"""erase and the encryption keys, as a person uses them."""

from pathlib import Path

import pytest

from bridge.edges.inbox import Inbox, deliveries
from bridge.rules.sealing import Ring, read_keys
from tests.cli.conftest import Place
from tests.support.store import add, stored

pytestmark = pytest.mark.slow

WHY = ("--source", "planasonix", "--reason", "ticket 4711")


@pytest.fixture
def url(place: Place) -> str:
    """The URL of an empty store."""
    return f"sqlite:///{place.store()}"


def key(place: Place) -> str:
    """Make a key as the documentation tells."""
    done = place.run("keys", "generate", "encryption")
    assert done.code == 0
    assert "without it, what it encrypts is lost" in done.err
    return done.out.strip()


def test_erase_shows_what_there_is_and_asks(place: Place, url: str) -> None:
    """Without a terminal and without --yes nothing goes."""
    inbox = Inbox(url)
    delivery_id = stored(inbox)
    inbox.close()
    done = place.run("erase", "evt_1", *WHY)
    assert done.code == 1
    assert "1 delivery, 0 triggers and 0 attempts; 1 still to happen" in done.err
    assert "nothing was erased; add --yes" in done.err
    assert not place.run("deliveries", delivery_id, "--json").json["erased_at"]


def test_erase_refuses_what_is_still_to_happen(place: Place, url: str) -> None:
    """It says how to cancel; with --cancel it goes, and the files hold nothing of it."""
    inbox = Inbox(url)
    delivery_id = stored(inbox, body=b'{"id":"evt_1","x":"canary-7f3a"}')
    add(inbox, delivery_id, conf={"x": "canary-7f3a"})
    inbox.close()
    refused = place.run("erase", "evt_1", *WHY, "--yes")
    assert (refused.code, refused.out) == (2, "")
    assert "cancel them (--cancel)" in refused.err
    done = place.run("erase", "evt_1", *WHY, "--yes", "--cancel", "--json")
    assert (done.code, done.json["delivery_id"], done.json["is_clean"]) == (0, delivery_id, True)
    assert [file.name for file in place.folder.glob("bridge.db*") if b"canary-7f3a" in file.read_bytes()] == []
    shown = place.run("deliveries", delivery_id, "--json").json
    assert (shown["body"], shown["event_id"], shown["triggers"][0]["state"]) == ("", "evt_1", "cancelled")
    replayed = place.run("replay", delivery_id, "--json").json
    assert replayed["replayed"] == {"erased": 1}
    explained = place.run("explain", "--delivery", delivery_id)
    assert (explained.code, explained.out, "its payload was erased" in explained.err) == (2, "", True)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("evt_none", *WHY, "--yes"), 1, "no event 'evt_none' of the source 'planasonix'"),
        (("evt_1", "--source", "planasonix", "--yes"), 2, "--reason"),
        (("evt_1", "--reason", "why", "--yes"), 2, "--source"),
        (("evt_1", "--source", "planasonix", "--reason", " ", "--yes", "--cancel"), 2, "say why"),
    ],
)
def test_erase_needs_to_know_what_and_why(
    place: Place, url: str, words: tuple[str, ...], code: int, message: str
) -> None:
    """A missing event is 1, a missing word 2."""
    inbox = Inbox(url)
    stored(inbox)
    inbox.close()
    done = place.run("erase", *words)
    assert done.code == code
    assert message in done.err


def test_keys_stored_tells_when_a_key_may_go(place: Place, url: str, tmp_path: Path) -> None:
    """It counts rows by key, and exits 1 while a key that they need is missing."""
    old = key(place)
    name = old.partition(":")[0]
    plain, sealed = Inbox(url), Inbox(url, ring=Ring(read_keys(old), lambda size: b"n" * size))
    stored(plain, "evt_1")
    delivery_id = stored(sealed, "evt_2")
    plain.close()
    sealed.close()
    (tmp_path / "keys").write_text(f"new:{key(place).partition(':')[2]}\n{old}\n")
    done = place.run("keys", "stored", "--json", BRIDGE_ENCRYPTION_KEYS_FILE=str(tmp_path / "keys"))
    assert done.code == 0
    assert [(row["key"], row["use"], row["deliveries"]) for row in done.json] == [
        ("new", "encrypts", 0),
        (name, "decrypts", 1),
        ("-", "not encrypted", 1),
    ]
    missing = place.run("keys", "stored")
    assert missing.code == 1
    assert f"{name}  missing" in missing.out
    shown = place.run("deliveries", delivery_id, "--json").json
    assert (shown["body"], f"{name!r} is not configured" in shown["locked"]) == (None, True)
    explained = place.run("explain", "--delivery", delivery_id)
    assert explained.code == 1
    assert "put it back into BRIDGE_ENCRYPTION_KEYS" in explained.err


def test_a_wrong_key_is_told_and_not_shown(place: Place) -> None:
    """Like any other setting."""
    done = place.run("check", BRIDGE_ENCRYPTION_KEYS="old:canarycanary")
    assert done.code == 2
    assert "BRIDGE_ENCRYPTION_KEYS: the key 'old' is not" in done.err
    assert "canary" not in done.err + done.out


def test_the_store_is_read_with_its_keys(place: Place, url: str) -> None:
    """Every command that shows a payload uses the keys of the environment."""
    made = key(place)
    inbox = Inbox(url, ring=Ring(read_keys(made), lambda size: b"n" * size))
    delivery_id = stored(inbox, body=b'{"id":"evt_1","x":1}')
    assert inbox.read(deliveries.get, delivery_id) is not None
    inbox.close()
    assert place.run("deliveries", delivery_id, "--json", BRIDGE_ENCRYPTION_KEYS=made).json["body"].endswith('"x":1}')
