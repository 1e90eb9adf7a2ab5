"""Keys, presets and spoiled requests that the tests of every preset share."""

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from bridge.rules.signature import PRESETS, Key, Preset, make_verifier, sign
from bridge.rules.signature.material import PrivateKey
from bridge.words.errors import Refused

NOW = 1_705_314_600
BODY = b'{"id":"evt_1"}'
SECRET = Key("secret", b"0123456789-correct-horse-battery-staple")

PAIRS: dict[str, PrivateKey] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ecdsa-p256": ec.generate_private_key(ec.SECP256R1()),
    "rsa-pss": rsa.generate_private_key(65537, 2048),
}
OTHERS: dict[str, PrivateKey] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ecdsa-p256": ec.generate_private_key(ec.SECP256R1()),
    "rsa-pss": rsa.generate_private_key(65537, 2048),
}
KIND = {"RS256": "rsa-pss", "PS256": "rsa-pss", "ES256": "ecdsa-p256", "EdDSA": "ed25519"}
Headers = list[tuple[bytes, bytes]]
Case = tuple[Preset, Key, PrivateKey | None]

_TOKEN = replace(PRESETS["jwt"], audience="https://bridge.example", issuer="planasonix")


def _pair(preset: Preset, kind: str, algorithm: str | None = None) -> Case:
    return preset, Key("public", public=PAIRS[kind].public_key(), algorithm=algorithm), PAIRS[kind]


def cases() -> dict[str, Case]:
    """Return every preset, in every form that pins another algorithm."""
    hs256 = replace(SECRET, algorithm="HS256")
    detached = replace(PRESETS["jwt"], body="detached")
    custom = replace(
        PRESETS["custom"],
        signature_header="X-Sig",
        timestamp_header="X-Time",
        id_header="X-Id",
        prefix="mac ",
        encoding="base64",
        signed_text="100%|{id}.{timestamp}:{body}",
        timestamp_unit="ms",
    )
    found: dict[str, Case] = {
        name: (PRESETS[name], SECRET, None)
        for name in ("planasonix", "planasonix-body", "standard-webhooks", "stripe", "github", "bearer")
    }
    found["standard-webhooks v1a"] = _pair(PRESETS["standard-webhooks"], "ed25519")
    found |= {kind: _pair(PRESETS[kind], kind) for kind in PAIRS}
    found["ecdsa-p256 raw"] = _pair(replace(PRESETS["ecdsa-p256"], signature_format="raw"), "ecdsa-p256")
    found |= {"jwt HS256": (_TOKEN, hs256, None), "jwt HS256 detached": (detached, hs256, None)}
    for algorithm, kind in KIND.items():
        found[f"jwt {algorithm}"] = _pair(_TOKEN, kind, algorithm)
        found[f"jwt {algorithm} detached"] = _pair(detached, kind, algorithm)
    found["custom"] = (custom, SECRET, None)
    return found


def signed(case: Case, body: bytes = BODY, at: int = NOW) -> Headers:
    """Return the headers of a right request, as ASGI gives them."""
    preset, key, private = case
    made = sign(preset, key, body, at, message_id="msg_1", private=private)
    return [(name.lower().encode(), value.encode()) for name, value in made.items()]


def outcome_of(case: Case, name: bytes, value: str) -> str:
    """Return `ok` or the reason for a right request in which one header is replaced."""
    return judged(case, [(header, value.encode() if header == name else given) for header, given in signed(case)])


def judged(case: Case, headers: Headers) -> str:
    """Return `ok` or the reason for a request with these headers."""
    try:
        make_verifier(case[0], [case[1]]).verify(headers, BODY, NOW)
    except Refused as refused:
        return str(refused.reason)
    return "ok"


def right_of(case: Case) -> str:
    """Return the right value of the header with the signature."""
    return dict(signed(case))[case[0].signature_header.lower().encode()].decode()
