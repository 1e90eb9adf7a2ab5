"""A provider's JWKS URL on loopback, and the private keys behind it.

    with JwksServer() as provider:
        provider.publishes(one, other)             # give the code under test provider.url
        ...
        assert provider.fetches == 2

Trouble is asked for: status, headers, document and pauses are attributes that may be changed while it runs.
"""

import json
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt import PyJWS
from jwt.algorithms import get_default_algorithms

from bridge.rules.signature import PRESETS, Key, sign
from bridge.rules.signature.material import PrivateKey

KINDS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}


@dataclass(frozen=True)
class Pair:
    """One key of a provider."""

    kid: str
    private: PrivateKey
    algorithm: str = "RS256"

    @classmethod
    def make(cls, kid: str, algorithm: str = "RS256", *, bits: int = 2048) -> "Pair":
        """Make a new one."""
        match KINDS[algorithm]:
            case "RSA":
                return cls(kid, rsa.generate_private_key(65537, bits), algorithm)
            case "EC":
                return cls(kid, ec.generate_private_key(ec.SECP256R1()), algorithm)
        return cls(kid, ed25519.Ed25519PrivateKey.generate(), algorithm)

    def jwk(self, **more: Any) -> dict[str, Any]:
        """Return the public half as a provider publishes it."""
        return spelled(self.private.public_key(), self.algorithm) | {"kid": self.kid, "use": "sig"} | more

    def private_jwk(self) -> dict[str, Any]:
        """Return both halves, as nobody should publish them."""
        return spelled(self.private, self.algorithm) | {"kid": self.kid}

    def headers(self, body: bytes, at: float | None = None, **header: Any) -> dict[str, str]:
        """Sign a webhook; `header` is added to the token's own, None takes `kid` out."""
        moment = int(time.time() if at is None else at)
        bare = Key("k", public=self.private.public_key(), algorithm=self.algorithm)
        token = sign(PRESETS["jwt"], bare, body, moment, private=self.private)["Authorization"]
        claims = PyJWS([self.algorithm]).decode(token.removeprefix("Bearer "), options={"verify_signature": False})
        names = {name: it for name, it in ({"kid": self.kid} | header).items() if it is not None}
        made = PyJWS([self.algorithm]).encode(claims, self.private, self.algorithm, names)
        return {"Authorization": f"Bearer {made}"}


def spelled(key: Any, algorithm: str) -> dict[str, Any]:
    """Return a key as a JWK."""
    made: dict[str, Any] = json.loads(get_default_algorithms()[algorithm].to_jwk(key))
    return {name: it for name, it in made.items() if name != "key_ops"}


@dataclass
class JwksServer:
    """The URL and what it answers."""

    status: int = 200
    document: bytes = b'{"keys": []}'
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    pause_seconds: float = 0.0  # before the answer
    trickle_seconds: float = 0.0  # between the bytes of the answer, its head included
    has_length: bool = True
    fetched_at: list[float] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # path and headers
    certificate: Path | None = None
    port: int = 0

    @property
    def fetches(self) -> int:
        """How often it was asked."""
        return len(self.fetched_at)

    @property
    def url(self) -> str:
        """The JWKS URL."""
        scheme = "https" if self.certificate else "http"
        return f"{scheme}://127.0.0.1:{self.port}/.well-known/jwks.json"

    def publishes(self, *keys: Pair | dict[str, Any]) -> None:
        """Answer with these keys from now on."""
        self.document = json.dumps({"keys": [key.jwk() if isinstance(key, Pair) else key for key in keys]}).encode()

    def __enter__(self) -> Self:
        """Listen."""
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.provider = self
        self.port = self._server.server_port
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop listening; may be entered again, on the same port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    provider: JwksServer

    def handle_error(self, *_: Any) -> None:
        """Say nothing: a client may leave."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        provider: JwksServer = self.server.provider  # type: ignore[attr-defined]
        provider.fetched_at.append(time.monotonic())
        provider.asked.append((self.path, dict(self.headers)))
        time.sleep(provider.pause_seconds)
        document = provider.document
        headers = provider.headers | ({"Content-Length": str(len(document))} if provider.has_length else {})
        head = f"HTTP/1.0 {provider.status} X\r\n" + "".join(f"{name}: {it}\r\n" for name, it in headers.items())
        answer = head.encode() + b"\r\n" + document
        try:
            if not provider.trickle_seconds:
                self.wfile.write(answer)
                return
            for byte in answer:
                self.wfile.write(bytes([byte]))
                time.sleep(provider.trickle_seconds)
        except OSError:
            pass  # the client had enough

    def log_message(self, *_: object) -> None:
        """Say nothing."""
