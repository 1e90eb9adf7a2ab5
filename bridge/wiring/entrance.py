"""Builds what lets people in at the admin listener, and keeps what the audit log is to know of it."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from bridge.chores.audit_log import AuditLog
from bridge.chores.loop import Loop
from bridge.chores.mapping_file import MappingFile
from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from bridge.edges.openid import Provider
from bridge.edges.settings import Config, Environment
from bridge.rules import openid
from bridge.rules.origin import limited_address
from bridge.web.sign_in import Access, Failure, People
from bridge.words.roles import SIGN_INS, Caller, Role
from bridge.words.targets import Secret


class Entrance:
    """Who is let in, and who hears of it."""

    def __init__(
        self, environment: Environment, config: Config, inbox: Inbox, metrics: Metrics, mapping: MappingFile
    ) -> None:
        """Nothing runs yet."""
        self._metrics_open = environment.metrics_open
        self._session_seconds = environment.session_hours * 3600
        self._proxies = config.proxies
        self._metrics = metrics
        self._mapping = mapping
        self.provider = None if config.openid is None else Provider(config.openid)
        self._log = AuditLog(inbox=inbox, metrics=metrics, mapping=self._in_use)

    @property
    def loop(self) -> Loop:
        """What writes the audit log."""
        return self._log.loop

    def access(self, tokens: Callable[[], Mapping[Role, Secret]]) -> Access:
        """Return what the admin listener asks; `tokens` returns those of this moment."""
        return Access(
            tokens=tokens,
            metrics_open=self._metrics_open,
            sender=self._sender,
            on_refused=self._refused,
            on_let_in=self._let_in,
            session_seconds=self._session_seconds,
            people=None if self.provider is None else self._people(self.provider),
        )

    def take_over(self, config: Config) -> None:
        """Put another secret of the provider's client to use."""
        if self.provider is not None and config.openid is not None:
            self.provider.take_over(config.openid)

    def _people(self, provider: Provider) -> People:
        return People(
            key=lambda: openid.session_key(provider.target),
            on_signed_in=lambda caller, address: self._log.sign_in(caller.name, address),
            on_failed=self._failed,
        )

    def _in_use(self) -> tuple[str, int, datetime]:
        state = self._mapping.state
        return state.mapping.digest, len(state.mapping.routes), state.loaded_at

    def _sender(self, peer: str | None, headers: Iterable[tuple[bytes, bytes]]) -> str:
        return limited_address(self._proxies.sender(peer, headers))

    def _refused(self, address: str, why: Failure) -> None:
        self._metrics.access.refused.labels(why).inc()
        if why in ("token_wrong", "too_many"):
            self._log.refuse(address)

    def _let_in(self, caller: Caller, address: str) -> None:
        if caller.role in SIGN_INS:
            self._log.let_in(caller.name, address)

    def _failed(self, address: str, why: Failure, actor: str, detail: str) -> None:
        self._metrics.access.refused.labels(why).inc()
        self._log.refuse(address, detail, actor=actor)
