"""An OpenID provider: where a browser is sent to sign in, and who comes back. The only importer of Authlib and joserfc.

    1. document   the provider's own words about itself, from below the configured issuer, which they must repeat
    2. address    where the browser goes: code flow with PKCE (S256), state and nonce
    3. exchange   the code for tokens, with the client's secret and the verifier
    4. check      the ID token: signed by a key of the provider's set, by an algorithm with public keys; `iss`, `aud`,
                  `azp`, `exp`, `nbf`, `iat` and `nonce` as OpenID Connect Core 1.0 (3.1.3.7) demands

One sign-in has `_SECONDS` for all its requests. Each is bounded in size, follows no redirect, and is sent over TLS or
to this machine. What goes wrong is a SignInFailed, whose words hold nothing secret.
"""

import json
import ssl
import threading
import time
from collections.abc import Mapping
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote_plus, urlsplit

from bridge import __version__
from bridge.edges.http import TracedDeadline, failure_words, read_bounded
from bridge.rules.scrubbing import scrub
from bridge.words.errors import ProviderUnavailable, SignInFailed
from bridge.words.targets import OpenIdProvider

_SECONDS = 10.0
_CONNECT_SECONDS = 3.0
_MOST_BYTES = 262_144
_KEPT_SECONDS = 600.0  # documents and keys; a key that is not among them is looked for at once
_TROUBLE_SECONDS = 5.0  # so long nobody waits anew for a document that could not be had
_LEEWAY_SECONDS = 60
# With public keys only: nobody who knows a shared secret or the public key can make a token.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
_KEY_TYPES = ("RSA", "EC", "OKP")
_DOCUMENT = "/.well-known/openid-configuration"
_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # a compressed body may unpack to a thousand times its size
    "User-Agent": f"planasonix-bridge/{__version__}",
}
_CODES = ("invalid_client", "invalid_grant", "invalid_request", "invalid_scope", "unauthorized_client")
Json = dict[str, Any]


def is_installed() -> bool:
    """Whether Authlib is there."""
    return find_spec("authlib") is not None


