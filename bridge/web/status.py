"""Where everything stands, first what needs a person; its loop notes since when all is well."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bridge import __version__
from bridge.chores.encryption import Encryption
from bridge.chores.key_sets import KeySetState
from bridge.chores.loop import Loop
from bridge.chores.mapping_file import FileState, MappingFile, MappingState
from bridge.chores.secret_files import SecretsState
from bridge.edges.inbox import Inbox, abandoned, dags, waits
from bridge.edges.metrics import Metrics
from bridge.flows import attending
from bridge.flows.firing import Dispatcher
from bridge.flows.pausing import Pausing
from bridge.rules import attention, troubles, views
from bridge.rules.attention import Need
from bridge.rules.pauses import Names
from bridge.rules.signature import Key
from bridge.rules.troubles import Trouble
from bridge.words.pauses import PauseKind

_EVERY_SECONDS = 30.0  # a look costs some milliseconds, 0.1 s with 20 000 failures


class StatusApi:
    """The part of the admin API that says where everything stands; methods as those of `Api`."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        mapping: MappingFile,
        dispatcher: Dispatcher,
        encryption: Encryption,
        pausing: Pausing,
        metrics: Metrics,
        names: Callable[[], Names],
        secrets: Callable[[], SecretsState],
        key_sets: Callable[[], Sequence[KeySetState]],
        keys: Callable[[], Mapping[str, Sequence[Key]]],
        certificate_ends: Callable[[], datetime | None],
    ) -> None:
        """`names` returns what is configured at this moment, `keys` the keys of each source.

        `certificate_ends` returns until when the admin listener's certificate is valid, None without any.
        """
        self._inbox = inbox
        self._mapping = mapping
        self._dispatcher = dispatcher
        self._encryption = encryption
        self._pausing = pausing
        self._names = names
        self._secrets = secrets
        self._key_sets, self._keys, self._certificate_ends = key_sets, keys, certificate_ends
        self._wellness = attending.Wellness()
        self.loop = Loop("attention", self.watch, every_seconds=_EVERY_SECONDS, metrics=metrics)

    def status(self, **_: Any) -> views.Json:
        """Return what needs a person, with the next step of each (`needs`), and where everything stands.

        `notes` are of the same form, and need nobody: what is meant, or what a stranger can cause.
        """
        found = self._look()
        since = {"well_since": views.instant(self._wellness.note(found))}
        stored = attending.stored(self._inbox, self._names())
        return attention.view(found) | since | self._service() | stored | self._of_mapping()

    def watch(self) -> None:
        """Note whether all is well, so that since when can be said. Raises InboxUnavailable."""
        self._wellness.note(self._look())

    def needs(self) -> list[Need]:
        """Return what needs a person, without notes. Raises InboxUnavailable."""
        return [need for need in self._look() if not need.is_note]

    def needs_of_deliveries(self) -> list[Need]:
        """Return what of deliveries, and of triggers that came too late, needs a person. Raises InboxUnavailable."""
        found = self._look(with_groups=False)
        return [need for need in found if not need.is_note and attention.is_of_deliveries(need.what)]

    def _look(self, *, with_groups: bool = True) -> list[Need]:
        routes, troubles = self._mapping.current().routes, list(self._troubles())
        return attending.look(
            self._inbox, troubles=troubles, names=self._names(), routes=routes, with_groups=with_groups
        )

    def _service(self) -> views.Json:
        return {
            "version": __version__,
            "mapping": _mapping(self._mapping.state),
            "secrets": {
                "loaded_at": views.instant(self._secrets().loaded_at),
                "problems": [str(problem) for problem in self._secrets().problems],
            },
            "key_sets": [_key_set(item) for item in self._key_sets()],
            "airflows": [self._airflow(name) for name in self._dispatcher.lanes],
            "encryption": self._encryption.status(),
        }

    def _of_mapping(self) -> views.Json:
        """Return what is said of the DAGs that the mapping names, and what is paused."""
        return {
            "dags": [dag for name in self._dispatcher.lanes for dag in self._dags(name)],
            "paused": [views.pause(item, is_gone=is_gone) for item, is_gone in self._pausing.shown()],
        }

    def _airflow(self, name: str) -> views.Json:
        lane = self._dispatcher.lanes[name]
        breaker, now = lane.breaker, time.monotonic()
        pause = self._pausing.current().get(PauseKind.AIRFLOW, name)
        return {
            "name": name,
            "is_available": not breaker.is_open,
            **views.reason(breaker.reason if breaker.is_open else None, breaker.detail if breaker.is_open else None),
            "paused": None if pause is None else views.pause(pause, is_gone=False),
            "calls_under_way": len(lane.under_way),
            "pace": lane.easing.facts(now),
            "waits": self._waits(name) if lane.wakes else None,
        }

    def _waits(self, airflow: str) -> views.Json:
        """Return how many of an Airflow's tasks are parked, and of how many runs it is not known if somebody waits."""
        undecided = self._inbox.read(abandoned.count).get(airflow, 0)
        found = next((item for item in self._inbox.read(waits.count) if item.airflow == airflow), None)
        oldest = views.instant(found.oldest_at if found else None)
        return {"open": found.amount if found else 0, "oldest": oldest, "abandoned": undecided}

    def _dags(self, airflow: str) -> list[views.Json]:
        """Return what an Airflow says of the DAGs that the mapping names, as it was last asked."""
        known, params = self._inbox.read(dags.known, airflow=airflow), self._inbox.read(dags.params, airflow=airflow)
        routes = self._mapping.current().routes
        return [views.dag(item, params.get(item.dag_id), routes) for item in sorted(known, key=lambda dag: dag.dag_id)]

    def _troubles(self) -> Iterator[Trouble]:
        state = self._mapping.state
        yield from troubles.of_files(
            state.problems,
            self._secrets().problems,
            is_lacking=state.is_lacking,
            unused=state.unused,
            mapping_since=state.broken_since,
        )
        for item in self._key_sets():
            if item.problem is not None:
                says = f"the key set of key {item.key} of source {item.source} is not fetched: {item.problem}"
                yield Trouble("key_set", f"{item.source} {item.key}", says, "Run `planasonix-bridge keys check`.")
        yield from troubles.of_keys(self._keys(), datetime.now(UTC))
        yield from troubles.of_certificate(self._certificate_ends(), datetime.now(UTC))
        for name, lane in self._dispatcher.lanes.items():
            if lane.breaker.is_open and (reason := lane.breaker.reason) is not None:
                yield Trouble("airflow_down", name, f"Airflow {name}: {reason.why}", reason.next_step, reason=reason)


def _key_set(state: KeySetState) -> views.Json:
    return {
        "source": state.source,
        "key": state.key,
        "keys": state.keys,
        "loaded_at": views.instant(state.loaded_at),
        "trouble": state.problem,
    }


def _mapping(state: MappingState) -> views.Json:
    return {
        "digest": state.mapping.digest,
        "routes": len(state.mapping.routes),
        "is_lacking": state.is_lacking,
        "loaded_at": views.instant(state.loaded_at),
        "problems": [str(problem) for problem in state.problems],
        "broken_since": views.instant(state.broken_since),
        "warnings": [str(warning) for warning in state.mapping.warnings],
        "files": [_file(item) for item in state.files],
    }


def _file(item: FileState) -> views.Json:
    """Return a file of the mapping: what of it is in use, and what is wrong with what it holds now."""
    part = item.part
    return {
        "file": item.file,
        "owner": None if part is None else part.owner,
        "in_use": "nothing" if part is None else "last_good" if item.problems else "newest",
        "digest": None if part is None else part.digest,
        "routes": 0 if part is None else len(part.routes),
        "loaded_at": views.instant(item.loaded_at if part is not None else None),
        "problems": [str(problem) for problem in item.problems],
    }
