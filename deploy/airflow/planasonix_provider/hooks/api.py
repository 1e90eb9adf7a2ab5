"""`PlanasonixHook`: the one way from Airflow to the Planasonix API, blocking and not.

The key is read from the connection when a call is made and stands in no attribute that Airflow serializes, in no log
and in no error. Redirects are not followed: the key would go to whoever they name. `http://` is for loopback only.

It is not `hooks/planasonix.py`: the vendor's distribution has a module of that name.
"""

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from airflow.providers.common.compat.sdk import BaseHook
from asgiref.sync import sync_to_async

from planasonix_provider import calls, connection_form
from planasonix_provider.bridge_api import BridgeApi, Question, Said
from planasonix_provider.errors import AlreadyRunning, InDoubt, NotThere, PlanasonixError, Rejected, Unavailable
from planasonix_provider.runs import Run, read_run, read_runs

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
# Raised before the request was written: nothing can have been done.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a connection says."""

    url: str
    key: str = field(repr=False)
    environment: str | None = None
    organization_id: str | None = None
    agent_pool: str | None = None
    bridge_source: str | None = None
    bridge_url: str | None = None
    bridge_token: str | None = field(default=None, repr=False)
    app_url: str = connection_form.DEFAULT_APP_URL

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every call."""
        organization = {"X-Organization-Id": self.organization_id} if self.organization_id else {}
        return {"Authorization": f"Bearer {self.key}", "Accept": "application/json"} | organization

    def run_url(self, run: Run) -> str:
        """Return where people look at a run: what the API says, else its usual place."""
        return run.url or f"{self.app_url.rstrip('/')}/runs/{quote(run.id, safe='')}"


class PlanasonixHook(BaseHook):
    """Calls Planasonix with a connection of the type `planasonix`."""

    conn_name_attr = "planasonix_conn_id"
    default_conn_name = connection_form.DEFAULT_CONNECTION
    conn_type = connection_form.CONNECTION_TYPE
    hook_name = "Planasonix"

    def __init__(self, planasonix_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        """Remember the connection's name; it is read by the first call."""
        super().__init__(**kwargs)
        self.planasonix_conn_id = planasonix_conn_id
        self._settings: Settings | None = None
        self._client: httpx.AsyncClient | None = None

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form for Airflow before 3.2."""
        return connection_form.widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the form's labels for Airflow before 3.2."""
        return connection_form.widget_behaviour()

    @property
    def settings(self) -> Settings:
        """What the connection says. Raises Rejected if it cannot be used."""
        if self._settings is None:
            self._settings = read_settings(self.get_connection(self.planasonix_conn_id))
        return self._settings

    def get_conn(self) -> Settings:
        """Return what the connection says: there is no lasting connection."""
        return self.settings

    def test_connection(self) -> tuple[bool, str]:
        """Ask for one pipeline, and try the bridge if there is one; for the button in Airflow's form."""
        try:
            self._send(calls.find_pipelines(limit=1))
        except PlanasonixError as error:
            return False, str(error)
        if not self.settings.bridge_url:
            return True, "Planasonix answered, and accepted the key"
        try:
            with httpx.Client(timeout=_TIMEOUT, verify=_tls()) as client:
                BridgeApi(self.settings).try_out(client)
        except PlanasonixError as error:
            return False, f"Planasonix answered, and accepted the key; but {error}"
        return True, "Planasonix and the bridge answered, and accepted key and token"

    def start_run(self, pipeline_id: str, body: Mapping[str, Any], *, key: str) -> Run:
        """Start a run. Raises PlanasonixError; InDoubt if it may have started."""
        run = read_run(self._send(calls.start_run(pipeline_id, body, key=key)))
        if run is None:
            raise InDoubt(f"the answer to starting {pipeline_id} names no run")
        return run

    def get_run(self, run_id: str) -> Run:
        """Return a run as it stands. Raises PlanasonixError."""
        return _one(run_id, self._send(calls.get_run(run_id)))

    async def get_run_async(self, run_id: str) -> Run:
        """Return a run as it stands, without blocking. Raises PlanasonixError."""
        return _one(run_id, await self._send_async(calls.get_run(run_id)))

    def list_runs(self, pipeline_id: str) -> list[Run]:
        """Return the newest runs of a pipeline. Raises PlanasonixError."""
        return read_runs(self._send(calls.list_runs(pipeline_id)))

    async def list_runs_async(self, pipeline_id: str) -> list[Run]:
        """Return the newest runs of a pipeline, without blocking. Raises PlanasonixError."""
        return read_runs(await self._send_async(calls.list_runs(pipeline_id)))

    def cancel_run(self, run_id: str) -> None:
        """Ask for a run to be cancelled; it may have ended already. Raises PlanasonixError."""
        try:
            self._send(calls.cancel_run(run_id))
        except (AlreadyRunning, NotThere) as error:
            self.log.info("Nothing to cancel: %s", error)

    async def cancel_run_async(self, run_id: str) -> None:
        """Ask for a run to be cancelled, without blocking; it may have ended already. Raises PlanasonixError."""
        try:
            await self._send_async(calls.cancel_run(run_id))
        except (AlreadyRunning, NotThere) as error:
            self.log.info("Nothing to cancel: %s", error)

    def find_pipeline(self, name: str) -> str:
        """Return the id of the pipeline with exactly this name. Raises NotThere, or Rejected if several have it."""
        found = calls.read_pipelines(self._send(calls.find_pipelines(name)))
        ids = sorted({id_ for id_, its_name in found if its_name == name})
        if not ids:
            raise NotThere(f"no pipeline is named {name!r}")
        if len(ids) > 1:
            raise Rejected(f"{len(ids)} pipelines are named {name!r}: {', '.join(ids[:5])}; give pipeline_id")
        return ids[0]

    async def names_bridge_async(self) -> bool:
        """Whether the connection names the bridge. Raises Rejected."""
        return bool((await self._open_async())[0].bridge_url)

    async def ask_bridge_async(self, question: Question, wait: int) -> Said:
        """Ask the bridge, which waits for its answer for so many seconds. Raises Unavailable and Rejected."""
        settings, client = await self._open_async()
        return await BridgeApi(settings).ask(client, question, wait=wait)

    async def close_async(self) -> None:
        """Close what the calls without blocking kept open."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _send(self, call: calls.Call) -> Any:
        settings = self.settings
        try:
            with httpx.Client(timeout=_TIMEOUT, verify=_tls()) as client:
                answer = client.request(call.method, settings.url + call.path, **_options(settings, call))
        except httpx.HTTPError as error:
            raise _failed(call, error) from None
        return _read(call, answer)

    async def _open_async(self) -> tuple[Settings, httpx.AsyncClient]:
        if self._settings is None:  # a connection may come from a secrets backend, which blocks
            self._settings = await sync_to_async(lambda: self.settings)()
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=_TIMEOUT, verify=await sync_to_async(_tls)())
        return self._settings, self._client

    async def _send_async(self, call: calls.Call) -> Any:
        settings, client = await self._open_async()
        try:
            answer = await client.request(call.method, settings.url + call.path, **_options(settings, call))
        except httpx.HTTPError as error:
            raise _failed(call, error) from None
        return _read(call, answer)


@cache
def _tls() -> ssl.SSLContext:
    """Load the certificates once: it takes a tenth of a second."""
    return httpx.create_ssl_context()


def read_settings(connection: Any) -> Settings:
    """Read a connection. Raises Rejected."""
    if not connection.password:
        raise Rejected(f"the connection {connection.conn_id} has no API key (its password)")
    extra = connection.extra_dejson
    texts = {item.name: str(extra[item.name]).strip() for item in connection_form.FIELDS if extra.get(item.name)}
    return Settings(url=_base_url(connection), key=connection.password.strip(), **texts)


def _base_url(connection: Any) -> str:
    host = (connection.host or connection_form.DEFAULT_HOST).strip().rstrip("/")
    if "://" not in host:
        host = f"{connection.schema or 'https'}://{host}"
    parts = urlsplit(host)
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise Rejected(f"the host of the connection {connection.conn_id} must be like {connection_form.DEFAULT_HOST}")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise Rejected("http:// would send the API key in the clear: use https://, or a loopback address")
    if connection.port and not parts.port:
        parts = parts._replace(netloc=f"{parts.netloc}:{connection.port}")
    return parts.geturl()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _options(settings: Settings, call: calls.Call) -> dict[str, Any]:
    body = {} if call.body is None else {"json": dict(call.body)}
    return {"params": dict(call.query), "headers": settings.headers | dict(call.headers), **body}


def _failed(call: calls.Call, error: httpx.HTTPError) -> PlanasonixError:
    message = f"{call.method} {call.path}: {type(error).__name__}"
    return Unavailable(message) if call.repeatable or isinstance(error, _NOT_SENT) else InDoubt(message)


def _read(call: calls.Call, answer: httpx.Response) -> Any:
    return calls.read(call, answer.status_code, answer.headers, answer.content, now=datetime.now(UTC))


def _one(run_id: str, answer: Any) -> Run:
    run = read_run(answer)
    if run is None or not run.status:
        raise Unavailable(f"the answer about the run {run_id} has no status")
    return run
