"""A real OpenID provider (oidc-provider-mock) on loopback, in a process of its own, and trouble in front of it.

    with OpenIdProvider(folder) as provider:
        provider.knows("anna", groups=["data"])         # give the bridge provider.issuer
        back = provider.sign_in("anna", url)            # where the browser is sent back to
        provider.trouble(claims={"aud": "another"})     # from now on in every ID token, signed anew by a key of the set

What is in front passes everything on, and remembers it. It signs ID tokens anew, with a key of its own beside the
provider's, since those name no key. Trouble is asked for: `claims` changed in the ID token, a `forged` signature,
answers of paths replaced, or paths that hang.
"""

import io
import json
import os
import sys
import threading
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

import httpx

from deploy.demo.airflow import REPOSITORY
from deploy.demo.processes import Process, free_port
from tests.support.service import PYTHON, BridgeProcess, wait_for

TOKEN, KEYS, DOCUMENT = "/oauth2/token", "/jwks", "/.well-known/openid-configuration"
_CONTROL = "/_trouble"
_SIGN_IN = """\
sign_in:
  openid:
    issuer: {issuer}
    client_id: planasonix-bridge
    secret: {{file: client-secret}}
    roles: {{data-team: viewer, on-call: operator, owners: admin}}
"""


class OpenIdProvider:
    """The provider, as tests use it."""

    def __init__(self, folder: Path) -> None:
        """`folder` keeps its log."""
        self.port = free_port()
        self.issuer = f"http://localhost:{self.port}"  # to a browser another site than 127.0.0.1
        command = [str(PYTHON), "-W", "ignore", "-m", "tests.support.openid_provider", str(self.port)]
        self._process = Process(
            "the provider", command, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, log=folder / "provider.log"
        )
        self._client = httpx.Client(base_url=self.issuer, trust_env=False, timeout=60)

    def __enter__(self) -> Self:
        """Start it."""
        self._process.start()
        wait_for(self._is_there, seconds=20, what=self._process.tail)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.release()
        self._client.close()
        self._process.kill()

    def knows(self, sub: str, **claims: Any) -> None:
        """Know a person."""
        assert self._client.put(f"/users/{sub}", json=claims).status_code == 204

    def sign_in(self, sub: str, url: str) -> str:
        """Sign in as a person there, and return where the browser is sent back to."""
        return self._client.post(url, data={"sub": sub}).headers["location"]

    def trouble(self, **wanted: Any) -> None:
        """Ask for `claims`, `forged`, `answers` (path: [status, text]) or `hang` (paths); all else is in order."""
        assert self._client.put(_CONTROL, json=wanted).status_code == 204

    def release(self) -> None:
        """End all trouble; what hangs is answered."""
        self.trouble()

    def asked(self, path: str) -> list[dict[str, str]]:
        """Return what was sent to a path: the fields of form and query, and the header `authorization`."""
        return [each for where, each in self._client.get(_CONTROL).json() if where == path]

    def _is_there(self) -> bool:
        try:
            return self._client.get(DOCUMENT).status_code == 200
        except httpx.TransportError:
            return False


def bridge_with(provider: OpenIdProvider, folder: Path) -> BridgeProcess:
    """Return a bridge that is not started yet, whose people sign in there."""
    (folder / "client-secret").write_text("secret-of-the-client-0123456789")
    bridge = BridgeProcess(
        folder,
        airflow_url=f"http://127.0.0.1:{free_port()}",
        mapping="routes: [{pipeline: pl_8f2a9c1d4e, dag: refresh_sales_marts}]\n",
        more=_SIGN_IN.format(issuer=provider.issuer),
    )
    bridge.set_variable("BRIDGE_PUBLIC_ADMIN_URL", f"http://127.0.0.1:{bridge.admin_port}")
    return bridge


class _Front:
    """WSGI in front of the real provider."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        from joserfc.jwk import RSAKey

        self._application = application
        self._own = RSAKey.generate_key(2048, {"kid": "own", "use": "sig", "alg": "RS256"})
        self._stranger = RSAKey.generate_key(2048, {"kid": "own"})
        self._trouble: dict[str, Any] = {}
        self._over = threading.Event()
        self._asked: list[tuple[str, dict[str, str]]] = []

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path == _CONTROL:
            return self._control(environ, start)
        self._remember(path, environ)
        problem, over = self._trouble, self._over
        if path in problem.get("hang", ()):
            over.wait()
        if path in problem.get("answers", {}):
            status, text = problem["answers"][path]
            start(f"{status} Trouble", [("Content-Type", "application/json"), ("Location", "http://127.0.0.1:1/")])
            return [text.encode()]
        if path == KEYS or (method == "POST" and path == TOKEN):
            return self._changed(path, environ, start)
        return self._application(environ, start)

    def _control(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET":
            start("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(self._asked).encode()]
        self._trouble = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        self._over.set()
        self._over = threading.Event()
        start("204 No Content", [])
        return []

    def _remember(self, path: str, environ: dict[str, Any]) -> None:
        content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(content)
        sent = parse_qs(environ.get("QUERY_STRING", "") + "&" + content.decode("latin-1"))
        fields = {name: values[-1] for name, values in sent.items()}
        self._asked.append((path, fields | {"authorization": environ.get("HTTP_AUTHORIZATION", "")}))

    def _changed(self, path: str, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        head: list[Any] = []
        content = b"".join(self._application(environ, lambda *given: head.extend(given[:2])))
        document = json.loads(content)
        if path == KEYS:
            document["keys"].append(self._own.as_dict(private=False))
        elif "id_token" in document:
            document["id_token"] = self._signed_anew(document["id_token"])
        content = json.dumps(document).encode()
        kept = [(name, value) for name, value in head[1] if name.lower() != "content-length"]
        start(head[0], [*kept, ("Content-Length", str(len(content)))])
        return [content]

    def _signed_anew(self, token: str) -> str:
        from joserfc import jwt

        changes, is_forged = self._trouble.get("claims", {}), self._trouble.get("forged", False)
        middle = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(middle + "=" * (-len(middle) % 4))) | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        key = self._stranger if is_forged else self._own
        return jwt.encode({"alg": "RS256", "kid": "own"}, claims, key)


def _serve(port: int) -> None:
    import oidc_provider_mock
    from werkzeug.serving import make_server

    make_server("127.0.0.1", port, _Front(oidc_provider_mock.app()), threaded=True).serve_forever()


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
