"""What the admin API says of the replicas: which mapping each uses, and which keys each has loaded."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from bridge.edges.inbox import Inbox, loaded
from bridge.rules import records, views

_OF_A_RELEASE_BEFORE = {"host": None, "mapping": None, "loaded_at": None}  # which tells of its keys alone


class ReplicasApi:
    """The part of the admin API that tells of replicas; methods as those of `Api`."""

    def __init__(self, *, inbox: Inbox) -> None:
        """The store knows them all."""
        self._inbox = inbox

    def replicas(self, **_: Any) -> views.Json:
        """Return the replicas that are alive, each with its mapping and the keys that it has loaded, by fingerprint."""
        now = datetime.now(UTC)
        mappings = {each.replica: records.replica(each) for each in self._inbox.read(loaded.mappings, now=now)}
        keys: dict[str, list[views.Json]] = defaultdict(list)
        for each in self._inbox.read(loaded.live, now=now):
            keys[each.replica].append({"source": each.source, "id": each.key_id, "fingerprint": each.fingerprint})
        return {
            "replicas": [
                {"replica": name} | mappings.get(name, _OF_A_RELEASE_BEFORE) | {"keys": keys[name]}
                for name in sorted(mappings.keys() | keys.keys())
            ]
        }
