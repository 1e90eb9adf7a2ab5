"""The certificate of the admin listener, from `BRIDGE_ADMIN_TLS_CERT_FILE` and `BRIDGE_ADMIN_TLS_KEY_FILE` (PEM).

Both are read together, at the start and whenever one of the files changes: a pair that does not fit is a ConfigError,
and the last good one stays in use. One that has ended is used all the same, and said: webhooks have to be taken in.
"""

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from bridge.edges.settings.environment import Environment
from bridge.words.errors import ConfigError, Problem

_CERTIFICATE, _KEY = "BRIDGE_ADMIN_TLS_CERT_FILE", "BRIDGE_ADMIN_TLS_KEY_FILE"
VARIABLES = frozenset({_CERTIFICATE, _KEY})


@dataclass(frozen=True, slots=True)
class AdminTls:
    """What the admin listener shows to whoever connects, and until when."""

    context: ssl.SSLContext
    ends_at: datetime


def admin_tls(environment: Environment) -> AdminTls | None:
    """Return what the files hold now; None: the admin listener speaks plain HTTP. Raises ConfigError."""
    certificate, key = environment.admin_tls_cert_file, environment.admin_tls_key_file
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise _wrong(f"{_CERTIFICATE} and {_KEY} go together; only one of them is set")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        ends_at = x509.load_pem_x509_certificate(_read(_CERTIFICATE, certificate)).not_valid_after_utc
        _read(_KEY, key)
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        if "KEY_VALUES_MISMATCH" in str(error):
            raise _wrong(f"{_KEY}: the key in {key} is not that of the certificate in {certificate}") from None
        raise _wrong(f"{_KEY}: {certificate} and {key} are no certificate and key in PEM: {error.reason}") from None
    except _Encrypted:
        raise _wrong(f"{_KEY}: the key in {key} needs a password; give one without") from None
    except ValueError:
        raise _wrong(f"{_CERTIFICATE}: {certificate} holds no certificate in PEM") from None
    return AdminTls(context, ends_at)


def tls_files(environment: Environment) -> tuple[Path, ...]:
    """Return the files that `admin_tls` reads."""
    return tuple(path for path in (environment.admin_tls_cert_file, environment.admin_tls_key_file) if path is not None)


class _Encrypted(Exception):
    """The key needs a password."""


def _no_password() -> str:
    raise _Encrypted  # without it OpenSSL would ask at the terminal


def _read(variable: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _wrong(f"{variable}: the file {path} cannot be read: {error.strerror}") from None


def _wrong(what: str) -> ConfigError:
    return ConfigError([Problem("environment", 0, 0, what)])
