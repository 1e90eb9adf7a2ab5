"""`signature:` in bridge.yaml: every preset can be written, every mistake has its place, no key is shown."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bridge.edges.settings import read_config, read_config_so_far
from bridge.rules.signature import SignatureCheck, sign
from bridge.words.errors import ConfigError

_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwcanarycanaryc"
_ED = ed25519.Ed25519PrivateKey.generate()
_EC = ec.generate_private_key(ec.SECP256R1())
_RSA = rsa.generate_private_key(65537, 2048)
_WEAK_RSA = rsa.generate_private_key(65537, 1024)  # noqa: S505 - weak is what it is for
_P384 = ec.generate_private_key(ec.SECP384R1())


def _pem(private: "ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey") -> str:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


_ENVIRON = {
    "SECRET": _SECRET,
    "OTHER": "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=",
    "PLAIN": "canary-of-a-secret-that-is-long-enough",
    "SHORT": "canary-of-24-bytes-only!",
    "ED": _pem(_ED),
    "ED_JWK": json.dumps({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
    "ED_WHPK": "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "ED_PRIVATE": _ED.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    "JWK_PRIVATE": json.dumps({"kty": "OKP", "crv": "Ed25519", "x": "canary", "d": "canary"}),
    "JWK_ENC": json.dumps({"kty": "OKP", "crv": "Ed25519", "x": "canary", "use": "enc"}),
    "JWK_ALG": json.dumps({"kty": "RSA", "n": "canary", "e": "AQAB", "alg": "PS256"}),
    "JWK_OCT": json.dumps({"kty": "oct", "k": "canary"}),
    "JWK_BROKEN": '{"kty": "OKP", "crv": "Ed25519", "x": "canary"}',
    "EC": _pem(_EC),
    "RSA": _pem(_RSA),
    "WEAK_RSA": _pem(_WEAK_RSA),
    "P384": _pem(_P384),
}


def _file(signature: str) -> str:
    return f"sources:\n  s:\n    signature: {signature}\nairflow: {{default: {{url: http://localhost}}}}\n"


def _read(signature: str) -> SignatureCheck:
    config = read_config(_file(signature), file="bridge.yaml", environ=_ENVIRON, base_dir=Path("/nowhere"))
    return config.sources["s"].verifier


_GOOD = {
    "planasonix": "{preset: planasonix, secrets: [{id: k, env: PLAIN}]}",
    "planasonix-body": "{preset: planasonix-body, prefix: sha256, secrets: [{id: k, env: PLAIN}]}",
    "standard-webhooks": "{preset: standard-webhooks, secrets: [{id: k, env: OTHER}], past_seconds: 10}",
    "standard-webhooks v1a": "{preset: standard-webhooks, public_keys: [{id: k, env: ED}]}",
    "stripe": "{preset: stripe, secrets: [{id: k, env: PLAIN}], future_seconds: 0}",
    "github": "{preset: github, secrets: [{id: k, env: PLAIN}]}",
    "ed25519": "{preset: ed25519, public_keys: [{id: k, env: ED}]}",
    "ecdsa-p256": "{preset: ecdsa-p256, public_keys: [{id: k, env: EC}], signature_format: raw, encoding: hex}",
    "rsa-pss": "{preset: rsa-pss, public_keys: [{id: k, env: RSA}], signed_text: '{body}', timestamp_header: }",
    "jwt": "{preset: jwt, public_keys: [{id: k, env: RSA, algorithm: PS256}], audience: a, issuer: i}",
    "jwt base64url": "{preset: jwt, secrets: [{id: k, env: PLAIN, algorithm: HS256}], encoding: base64url}",
    "jwt detached": "{preset: jwt, public_keys: [{id: k, env: EC, algorithm: ES256}], body: detached,"
    " signature_header: X-JWS, prefix: ''}",
    "bearer": "{preset: bearer, secrets: [{id: k, env: PLAIN}], signature_header: X-Token, prefix: ''}",
    "custom": "{preset: custom, secrets: [{id: k, env: PLAIN}], signature_header: X-Sig, timestamp_header: X-Time,"
    " id_header: X-Id, prefix: 'v1=', encoding: base64, signed_text: '{id}.{timestamp}.{body}', timestamp_unit: ms}",
}
_PRIVATE = {"ED": _ED, "EC": _EC, "RSA": _RSA}


@pytest.mark.parametrize("name", sorted(_GOOD))
def test_every_preset_can_be_written_and_verifies(name: str) -> None:
    """A source written in this way takes what its sender signs."""
    verifier = _read(_GOOD[name])
    key = verifier.keys[0]
    private = next((pair for pair in _PRIVATE.values() if pair.public_key() == key.public), None)

    made = sign(verifier.preset, key, b"{}", 1000, prefix=verifier.prefix, message_id="m", private=private)
    verified = verifier.verify([(name.lower().encode(), value.encode()) for name, value in made.items()], b"{}", 1000)

    assert verified.key_id == "k"
    assert _SECRET not in repr(verifier.keys)


_JWKS = "{preset: jwt, public_keys: [{id: k, algorithm: RS256, jwks: '%s'}]}"


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example.com/.well-known/jwks.json",
        "https://login.example.com:8443/keys?p=b2c_policy&x=1",
        "http://127.0.0.1:15000/jwks",
        "http://localhost/jwks",
        "http://[::1]:9/jwks",
    ],
)
def test_a_key_set_is_named_by_its_url(url: str) -> None:
    """https anywhere, http on this machine alone; nothing is fetched when the file is read."""
    (key,) = _read(_JWKS % url).keys
    assert key.jwks is not None
    assert (key.jwks.url, key.algorithm, key.public) == (url, "RS256", None)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://login.example.com/jwks", "must begin with https://"),
        ("http://127.0.0.1.example.com/jwks", "must begin with https://"),
        ("http://localhost.example.com/jwks", "must begin with https://"),
        ("http://169.254.169.254/latest", "must begin with https://"),
        ("http://0.0.0.0/jwks", "must begin with https://"),
        ("ftp://login.example.com/jwks", "must be a URL that begins with"),
        ("file:///etc/keys.json", "must be a URL that begins with"),
        ("login.example.com/jwks", "must be a URL that begins with"),
        ("https://user:canary@login.example.com/jwks", "must not hold a user or password"),
        ("https://login.example.com@evil.example/jwks", "must not hold a user or password"),
        ("https://login.example.com/jwks#canary", "must be scheme, host, port and path only"),
        ("https://login.example.com/jwks?a#canary", "must be scheme, host, port, path and query only"),
        ("https://login.example.com/jwks?a b", "must be scheme, host, port, path and query only"),
        ("https://login.example.com:99999/jwks", "is not a URL"),
        ("https://[::1/jwks", "is not a URL"),
        ("https:///jwks", "must be a URL that begins with"),
        ("", "must be a URL that begins with"),
    ],
)
def test_urls_that_name_no_key_set(url: str, what: str) -> None:
    """Each is a mistake with its line, and no password of one is shown."""
    with pytest.raises(ConfigError) as caught:
        _read(_JWKS % url)
    (problem,) = caught.value.problems
    assert what in problem.what
    assert problem.line == 3
    assert "canary" not in str(caught.value)


def test_public_keys_as_pem_jwk_and_whpk() -> None:
    """The same key in a JWK and in `whpk_` is the same key, and its fingerprint says so."""
    item = _read("{preset: ed25519, public_keys: [{id: k, env: ED_JWK}]}").keys[0]
    other = _read("{preset: standard-webhooks, public_keys: [{id: k, env: ED_WHPK}]}").keys[0]

    assert item.public == other.public
    assert item.fingerprint == other.fingerprint


def test_times_of_a_key() -> None:
    """A date is its first second in UTC; an instant has its offset."""
    (key,) = _read(
        "{preset: stripe, secrets: [{id: k, env: PLAIN, not_before: 1970-01-02, not_after: 1970-01-03T01:00:00+01:00}]}"
    ).keys

    assert (key.not_before, key.not_after) == (86_400, 2 * 86_400)


_SLOTS = "{preset: planasonix, secrets: [{id: a, file: a, optional: true}, {id: b, file: b, optional: true}]}"


def test_an_optional_secret_may_be_missing_or_empty(tmp_path: Path) -> None:
    """Its file is the place for the next secret: watched from the start, and a key as soon as it holds one."""
    (tmp_path / "a").write_text("canary-of-a-secret-that-is-long-enough")
    for text in (None, "", "\n"):
        if text is not None:
            (tmp_path / "b").write_text(text)
        config = read_config(_file(_SLOTS), file="bridge.yaml", environ={}, base_dir=tmp_path)
        source = config.sources["s"]
        assert [key.id for key in source.verifier.keys] == ["a"]
        assert source.key_ids == ("a", "b")
        assert [(item.id, item.is_optional, item.is_there) for item in source.places] == [
            ("a", True, True),
            ("b", True, False),
        ]
        assert {tmp_path / "a", tmp_path / "b"} <= set(config.files)
    (tmp_path / "b").write_text("canary-of-another-that-is-long-enough")
    config = read_config(_file(_SLOTS), file="bridge.yaml", environ={}, base_dir=tmp_path)
    assert [key.id for key in config.sources["s"].verifier.keys] == ["a", "b"]


def test_one_of_the_optional_secrets_has_to_be_there(tmp_path: Path) -> None:
    """Else nobody's webhook could be taken; where no secret is needed, it is named like any other that is absent."""
    with pytest.raises(ConfigError, match="none of the secrets is there"):
        read_config(_file(_SLOTS), file="bridge.yaml", environ={}, base_dir=tmp_path)
    config = read_config_so_far(_file(_SLOTS), file="bridge.yaml", environ={}, base_dir=tmp_path)
    assert config.absent == ("a",)
    assert [item.is_there for item in config.sources["s"].places] == [False, False]
    (tmp_path / "a").write_text("short")
    with pytest.raises(ConfigError, match="shorter than 24 bytes"):
        read_config(_file(_SLOTS), file="bridge.yaml", environ={}, base_dir=tmp_path)


