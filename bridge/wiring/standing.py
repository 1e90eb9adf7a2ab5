"""Builds what says where everything stands, and what notifies people of it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlencode

from bridge.chores.key_sets import KeySetState
from bridge.chores.loop import Loop
from bridge.chores.secret_files import SecretsState
from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from bridge.edges.settings import Config, Environment
from bridge.flows.notifying import Notifying
from bridge.rules import attention
from bridge.rules.attention import Need
from bridge.rules.notifying import Around
from bridge.rules.signature import Key
from bridge.web.status import StatusApi
from bridge.wiring.work import Work


class Standing:
    """Where everything stands, and who is notified of it."""

    def __init__(
        self,
        environment: Environment,
        config: Config,
        inbox: Inbox,
        metrics: Metrics,
        work: Work,
        *,
        secrets: Callable[[], SecretsState],
        key_sets: Callable[[], Sequence[KeySetState]],
        keys: Callable[[], Mapping[str, Sequence[Key]]],
        certificate_ends: Callable[[], datetime | None],
    ) -> None:
        """Build it; nothing runs yet."""
        self.status = StatusApi(
            inbox=inbox,
            mapping=work.mapping,
            dispatcher=work.dispatcher,
            encryption=work.encryption,
            pausing=work.pausing,
            metrics=metrics,
            names=lambda: work.names(config),
            secrets=secrets,
            key_sets=key_sets,
            keys=keys,
            certificate_ends=certificate_ends,
        )
        self._notifying = Notifying(
            inbox=inbox,
            metrics=metrics,
            targets=config.notify,
            needs=self.status.needs,
            around=Around(link_to(environment.public_admin_url), work.mapping.owner_of),
        )

    @property
    def loops(self) -> list[Loop]:
        """What turns here."""
        return [self.status.loop, self._notifying.loop]

    def take_over(self, config: Config) -> None:
        """Put other URLs to use."""
        self._notifying.take_over(config.notify)


def link_to(public_url: str | None) -> Callable[[Need], str | None]:
    """Return what makes the link to the page of a need; none where nobody knows where the pages are."""

    def link(need: Need) -> str | None:
        if public_url is None:
            return None
        path, chosen = attention.place(need.what, need.filter)
        return f"{public_url}{path}" + (f"?{urlencode(chosen)}" if chosen else "")

    return link
