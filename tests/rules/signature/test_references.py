"""Vectors that others published or computed, and the vendors' own packages: they sign and we verify, and back.

Where a reference is laxer than its specification, the difference stands in a table here and is refused.
"""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import stripe
from standardwebhooks import Webhook, WebhookVerificationError

from bridge.rules import samples
from bridge.rules.signature import (
    KIND_OF_JWS,
    PRESETS,
    Key,
    SignatureCheck,
    make_verifier,
    read_public,
    read_whsec,
    sign,
)
from bridge.rules.signature.grammar import decode
from bridge.words.errors import Refused
from bridge.words.reasons import Reason

_DATA = Path(__file__).parents[2] / "data"
_PUBLISHED = json.loads((_DATA / "signatures" / "published.json").read_text())
_COMPUTED = json.loads((_DATA / "signatures" / "computed.json").read_text())
_BODY = samples.compact(samples.SHAPES[_COMPUTED["body"]].body)
_NOW = _COMPUTED["timestamp"]
_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_STANDARD = make_verifier(PRESETS["standard-webhooks"], [Key("k", read_whsec(_SECRET))])
_STRIPE = make_verifier(PRESETS["stripe"], [Key("k", _SECRET.encode())])
Headers = list[tuple[bytes, bytes]]


def _reason(verifier: SignatureCheck, headers: Headers, body: bytes = _BODY, now: float = _NOW) -> Reason:
    with pytest.raises(Refused) as refused:
        verifier.verify(headers, body, now)
    return refused.value.reason


def _standard(identifier: str, timestamp: str, signature: str) -> Headers:
    return [
        (b"webhook-id", identifier.encode("latin-1")),
        (b"webhook-timestamp", timestamp.encode("latin-1")),
        (b"webhook-signature", signature.encode("latin-1")),
    ]


@pytest.mark.parametrize("vector", _PUBLISHED["standard-webhooks"], ids=lambda vector: vector["id"])
def test_standard_webhooks_as_published(vector: dict[str, str]) -> None:
    """What the specification's own tests sign, we make and verify."""
    key = Key("k", read_whsec(vector["secret"]))
    body, at = vector["body"].encode(), int(vector["timestamp"])

    made = sign(PRESETS["standard-webhooks"], key, body, at, message_id=vector["id"])
    headers = _standard(vector["id"], vector["timestamp"], vector["signature"])

    assert made["webhook-signature"] == vector["signature"]
    assert make_verifier(PRESETS["standard-webhooks"], [key]).verify(headers, body, at).signed_at == at


def test_github_as_published() -> None:
    """The example of GitHub's documentation."""
    vector = _PUBLISHED["github"]
    verifier = make_verifier(PRESETS["github"], [Key("k", vector["secret"].encode())])

    verified = verifier.verify([(b"x-hub-signature-256", vector["signature"].encode())], vector["body"].encode(), 0)

    assert verified.signed_at is None


@pytest.mark.parametrize("vector", _PUBLISHED["jws"], ids=lambda vector: vector["source"])
def test_jws_as_published(vector: dict[str, Any]) -> None:
    """The RFCs' own signatures, with their payload as the body that a detached token signs."""
    algorithm = vector["algorithm"]
    before, payload, after = vector["token"].split(".")
    body = decode(payload.encode(), "base64url")
    assert body is not None
    if "jwk" in vector:
        public = read_public(json.dumps(vector["jwk"]), KIND_OF_JWS[algorithm], algorithm=algorithm)
        key = Key("k", public=public, algorithm=algorithm)
    else:
        key = Key("k", decode(vector["secret"].encode(), "base64url") or b"", algorithm=algorithm)
    verifier = make_verifier(replace(PRESETS["jwt"], body="detached"), [key])
    headers = [(b"authorization", f"Bearer {before}..{after}".encode())]

    assert verifier.verify(headers, body, 0).body == body
    assert _reason(verifier, headers, body + b" ") is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-p256", "rsa-pss"])
def test_key_pairs_as_openssl_signs(kind: str) -> None:
    """What openssl signed verifies; for ECDSA also in the spelling of 64 bytes."""
    pair = _COMPUTED["pairs"][kind]
    verifier = make_verifier(PRESETS[kind], [Key("k", public=read_public(pair["public"], kind))])
    headers = [
        (b"x-planasonix-timestamp", str(_NOW).encode()),
        (b"x-planasonix-signature", pair["signature"].encode()),
    ]

    assert verifier.verify(headers, _BODY, _NOW).signed_at == _NOW
    assert _reason(verifier, headers, _BODY + b" ") is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize(("preset", "header"), [("stripe", b"stripe-signature"), ("github", b"x-hub-signature-256")])
def test_secrets_as_openssl_signs(preset: str, header: bytes) -> None:
    """HMACs that openssl computed verify."""
    verifier = make_verifier(PRESETS[preset], [Key("k", _COMPUTED["secret"].encode())])

    assert verifier.verify([(header, _COMPUTED[preset].encode())], _BODY, _NOW).body == _BODY


def test_standard_webhooks_package_and_we_agree() -> None:
    """The package of Standard Webhooks signs and we verify, we sign and it verifies."""
    package, now = Webhook(_SECRET), int(time.time())
    theirs = package.sign("msg_1", datetime.fromtimestamp(now, UTC), _BODY.decode())
    ours = sign(PRESETS["standard-webhooks"], _STANDARD.keys[0], _BODY, now, message_id="msg_1")

    assert _STANDARD.verify(_standard("msg_1", str(now), theirs), _BODY, now).signed_at == now
    assert package.verify(_BODY, ours) == json.loads(_BODY)


