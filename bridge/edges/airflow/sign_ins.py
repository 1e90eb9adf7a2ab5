"""How to sign in at one Airflow: one table of ways, each with what it sends and where that comes from.

    none                nothing
    bearer              a fixed token (Astro); a token in a file is read again when the file changes
    basic               user and password with every call (Airflow 2)
    login               POST user and password, get a token (Airflow 3: the simple and the FAB auth manager)
    client_credentials  POST a client's id and secret, get a token (the Keycloak auth manager)
    exec                run a command that prints a token or headers (MWAA, Composer, Entra: deploy/auth/)

Nothing is kept here; `Tokens` keeps what a way gives. Facts: each auth manager's own documentation.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.edges.airflow import answers, commands
from bridge.edges.airflow.tokens import Headers, SignedIn, life_seconds
from bridge.edges.airflow.transport import Transport
from bridge.edges.airflow.versions import VERSIONS
from bridge.edges.airflow.wire import Answer, Failure
from bridge.words.outcomes import Misconfigured
from bridge.words.reasons import Reason
from bridge.words.targets import AirflowAuth, Secret

SECONDS = 10.0
_MAX_LIFE_SECONDS = 10 * 365 * 86_400.0
_HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}
Fetched = SignedIn | answers.TargetProblem


@dataclass(frozen=True, slots=True)
class Way:
    """One way: either `headers`, known without a call, or `fetch`, which gets them.

    `is_everywhere`: they also go along with questions that Airflow answers to anybody (version, health), since a
    gateway before a managed Airflow asks for them everywhere.
    """

    name: str
    headers: Callable[[AirflowAuth], Headers] | None = None
    fetch: Callable[[AirflowAuth, Transport], Fetched] | None = None
    is_everywhere: bool = False


def _bearer(auth: AirflowAuth) -> Headers:
    return (("Authorization", f"Bearer {_reveal(auth.token)}"),)


def _basic(auth: AirflowAuth) -> Headers:
    pair = f"{_reveal(auth.username)}:{_reveal(auth.password)}".encode()
    return (("Authorization", f"Basic {base64.b64encode(pair).decode('ascii')}"),)


_BODIES: Mapping[str, Mapping[str, object]] = {
    "login": {"username": "{username}", "password": "{password}"},
    "client_credentials": {
        "grant_type": "client_credentials",
        "client_id": "{client_id}",
        "client_secret": "{client_secret}",
    },
}
_CREDENTIALS = ("username", "password", "client_id", "client_secret")


def _login(auth: AirflowAuth, transport: Transport) -> Fetched:
    return _post(auth, transport, _BODIES["login"])


def _client_credentials(auth: AirflowAuth, transport: Transport) -> Fetched:
    return _post(auth, transport, _BODIES["client_credentials"])


def _post(auth: AirflowAuth, transport: Transport, usual: Mapping[str, object]) -> Fetched:
    """Post the body, with the credentials in place of their names in braces."""
    known = {f"{{{name}}}": _reveal(getattr(auth, name)) for name in _CREDENTIALS}
    body = {
        name: known.get(value, value) if isinstance(value, str) else value
        for name, value in (usual if auth.body is None else auth.body).items()
    }
    return read_grant(transport.call("POST", auth.path, headers=_HEADERS, body=body, seconds=SECONDS))


def _command(auth: AirflowAuth, _: Transport) -> Fetched:
    return commands.run(auth.command, auth.command_seconds)


_WAYS: Mapping[str, Way] = {
    way.name: way
    for way in (
        Way("none", headers=lambda _: ()),
        Way("bearer", headers=_bearer, is_everywhere=True),
        Way("basic", headers=_basic),
        Way("login", fetch=_login),
        Way("client_credentials", fetch=_client_credentials),
        Way("exec", fetch=_command, is_everywhere=True),
    )
}


def way_of(auth: AirflowAuth, version: str | None) -> Way:
    """Return how to sign in; `version` is Airflow's major one, None while it is not known."""
    if auth.way != "auto":
        return _WAYS[auth.way]
    if auth.token is not None:
        return _WAYS["bearer"]
    if auth.command:
        return _WAYS["exec"]
    if auth.client_id is not None:
        return _WAYS["client_credentials"]
    if auth.username is None:
        return _WAYS["none"]
    return _WAYS["login" if version is None else VERSIONS[version].password_way]


def read_grant(answer: Answer | Failure) -> Fetched:
    """Return the token that an auth manager granted, or why there is none."""
    if isinstance(answer, Failure):
        return answers.after_failure(answer)
    if (problem := answers.after_sign_in(answer)) is not None:
        return problem
    granted = answer.object()
    text = granted.get("access_token")
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text:
        detail = "the answer to the sign-in holds no access token"
        return Misconfigured(Reason.AIRFLOW_MISCONFIGURED, detail, http_status=answer.status)
    return SignedIn((("Authorization", f"Bearer {text}"),), life_seconds(text) or _life(granted.get("expires_in")))


def _life(value: Any) -> float | None:
    """Return `expires_in` (RFC 6749, 5.1) if it is a sensible number of seconds."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < _MAX_LIFE_SECONDS else None


def _reveal(secret: Secret | None) -> str:
    return "" if secret is None else secret.reveal()
