"""What shows that the bridge takes the new secret, and that nobody uses the old one any more."""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bridge.edges import outside
from bridge.edges.planasonix.subscriptions import Subscriptions
from bridge.flows.rotating.noted import Noted
from bridge.rules import samples, views
from bridge.rules.mapping import Mapping
from bridge.rules.planning import Subject, plan
from bridge.rules.signature import Grammar, Key, read_whsec, sign
from bridge.rules.sources import Source
from bridge.words.errors import ConfigError, LookupNotFound, NotThere
from bridge.words.model import DeliveryState
from bridge.words.subscriptions import Sent
from bridge.words.targets import Secret

Ask = Callable[..., dict[str, Any]]  # as the admin API answers: Remote.get, or the store beside
_IN_A_ROW = 5  # each over its own connection
_MOST_PAGES = 20


def is_taken(source: Source, url: str, key_id: str, secret: Secret) -> str | None:
    """Send test events signed with the new secret; returns None if all are taken, else what was answered.

    They start no DAG run. A source whose `body` does not know a test event is sent none.
    """
    verifier, key = source.verifier, key_of(source, key_id, secret)
    for _ in range(_IN_A_ROW):
        at = str(views.instant(datetime.now(UTC)))
        body = samples.test_event(f"evt_rotate_{secrets.token_hex(8)}", at)
        about = Subject("dlv_0", source.name, at, body, spelling=source.spelling)
        if plan(about, Mapping.of(()), new_trigger_id=str, max_hops=1).state is not DeliveryState.IGNORED:
            return "its bodies know no test event, so none was sent; --untested goes on without"
        message_id = f"msg_{secrets.token_hex(12)}"
        headers = sign(verifier.preset, key, body, int(time.time()), prefix=verifier.prefix, message_id=message_id)
        posted = outside.post(url, body, headers | {"Content-Type": "application/json"})
        if posted.status not in (200, 202) or "delivery_id" not in posted.value:
            return posted.error or f"it answers {posted.status}"
    return None


def key_of(source: Source, key_id: str, secret: Secret) -> Key:
    """Return the key that the bridge makes of a secret."""
    text = secret.reveal()
    is_encoded = source.verifier.preset.grammar is Grammar.STANDARD
    return Key(key_id, read_whsec(text) if is_encoded else text.encode())


def without(ask: Ask | None, source: Source, key: Key) -> list[str]:
    """Return the replicas that are alive and have not loaded a key. Raises BridgeError.

    None if nobody can be asked, or it is a release that does not tell: then test events alone show it.
    """
    try:
        found = [] if ask is None else ask("replicas")["replicas"]
    except (NotThere, ConfigError):
        return []
    wanted = {"source": source.name, "id": key.id, "fingerprint": key.fingerprint}
    return [each["replica"] for each in found if wanted not in each["keys"]]


def was_taken(api: Subscriptions, ask: Ask | None, noted: Noted) -> bool:
    """Whether a webhook of the second subscription was taken, and the last one that is known was.

    Planasonix' own list says so: the store keeps the first of two copies alone, under whichever key that had. It is
    asked where the API has no such list.
    """
    try:
        tries = api.deliveries(str(noted.successor))
    except LookupNotFound:
        since = datetime.fromisoformat(str(noted.switched_on_at))
        return last_by(ask, noted, noted.key, since=since) is not None
    return bool(tries) and _is_good(max(tries, key=_when))


def last_by(ask: Ask | None, noted: Noted, key: str, *, since: datetime) -> datetime | None:
    """Return when the store last took a webhook signed with a key; test events do not count. Raises BridgeError."""
    if ask is None:
        return None
    query = {"source": noted.source, "since": since.isoformat(), "limit": "500"}
    for _ in range(_MOST_PAGES):
        page = ask("deliveries", **query)
        for row in page["deliveries"]:
            if row["key_id"] == key and row["state"] != DeliveryState.IGNORED:
                return datetime.fromisoformat(row["received_at"])
        if not page["next"]:
            return None
        query["after"] = page["next"]
    return None


def _is_good(item: Sent) -> bool:
    return item.status == "delivered" if item.http_status is None else item.http_status // 100 == 2


def _when(item: Sent) -> float:
    return item.at.timestamp() if item.at else 0.0