def test_stripe_package_and_we_agree() -> None:
    """Stripe's package signs and we verify, we sign and it verifies."""
    now = int(time.time())
    theirs = stripe.WebhookSignature.generate_signature_header(_BODY.decode(), _SECRET, now)
    ours = sign(PRESETS["stripe"], _STRIPE.keys[0], _BODY, now)["Stripe-Signature"]

    assert _STRIPE.verify([(b"stripe-signature", theirs.encode())], _BODY, now).signed_at == now
    assert stripe.WebhookSignature.verify_header(_BODY, ours, _SECRET, 300)


def _v1(identifier: str, timestamp: str) -> str:
    """Sign whatever stands in the headers, so that only their grammar can refuse it."""
    text = f"{identifier}.{timestamp}.".encode("latin-1") + _BODY
    return "v1," + base64.b64encode(hmac.digest(read_whsec(_SECRET), text, "sha256")).decode()


def _lax_standard(now: int) -> dict[str, tuple[str, str, str]]:
    """Return what the package takes and the specification does not: id, timestamp, signature."""
    at = str(now)
    right = _v1("msg_1", at)
    return {
        "timestamp as a fraction": ("msg_1", f"{at}.0", right),
        "timestamp with an exponent": ("msg_1", f"{now / 1e9:.9f}e9", right),
        "timestamp with underscores": ("msg_1", f"{at[0]}_{at[1:]}", right),
        "timestamp with a sign": ("msg_1", f"+{at}", right),
        "timestamp with a blank": ("msg_1", f" {at}", right),
        "timestamp with leading zeros": ("msg_1", f"00{at}", right),
        "id with a full stop": ("msg.1", at, _v1("msg.1", at)),
        "id with a blank": ("msg 1", at, _v1("msg 1", at)),
        "base64 with a stranger in it": ("msg_1", at, right.replace(",", ",*")),
        "base64 with more after its padding": ("msg_1", at, f"{right}AAAA"),
        "base64 with stray bits": ("msg_1", at, right[:-2] + chr(ord(right[-2]) + 1) + "="),
        "another version without a value": ("msg_1", at, f"v9, {right}"),
        "a version that is no word": ("msg_1", at, f"*!,x {right}"),
    }


@pytest.mark.parametrize("name", sorted(_lax_standard(_NOW)))
def test_standard_webhooks_package_is_laxer(name: str) -> None:
    """Each of these is taken by the package and refused here."""
    now = int(time.time())
    identifier, timestamp, signature = _lax_standard(now)[name]
    given = {"webhook-id": identifier, "webhook-timestamp": timestamp, "webhook-signature": signature}
    try:
        Webhook(_SECRET).verify(_BODY, given)
    except (WebhookVerificationError, ValueError) as refused:
        pytest.fail(f"the package has become stricter: {refused!r}")

    reason = _reason(_STANDARD, _standard(identifier, timestamp, signature), now=now)

    assert reason in (Reason.SIGNATURE_MALFORMED, Reason.SIGNATURE_MISMATCH)


def test_standard_webhooks_package_takes_a_short_secret() -> None:
    """Secrets of less than 24 bytes or without their prefix are refused here."""
    for secret in ("whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw==="):
        Webhook(secret)
        with pytest.raises(ValueError, match="24 to 64 bytes"):
            read_whsec(secret)


def _lax_stripe(now: int) -> dict[str, str]:
    """Return what Stripe's package takes although its documentation does not say so."""
    right = hmac.new(_SECRET.encode(), f"{now}.".encode() + _BODY, hashlib.sha256).hexdigest()
    later = now + 3600
    future = hmac.new(_SECRET.encode(), f"{later}.".encode() + _BODY, hashlib.sha256).hexdigest()
    return {
        "timestamp with a sign": f"t=+{now},v1={right}",
        "timestamp with a blank": f"t= {now},v1={right}",
        "timestamp with underscores": f"t={str(now)[0]}_{str(now)[1:]},v1={right}",
        "timestamp with leading zeros": f"t=00{now},v1={right}",
        "two timestamps": f"t={now},t=1,v1={right}",
        "an hour in the future": f"t={later},v1={future}",
        "an empty signature beside": f"t={now},v1=,v1={right}",
        "a short signature beside": f"t={now},v1={right[:8]},v1={right}",
        "more after a second equals sign": f"t={now},v1={right}=junk",
        "an entry without a value": f"t={now},v0=,v1={right}",
    }


@pytest.mark.parametrize("name", sorted(_lax_stripe(_NOW)))
def test_stripe_package_is_laxer(name: str) -> None:
    """Each of these is taken by the package and refused here."""
    now = int(time.time())
    header = _lax_stripe(now)[name]
    assert stripe.WebhookSignature.verify_header(_BODY, header, _SECRET, 300)

    reason = _reason(_STRIPE, [(b"stripe-signature", header.encode())], now=now)

    assert reason in (Reason.SIGNATURE_MALFORMED, Reason.SIGNATURE_MISMATCH, Reason.TIMESTAMP_IN_FUTURE)
