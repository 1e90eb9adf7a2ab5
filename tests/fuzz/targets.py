"""The targets: each takes any bytes, and raises on a defect.

`signatures` begins with rightly signed requests of every preset, since random headers never come near; what it changes
may be refused or accepted, but nothing may be accepted whose body was not signed.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from bridge.edges.settings import read_config
from bridge.rules import event, strict_json
from bridge.rules.mapping import read as read_mapping
from bridge.rules.planning import Subject, plan
from bridge.rules.rendering import NAMESPACE, BadTemplate, compile_condition, compile_id, compile_text
from bridge.rules.rendering.sandbox import MAX_BYTES
from bridge.rules.signature import (
    PRESETS,
    Key,
    Preset,
    SignatureCheck,
    make_pair,
    make_verifier,
    read_private,
    read_set,
    sign,
)
from bridge.rules.signature.keysets import MAX_SET_KEYS
from bridge.rules.signature.material import read_public
from bridge.words.errors import ConditionError, ConfigError, Problem, Refused, TemplateError, Unreadable
from bridge.words.model import DeliveryState

NOW = 1_705_314_600
_SECRET = b"5c1f7be0a9d84e6fb32a70c6d19e8b47"
_PAIRS = {"ed25519": "ed25519", "ecdsa-p256": "ecdsa-p256", "rsa-pss": "rsa-pss"}
# What a source has to say itself.
_LAYOUTS: dict[str, dict[str, Any]] = {
    "custom": {
        "signature_header": "X-Sign",
        "timestamp_header": "X-Time",
        "id_header": "X-Id",
        "signed_text": "{id}.{timestamp}.{body}",
        "encoding": "base64",
        "timestamp_unit": "ms",
    }
}
_BODY = b'{"id":"evt_1","type":"job.succeeded"}'
_MAPPING = """
routes:
  - {name: all, dag: everything, "on": [succeeded, failed, cancelled, skipped]}
  - {pipeline: "pl_*", dag: [stock, shelves], when: event.rows_loaded > 0}
  - name: templates
    dag: big
    conf:
      n: "{{ event.rows_loaded }}"
      t: "{{ event.type }}-{{ event.pipeline_name | default('x', true) }}"
      p: "{{ event.parameters.size }}"
      d: "{{ event.data.summary }}"
"""


@dataclass(frozen=True, slots=True)
class _Signed:
    """One preset's check, and the headers that it takes for `_BODY`."""

    check: SignatureCheck
    headers: tuple[tuple[bytes, bytes], ...]


def _signed(preset: Preset) -> _Signed:
    private = None
    if preset.algorithm.value in _PAIRS:
        private_pem, public_pem = make_pair(_PAIRS[preset.algorithm.value])
        private = read_private(private_pem.decode())
        public = read_public(public_pem, preset.algorithm.value)
        key = Key("k", public=public)
    else:
        algorithm = "HS256" if preset.algorithm.value == "jwt" else None
        key = Key("k", secret=_SECRET, algorithm=algorithm)
    made = sign(preset, key, _BODY, NOW, private=private)
    headers = tuple((name.lower().encode(), value.encode()) for name, value in made.items())
    return _Signed(make_verifier(preset, [key]), headers)


@cache
def presets() -> tuple[_Signed, ...]:
    """Every preset, in the order of the first byte of an input."""
    return tuple(_signed(replace(PRESETS[name], **_LAYOUTS.get(name, {}))) for name in sorted(PRESETS))


def signatures(data: bytes) -> None:
    r"""`preset, which header is replaced (or added, or none), is the body replaced, the new text \0 the new body`."""
    if len(data) < 3:
        return
    item = presets()[data[0] % len(presets())]
    text, _, body = data[3:].partition(b"\0")
    headers = list(item.headers)
    which = data[1] % (len(headers) + 2)
    if which < len(headers):
        headers[which] = (headers[which][0], text)
    elif which == len(headers):
        headers.append((headers[0][0], text))
    body = body if data[2] & 1 else _BODY
    try:
        verified = item.check.verify(headers, body, NOW)
    except Refused:
        assert headers != list(item.headers) or body != _BODY, "what was rightly signed was refused"
        return
    is_signed = item.check.preset.algorithm.value != "bearer"
    assert not is_signed or verified.body == _BODY, "a body was accepted that nobody signed"
    assert verified.body == body


