"""What the admin API says of the replicas: which keys each has loaded."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from bridge.edges.inbox import Inbox, loaded
from bridge.rules import views


class ReplicasApi:
    """The part of the admin API that tells of replicas; methods as those of `Api`."""

    def __init__(self, *, inbox: Inbox) -> None:
        """The store knows them all."""
        self._inbox = inbox

    def replicas(self, **_: Any) -> views.Json:
        """Return the replicas that are alive, each with the keys that it has loaded, by fingerprint."""
        keys: dict[str, list[views.Json]] = defaultdict(list)
        for each in self._inbox.read(loaded.live, now=datetime.now(UTC)):
            keys[each.replica].append({"source": each.source, "id": each.key_id, "fingerprint": each.fingerprint})
        return {"replicas": [{"replica": name, "keys": found} for name, found in sorted(keys.items())]}
