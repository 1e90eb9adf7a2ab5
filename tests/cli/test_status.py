"""status: what it says of the bridge that should serve a store, and what it prints of a running one."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.chores.encryption import Progress
from bridge.cli.status import print_status
from bridge.edges.inbox import Inbox, loaded, refusals
from bridge.rules.easing import Easing, Ended, Strain
from bridge.words.refusals import Refusal, RefusalKind
from bridge.words.replicas import LoadedMapping
from tests.cli.conftest import Place


@pytest.fixture
def inbox(place: Place) -> Iterator[Inbox]:
    """The store of a place."""
    with closing(Inbox(f"sqlite:///{place.store()}")) as item:
        yield item


def test_a_store_without_a_bridge_is_not_well(place: Place, inbox: Inbox) -> None:
    """Nothing waits there because nothing comes; the next step is to start one. Exit 1."""
    ended = place.here("status")
    assert ended.code == 1
    assert "no bridge serves this store" in ended.out
    assert "next: Start `planasonix-bridge serve`" in ended.out
    assert "source planasonix: last webhook never" in ended.out


def test_a_source_without_a_refusal_is_not_said_to_have_had_none(place: Place, inbox: Inbox) -> None:
    """All sources share the ring: what another sent pushes out the one refusal that tells why nothing comes."""
    one = Refusal(datetime.now(UTC), RefusalKind.REFUSED, "planasonix", "signature_mismatch")
    inbox.write(refusals.append, [one])
    assert "last webhook never, last refused " in place.here("status").out
    inbox.write(refusals.append, [replace(one, source="other")] * refusals.KEPT)
    assert "source planasonix: last webhook never, none of the last 1000 refusals" in place.here("status").out


def test_a_store_with_a_bridge_is_well(place: Place, inbox: Inbox) -> None:
    """As long as that one renews what it tells; and which mapping it uses is said. Exit 0."""
    mine = LoadedMapping("a1b2c3d4", "pod-0", "0123456789ab", datetime.now(UTC))
    inbox.write(loaded.say, [mine], gone=(), now=datetime.now(UTC), seconds=600)
    ended = place.here("status")
    assert (ended.code, "all is well" in ended.out) == (0, True)
    assert "replica pod-0 a1b2c3d4: mapping 0123456789ab since " in ended.out
    inbox.write(loaded.say, (), gone=[mine], now=datetime.now(UTC), seconds=600)
    assert place.here("status").code == 1


def running(**facts: Any) -> dict[str, Any]:
    """Return the answer of a running bridge that is well."""
    airflow = {"name": "default", "is_available": True, "reason": None, "pace": facts.pop("pace", None), "waits": None}
    airflow |= facts.pop("airflow", {})
    return {"needs": [], "waiting": {}, "sources": [], "airflows": [airflow], **facts}


def test_what_there_is_no_room_for_is_named_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Eight have their next step, others a line, the rest is counted; the same of notes, of which a pause is last."""
    facts = {"count": 1, "since": None, "example": None, "says": "It is so", "next_step": "Do it", "reason": "missing"}
    needs = [facts | {"what": "dag", "about": f"load_{number} at default"} for number in range(33)]
    print_status(running(needs=needs, notes=needs[:10]))
    head, _, notes = capsys.readouterr().out.partition("note: dag")
    assert (head.count("next: Do it"), notes.count("next: Do it")) == (8, 8)
    assert "  dag: load_29 at default: 1 (missing)\n" in head
    assert "load_30" not in head
    assert "and 3 more: --json has them all" in head
    assert "  dag: load_9 at default: 1 (missing)\n" in notes
    assert "more notes" not in notes
    print_status(running(notes=needs[:32]))
    assert "and 2 more notes: --json has them all" in capsys.readouterr().out


def test_a_lowered_pace_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """With what lowered it; a pace that is as the settings say is no news."""
    easing = Easing(4, 10.0)
    print_status(running(pace=easing.facts(0.0)))
    assert "Airflow default: well\n" in capsys.readouterr().out
    for number in range(2):
        easing.ended(Ended(f"trg_{number}", "a", 0.02, 4, Strain.THROTTLED, False), 0.0)
    print_status(running(pace=easing.facts(0.0)))
    assert "Airflow default: well, slowed down (throttled): 4 calls at once, 5 a second\n" in capsys.readouterr().out


def test_what_is_paused_is_no_longer_well(place: Place, inbox: Inbox, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the store, and of a running bridge, where an Airflow may be down as well; as a note, so the exit stays."""
    mine = LoadedMapping("a1b2c3d4", "pod-0", "0123456789ab", datetime.now(UTC))
    inbox.write(loaded.say, [mine], gone=(), now=datetime.now(UTC), seconds=600)
    for what in (("source", "planasonix", "--for", "2h"), ("airflow", "default")):
        assert place.here("pause", *what).code == 0
    ended = place.here("status")
    assert ended.code == 0
    assert "note: paused: airflow default: 1, since" in ended.out
    assert re.search("source planasonix: last webhook never, .*, paused by cli:.* until", ended.out)
    pause = {"actor": "token:operator", "ends_at": None}
    for more, state in (({}, ""), ({"is_available": False, "reason": "airflow_down"}, ", airflow_down")):
        print_status(running(airflow={"paused": pause} | more))
        says = f"Airflow default: paused by token:operator until somebody resumes it{state}\n"
        assert says in capsys.readouterr().out


def test_an_encryption_under_way_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Until it is done; one that never was is no news either."""
    progress = Progress("2026", table="deliveries", rewritten=30, locked=2)
    print_status(running(encryption=asdict(progress)))
    says = "encryption with key 2026: at deliveries, 30 rows rewritten, 2 that no key opens\n"
    assert says in capsys.readouterr().out
    for encryption in (None, asdict(Progress("2026", table=None, is_done=True))):
        print_status(running(encryption=encryption))
        assert "encryption" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("in_use", "expected"),
    [
        ("newest", []),
        ("last_good", ["mapping file a/orders.yaml of team-a: in use is its last good content"]),
        ("nothing", ["mapping file a/orders.yaml of team-a: in use is nothing of it"]),
    ],
)
def test_a_file_whose_newest_content_is_not_in_use_is_printed(
    capsys: pytest.CaptureFixture[str], in_use: str, expected: list[str]
) -> None:
    """With its owner, who is to be asked."""
    file = {"file": "a/orders.yaml", "owner": "team-a", "in_use": in_use}
    print_status(running(mapping={"files": [file]}))
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if line.startswith("mapping")] == expected