_PLAIN = "secrets: [{id: k, env: PLAIN}]"
_CUSTOM = f"{{preset: custom, {_PLAIN}, signature_header: X-Sig, "
_MISTAKES = [
    ("{preset: planasonix, secrets: [{id: k, env: PLAIN, optional: true}]}", "optional is for a key with `file`"),
    ("{preset: ed25519, public_keys: [{id: k, file: k, optional: true}]}", "optional is for secrets"),
    ("{preset: planasonix}", 'the key "secrets" is missing'),
    ("{preset: ed25519}", 'the key "public_keys" is missing'),
    ("{preset: planasonix, public_keys: [{id: k, env: ED}]}", "takes secrets"),
    (f"{{preset: ed25519, {_PLAIN}}}", "takes public_keys"),
    (f"{{preset: jwt, {_PLAIN}}}", "a key is pinned to its `algorithm`"),
    ("{preset: stripe, secrets: [{id: k, env: PLAIN, algorithm: HS256}]}", "a key is pinned to its `algorithm`"),
    ("{preset: jwt, secrets: [{id: k, env: PLAIN, algorithm: none}]}", "it can be HS256, RS256, PS256, ES256, EdDSA"),
    ("{preset: jwt, secrets: [{id: k, env: RSA, algorithm: RS256}]}", "list it under `public_keys`"),
    ("{preset: jwt, secrets: [{id: k, env: PLAIN, algorithm: RS256}]}", "list it under `public_keys`"),
    ("{preset: jwt, secrets: [{id: k, env: SHORT, algorithm: HS256}]}", "at least 32 bytes"),
    ("{preset: jwt, public_keys: [{id: k, env: RSA, algorithm: HS256}]}", "list it under `secrets`"),
    ("{preset: jwt, public_keys: [{id: k, env: RSA, algorithm: ES256}]}", "not a key on the curve P-256"),
    ("{preset: jwt, public_keys: [{id: k, jwks: 'https://x/', algorithm: HS256}]}", "jwks is for preset jwt"),
    ("{preset: jwt, public_keys: [{id: k, jwks: 'https://x/'}]}", "a key is pinned to its `algorithm`"),
    ("{preset: jwt, secrets: [{id: k, jwks: 'https://x/', algorithm: RS256}]}", "under `public_keys`"),
    ("{preset: ed25519, public_keys: [{id: k, jwks: 'https://x/'}]}", "jwks is for preset jwt"),
    ("{preset: jwt, public_keys: [{id: k, jwks: 'https://x/', env: RSA, algorithm: RS256}]}", "one of them"),
    (
        "{preset: jwt, public_keys: [{id: k, jwks: 'http://127.0.0.1/', ca_file: /etc/hosts, algorithm: RS256}]}",
        "ca_file",
    ),
    ("{preset: jwt, public_keys: [{id: k, env: RSA, ca_file: /etc/hosts, algorithm: RS256}]}", "ca_file"),
    ("{preset: jwt, public_keys: [{id: k, jwks: 'https://x/', ca_file: /gone, algorithm: RS256}]}", "cannot be read"),
    (
        "{preset: jwt, public_keys: [{id: a, jwks: 'https://x/', algorithm: RS256},"
        " {id: b, jwks: 'https://x/', algorithm: RS256}]}",
        "two ids name the same key",
    ),
    ("{preset: jwt, public_keys: [{id: k, env: JWK_ALG, algorithm: RS256}]}", "another algorithm than RS256"),
    ("{preset: standard-webhooks, secrets: [{id: k, env: PLAIN}]}", "base64 of 24 to 64 bytes"),
    ("{preset: standard-webhooks, public_keys: [{id: k, env: RSA}]}", "not an Ed25519 key"),
    ("{preset: ed25519, public_keys: [{id: k, env: ED_PRIVATE}]}", "must only ever see the public one"),
    ("{preset: ed25519, public_keys: [{id: k, env: JWK_PRIVATE}]}", "must only ever see the public one"),
    ("{preset: ed25519, public_keys: [{id: k, env: JWK_ENC}]}", "not for signatures"),
    ("{preset: ed25519, public_keys: [{id: k, env: JWK_OCT}]}", "not an Ed25519 key"),
    ("{preset: ed25519, public_keys: [{id: k, env: JWK_BROKEN}]}", "a PEM (`BEGIN PUBLIC KEY`) or a JWK"),
    ("{preset: ed25519, public_keys: [{id: k, env: PLAIN}]}", "a PEM (`BEGIN PUBLIC KEY`) or a JWK"),
    ("{preset: ed25519, public_keys: [{id: k, env: EC}]}", "not an Ed25519 key"),
    ("{preset: ecdsa-p256, public_keys: [{id: k, env: P384}]}", "not a key on the curve P-256"),
    ("{preset: rsa-pss, public_keys: [{id: k, env: WEAK_RSA}]}", "2048 to 8192 bits, not 1024"),
    ("{preset: ed25519, public_keys: [whsec_canary]}", "never written in this file"),
    ("{preset: ed25519, public_keys: [{id: k, key: canary}]}", "never written in this file"),
    ("{preset: ed25519, public_keys: [{id: a, env: ED}, {id: b, env: ED}]}", "two ids name the same key"),
    ("{preset: stripe, secrets: [{id: a, env: PLAIN}, {id: b, env: PLAIN}]}", "two ids name the same key"),
    ("{preset: stripe, secrets: [{id: k, env: PLAIN, not_after: tomorrow}]}", "must be a date"),
    ("{preset: stripe, secrets: [{id: k, env: PLAIN, not_after: 2026-01-01T00:00:00}]}", "must be a date"),
    ("{preset: stripe, secrets: [{id: k, env: PLAIN, not_after: 5}]}", "must be a date"),
    (
        "{preset: stripe, secrets: [{id: k, env: PLAIN, not_before: 2026-01-02, not_after: 2026-01-01}]}",
        "later than not_after",
    ),
    (f"{{preset: stripe, {_PLAIN}, signature_header: X}}", "pins signature_header"),
    (f"{{preset: github, {_PLAIN}, past_seconds: 5}}", "signs no timestamp"),
    (f"{{preset: bearer, {_PLAIN}, future_seconds: 5}}", "signs no timestamp"),
    (f"{{preset: planasonix, {_PLAIN}, audience: a}}", "pins audience"),
    (f"{{preset: bearer, {_PLAIN}, signature_header: Content-Length}}", "not a header that can carry this"),
    (f"{{preset: bearer, {_PLAIN}, signature_header: 'X Y'}}", "not a header that can carry this"),
    (f"{{preset: bearer, {_PLAIN}, prefix: 'é'}}", "printable ASCII"),
    (f"{{preset: custom, {_PLAIN}}}", "needs signature_header and signed_text"),
    (_CUSTOM + "signed_text: '{timestamp}.{body}'}", "belong together"),
    (_CUSTOM + "signed_text: '{body}', timestamp_header: X-T}", "belong together"),
    (_CUSTOM + "signed_text: '{body}', encoding: base64url}", "is for preset jwt"),
    (_CUSTOM + "signed_text: '{body}', encoding: base32}", 'did you mean "base64"?'),
    (
        "{preset: jwt, public_keys: [{id: k, env: EC, algorithm: ES256}], body: detached, audience: a}",
        "a detached token has no claims",
    ),
]


@pytest.mark.parametrize(("signature", "what"), _MISTAKES)
def test_one_mistake(signature: str, what: str) -> None:
    """Each mistake is one problem in the source's line, and shows no key."""
    with pytest.raises(ConfigError) as wrong:
        _read(signature)

    (problem,) = [str(problem) for problem in wrong.value.problems]
    assert problem.startswith("bridge.yaml:3:")
    assert what in problem
    assert "canary" not in problem


def test_all_mistakes_at_once() -> None:
    """Every wrong key of a list is told with its own line, beside what the preset pins."""
    text = _file("""
      preset: standard-webhooks
      prefix: v1
      secrets:
        - {id: a, env: PLAIN}
        - {id: b, env: OTHER}
        - {id: c, env: NOT_SET}
        - {id: d, env: SHORT}
      encoding: hex""")

    with pytest.raises(ConfigError) as wrong:
        read_config(text, file="bridge.yaml", environ=_ENVIRON, base_dir=Path("/nowhere"))

    assert [problem.line for problem in wrong.value.problems] == [5, 7, 9, 10, 11]
