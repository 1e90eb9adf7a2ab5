"""The places outside that the bridge talks to, as configured: an Airflow, a Planasonix API, a key set, a provider.

They stand in `words`, so that `settings` (which reads them) and the edges (which use them) need not know each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.words.roles import Role


class Secret:
    """A text that is never shown: repr and str are masked, only `reveal` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep the text."""
        self._text = text

    def reveal(self) -> str:
        """Return the text itself; call it only where it is sent."""
        return self._text

    def __repr__(self) -> str:
        """Return a mask."""
        return "Secret('***')"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class AirflowAuth:
    """How to sign in to one Airflow; bridge/edges/airflow/sign_ins.py has the table of ways.

    `auto` is the way that the other fields are for. User and password are Basic on Airflow 2 and a login on Airflow 3.
    `path` is below the Airflow's URL. `body` is posted there; `{username}`, `{password}`, `{client_id}` and
    `{client_secret}` stand for what they name. None: what the way usually posts.
    """

    username: Secret | None = None
    password: Secret | None = None
    token: Secret | None = None
    client_id: Secret | None = None
    client_secret: Secret | None = None
    command: tuple[str, ...] = ()
    command_seconds: float = 10.0
    way: str = "auto"  # auto | none | bearer | basic | login | client_credentials | exec
    path: str = "/auth/token"
    body: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class AirflowTarget:
    """One Airflow. `rate` is DAG runs per second, `concurrency` calls under way at once.

    Above 1, one call more may be under way while one DAG hangs at all places (bridge.rules.places).
    `adaptive`: call it more slowly than that while it is under strain.
    """

    name: str
    url: str
    auth: AirflowAuth = field(default_factory=AirflowAuth)
    version: str = "auto"  # auto | 2 | 3
    concurrency: int = 4
    rate: float = 10.0
    adaptive: bool = True
    connect_seconds: float = 3.0
    read_seconds: float = 15.0
    deadline_seconds: float = 20.0
    max_conf_bytes: int = 262_144
    ca_file: str | None = None
    client_cert_file: str | None = None
    client_key_file: str | None = None
    verify_tls: bool = True
    proxy: Secret | None = None  # a URL, perhaps with user and password
    headers: Mapping[str, Secret] = field(default_factory=dict)  # sent with every call
    wake: bool = False  # end the waits of its parked tasks


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where a key of a source stands: a variable or a file. An optional one may hold nothing as yet."""

    id: str
    env: str | None = None
    file: str | None = None
    is_optional: bool = False
    is_there: bool = True


@dataclass(frozen=True, slots=True)
class PlanasonixApi:
    """The Planasonix API of one source, asked for what an event leaves out.

    `path_prefix` stands before `/v1/jobs` and `/runs`; `headers` are sent with every call.
    """

    url: str
    key: Secret
    timeout_seconds: float = 10.0
    path_prefix: str = "/api"
    headers: Mapping[str, Secret] = field(default_factory=dict)
    ca_file: str | None = None
    client_cert_file: str | None = None
    client_key_file: str | None = None


@dataclass(frozen=True, slots=True)
class Reconcile:
    """How a source's webhooks that never came are made up for. `types`: instead of those that were seen."""

    every_seconds: float = 300.0
    grace_seconds: float = 600.0
    since_seconds: float = 86_400.0
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JwksUrl:
    """Where a provider publishes its key set; `ca_file`: the authority of its certificate, if a private one."""

    url: str
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class NotifyTarget:
    """Where messages are sent, on what, and how long a cause must have stood before.

    `name` is what the configuration calls its secret. `url` says to apprise which service, and as whom.
    """

    name: str
    url: Secret
    on: frozenset[str]
    after_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class OpenIdProvider:
    """Where people sign in by OpenID Connect. `roles`: the role of each group that has one, by the group's name.

    `name_claim` says what the audit log calls a person, `groups_claim` where their groups stand.
    """

    issuer: str
    client_id: str
    secret: Secret
    roles: Mapping[str, Role]
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    groups_claim: str = "groups"
    name_claim: str = "email"
    ca_file: str | None = None