class Provider:
    """One provider; any thread may ask."""

    def __init__(self, target: OpenIdProvider, *, seconds: float = _SECONDS) -> None:
        """Ask nothing yet; `seconds` is how long one sign-in may ask."""
        self.target = target
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Json | ProviderUnavailable]] = {}  # until when, and what

    def take_over(self, target: OpenIdProvider) -> None:
        """Put another secret to use."""
        self.target = target

    def address(self, *, redirect: str, state: str, nonce: str, verifier: str) -> str:
        """Return where a browser goes to sign in. Raises SignInFailed."""
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # type: ignore[import-untyped]  # noqa: PLC0415
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]  # noqa: PLC0415

        return str(
            prepare_grant_uri(
                _url(self._document(self._until()), "authorization_endpoint"),
                client_id=self.target.client_id,
                response_type="code",
                redirect_uri=redirect,
                scope=" ".join(self.target.scopes),
                state=state,
                nonce=nonce,
                code_challenge=create_s256_code_challenge(verifier),
                code_challenge_method="S256",
            )
        )

    def claims(self, *, code: str, redirect: str, nonce: str, verifier: str) -> Mapping[str, Any]:
        """Return what the provider says of whoever comes back with a code. Raises SignInFailed."""
        until = self._until()
        document = self._document(until)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "code_verifier": verifier,
        }
        answer = self._ask("POST", _url(document, "token_endpoint"), until, form, document)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise SignInFailed("the provider gave no ID token")
        return self._checked(token, answer.get("access_token"), nonce, document, until)

    def _checked(self, token: str, access_token: object, nonce: str, document: Json, until: float) -> Mapping[str, Any]:
        from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]  # noqa: PLC0415
        from joserfc import jwt  # noqa: PLC0415
        from joserfc.errors import InvalidKeyIdError, JoseError  # noqa: PLC0415

        url, client_id = _url(document, "jwks_uri"), self.target.client_id
        try:
            try:
                found = jwt.decode(token, _key_set(self._get(url, until)), algorithms=_ALGORITHMS)
            except InvalidKeyIdError:  # the provider may have a new key
                found = jwt.decode(token, _key_set(self._get(url, until, is_fresh=True)), algorithms=_ALGORITHMS)
            demands: Any = {
                "iss": {"essential": True, "value": self.target.issuer},
                "aud": {"essential": True, "value": client_id},
            }
            params = {"client_id": client_id, "nonce": nonce, "access_token": access_token}
            CodeIDToken(found.claims, found.header, demands, params).validate(int(time.time()), _LEEWAY_SECONDS)
        except JoseError as error:
            raise SignInFailed(f"the provider's ID token is not accepted: {_words(error)}") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise SignInFailed("the provider's ID token cannot be read") from None
        return dict(found.claims)

    def _until(self) -> float:
        return time.monotonic() + self._seconds

    def _document(self, until: float) -> Json:
        document = self._get(self.target.issuer.rstrip("/") + _DOCUMENT, until)
        if document.get("issuer") != self.target.issuer:
            raise ProviderUnavailable("the provider calls itself by another issuer than `issuer` in bridge.yaml")
        return document

    def _get(self, url: str, until: float, *, is_fresh: bool = False) -> Json:
        """Return a document, kept for a while; and so is the trouble of getting it."""
        with self._lock:
            kept_until, kept = self._kept.get(url, (0.0, {}))
        if time.monotonic() >= kept_until or is_fresh:
            try:
                kept = self._ask("GET", url, until)
            except ProviderUnavailable as error:
                kept = error
            lasts = _TROUBLE_SECONDS if isinstance(kept, ProviderUnavailable) else _KEPT_SECONDS
            with self._lock:
                self._kept[url] = (time.monotonic() + lasts, kept)
        if isinstance(kept, ProviderUnavailable):
            raise ProviderUnavailable(str(kept))
        return kept

    def _ask(
        self, method: str, url: str, until: float, form: dict[str, str] | None = None, document: Json | None = None
    ) -> Json:
        import httpx  # noqa: PLC0415

        target, is_secure = self.target, urlsplit(url).scheme == "https"
        auth, form = (None, None) if form is None else self._shown(form, document or {})
        seconds = max(0.001, until - time.monotonic())
        try:
            with (
                TracedDeadline(seconds) as deadline,
                httpx.Client(
                    headers=_HEADERS,
                    timeout=httpx.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds)),
                    verify=ssl.create_default_context(cafile=target.ca_file) if is_secure and target.ca_file else True,
                    trust_env=is_secure,  # without TLS it is loopback, where a proxy would be somebody else's
                    follow_redirects=False,
                ) as client,
                client.stream(method, url, data=form, auth=auth, extensions={"trace": deadline.trace}) as answer,
            ):
                content = read_bounded(answer.iter_raw(), _MOST_BYTES)
        except httpx.ConnectError as error:
            raise ProviderUnavailable(f"the provider cannot be reached: {scrub(str(error))[:200]}") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            why = f"no whole answer within {self._seconds:g} s" if deadline.is_late else failure_words(error)
            raise ProviderUnavailable(f"the provider cannot be asked: {why}") from None
        if content is None:
            raise ProviderUnavailable(f"the provider answers with more than {_MOST_BYTES} bytes")
        return _object(content, answer.status_code)

    def _shown(self, form: dict[str, str], document: Json) -> tuple[tuple[str, str] | None, dict[str, str]]:
        """Return how the client shows who it is: in the header (RFC 6749, 2.3.1), else in the form."""
        methods, secret = document.get("token_endpoint_auth_methods_supported"), self.target.secret.reveal()
        if isinstance(methods, list) and "client_secret_basic" not in methods and "client_secret_post" in methods:
            return None, form | {"client_id": self.target.client_id, "client_secret": secret}
        return (quote_plus(self.target.client_id), quote_plus(secret)), form


def _key_set(document: Json) -> Any:
    """Return the keys that may sign; one that cannot be read is left out, whatever it is for."""
    from joserfc.errors import JoseError  # noqa: PLC0415
    from joserfc.jwk import KeySet, import_key  # noqa: PLC0415

    listed, keys = document.get("keys"), []
    for each in listed if isinstance(listed, list) else []:
        if isinstance(each, dict) and each.get("kty") in _KEY_TYPES and each.get("use", "sig") == "sig":
            try:
                keys.append(import_key(each))
            except (JoseError, ValueError, TypeError, KeyError):
                continue
    return KeySet(keys)


def _url(document: Json, name: str) -> str:
    """Return an address out of the provider's document: over TLS, or to this machine if the issuer is on it, too."""
    url = document.get(name)
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        host = parts.hostname or ""
        is_own = parts.scheme == "http" and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:
        is_own = False
        parts = urlsplit("")
    if (parts.scheme == "https" and parts.hostname) or (is_own and document["issuer"].startswith("http://")):
        return str(url)
    raise ProviderUnavailable(f"the provider names no usable {name}")


def _object(content: bytes, status: int) -> Json:
    """Return an answer's JSON object; what OAuth calls an error is said by its code, which is from a closed list."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if status == 200 and isinstance(value, dict):
        return value
    code = value.get("error") if isinstance(value, dict) else None
    if status in (400, 401) and code in _CODES:
        raise SignInFailed(f"the provider answers {status}: {code}")
    raise ProviderUnavailable(f"the provider answers {status}" if status != 200 else "the provider's answer is no JSON")


def _words(error: Exception) -> str:
    """Say what is wrong with a token without showing any of it: the error's kind, and the claim."""
    kind, claim = str(getattr(error, "error", "")), getattr(error, "claim", None)
    return f"{kind} ({claim})" if isinstance(claim, str) else kind
