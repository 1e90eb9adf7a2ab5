"""audit: the installed command beside a store."""

from datetime import UTC, datetime

from bridge.edges.inbox import Inbox, auditing
from bridge.words.audit import AuditLine
from tests.cli.conftest import Place


def test_it_lists_who_did_what(place: Place) -> None:
    """Newest first, by person; exit 1 if there is nothing."""
    place.store()
    assert place.run("audit").code == 1
    inbox = Inbox(place.variables["BRIDGE_DATABASE_URL"])
    now = datetime.now(UTC)
    inbox.write(auditing.append, [AuditLine(now, f"cli:{name}", "erased", "dlv_1", "ticket 4711") for name in "ab"])
    inbox.close()
    ended = place.run("audit", "--since", "1h")
    head, first, second = ended.out.splitlines()
    assert (ended.code, head.split()) == (0, ["AT", "ACTOR", "ACTION", "SUBJECT", "REASON"])
    assert ("cli:b" in first, "cli:a" in second, "ticket 4711" in first) == (True, True, True)
    (line,) = place.run("audit", "--actor", "cli:a", "--of", "dlv_1", "--json").json
    assert (line["actor"], line["action"], line["subject"]) == ("cli:a", "erased", "dlv_1")
    assert place.run("audit", "--of", "dlv_2").code == 1