def bodies(data: bytes) -> None:
    """A body as it is read after the answer, and planned: never an error, and the id found before is the id read."""
    with suppress(Unreadable):
        parsed = strict_json.parse(data)
        assert json.loads(data) == parsed
        assert json.dumps(parsed, allow_nan=False, ensure_ascii=False).encode()
    with suppress(Unreadable):
        assert event.read(data, path_pipeline_id=None).id == event.peek_id(data)
    made = plan(
        Subject("dlv_0000000000000001", "planasonix", "2026-08-01T10:00:00Z", data),
        _mapping(),
        new_trigger_id=lambda: "trg_0000000000000001",
        max_hops=3,
    )
    assert made.state in DeliveryState
    for planned in made.triggers:
        assert planned.dag_id in {"everything", "stock", "shelves", "big"}
        if planned.call is not None:
            assert set(planned.call.conf) <= {"n", "t", "p", "d", "planasonix"}
            assert planned.call.dag_run_id.isascii()
            assert len(planned.call.dag_run_id) <= 250
            json.dumps(planned.call.conf, allow_nan=False)


@cache
def _mapping() -> Any:
    return read_mapping(_MAPPING, file="mapping.yaml", airflows=["default"], sources=["planasonix"])


def mappings(data: bytes) -> None:
    """A mapping.yaml, then a bridge.yaml of the same text: read, or refused with every mistake at a place."""
    text = data.decode("utf-8", "replace")
    breaks = sum(text.count(character) for character in "\n\r\x85\u2028\u2029")
    for reading in (_read_mapping, _read_config):
        problems = _problems(reading, text)
        assert problems is None or problems
        assert all(0 <= problem.line <= breaks + 2 for problem in problems or [])


def _problems(reading: Callable[[str], None], text: str) -> list[Problem] | None:
    try:
        reading(text)
    except ConfigError as error:
        return error.problems
    return None


def _read_mapping(text: str) -> None:
    read_mapping(text, file="mapping.yaml", airflows=["default", "far"], sources=["planasonix"])


def _read_config(text: str) -> None:
    environ = {"SECRET": _SECRET.decode(), "PLANASONIX_WEBHOOK_SECRET": _SECRET.decode()}
    read_config(text, file="bridge.yaml", environ=environ, base_dir=Path("/nowhere"))


def templates(data: bytes) -> None:
    """One text as conf value, id and condition: refused at load, failed on rendering, or a bounded value of JSON."""
    text = data.decode("utf-8", "replace")
    for compiling in (compile_text, compile_id):
        with suppress(BadTemplate, TemplateError):
            value = compiling(text, "conf.x").render(_CONTEXT)
            assert len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) <= 8 * MAX_BYTES
    with suppress(BadTemplate, ConditionError):
        assert compile_condition(text, "when").holds(_CONTEXT) in (True, False)


_EVENT = dict.fromkeys(NAMESPACE["event"]) | {
    "id": "evt_1",
    "type": "job.succeeded",
    "status": "succeeded",
    "rows_loaded": 44802,
    "duration_seconds": 1.5,
    "parameters": {"date": "2026-08-01", "many": list(range(50)), "deep": {"a": {"b": "c"}}, "text": "x" * 1000},
    "metadata": {"ratio": 1e300, "big": 10**60, "flag": True},
    "data": {"summary": {"rows": 1}},
}
_CONTEXT: dict[str, Any] = {
    "event": _EVENT,
    "delivery": {"id": "dlv_1", "received_at": "2026-08-01T10:00:00Z"},
    "route": {"name": "sales"},
}


def keysets(data: bytes) -> None:
    """A JWKS document: a few usable keys and why the others are not, or one sentence."""
    for algorithm in ("RS256", "ES256", "EdDSA"):
        with suppress(ValueError):
            found = read_set(data, algorithm)
            assert 1 <= len(found.candidates(None)) <= MAX_SET_KEYS
            assert all(isinstance(kid, str) and kid for kid in found.keys)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "signatures": signatures,
    "bodies": bodies,
    "mappings": mappings,
    "templates": templates,
    "keysets": keysets,
}
