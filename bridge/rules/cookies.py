"""How what a browser keeps is signed: by a key that is derived from a secret, another one for each family. Pure."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

from bridge.words.targets import Secret


def signed(secret: Secret, *, family: bytes, use: bytes, text: str) -> str:
    """Return the signature of a text for one use; what is signed for another use, or in another family, differs."""
    key = hmac.digest(secret.reveal().encode(), family, hashlib.sha256)
    return spelled(hmac.digest(key, use + b"\0" + text.encode("utf-8", "surrogateescape"), hashlib.sha256))


def spelled(value: bytes) -> str:
    """Spell bytes as a cookie and a URL can carry them."""
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def read(text: str) -> bytes:
    """Return what `spelled` spelled; ValueError for what no bytes are spelled as."""
    return urlsafe_b64decode(text + "==")  # padding that is too much is ignored
