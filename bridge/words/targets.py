"""The places outside that the bridge talks to, as configured: an Airflow, a Planasonix API, a key set.

They stand in `words`, so that `settings` (which reads them) and the edges (which use them) need not know each other.
"""

from dataclasses import dataclass, field


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
    """How to sign in: username and password (Airflow 3: a token is fetched; Airflow 2: Basic), or a fixed token.

    With neither, no credentials are sent.
    """

    username: Secret | None = None
    password: Secret | None = None
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class AirflowTarget:
    """One Airflow. `rate` is DAG runs per second, `concurrency` calls under way at once."""

    name: str
    url: str
    auth: AirflowAuth = field(default_factory=AirflowAuth)
    version: str = "auto"  # auto | 2 | 3
    concurrency: int = 4
    rate: float = 10.0
    connect_seconds: float = 3.0
    read_seconds: float = 15.0
    deadline_seconds: float = 20.0
    max_conf_bytes: int = 262_144
    ca_file: str | None = None
    client_cert_file: str | None = None
    client_key_file: str | None = None
    verify_tls: bool = True


@dataclass(frozen=True, slots=True)
class PlanasonixApi:
    """The Planasonix API of one source, asked for what an event leaves out."""

    url: str
    key: Secret
    timeout_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class JwksUrl:
    """Where a provider publishes its key set; `ca_file`: the authority of its certificate, if a private one."""

    url: str
    ca_file: str | None = None
