"""What fuzzing begins with: the documented events and the mappings of the tests, and a few hand-written requests."""

import json
from collections.abc import Iterator
from pathlib import Path

from bridge.rules import samples

_DATA = Path(__file__).parents[1] / "data"
_HEX = b"v1=" + b"0123456789abcdef" * 4
_TEXTS = (
    "{{ event.finished_at }}",
    "{{ event.parameters.date | default('2026-01-01') }}",
    "{% if event.rows_loaded > 10 %}many{% else %}few{% endif %}",
    "{% set x = event.parameters.many %}{{ x | length * 3 + 1 }}",
    "event.rows_loaded > 0 and event.pipeline_id is not none",
    "{{ event.id ~ '-' ~ event.status | upper }}{# note #}",
    "{{ event.parameters.text.split('x')[0] }}",
    "{{ 2 ** 8 % 7 // 2 }} {{ 'a' in event.parameters.text }}",
)
_HEADERS = (
    b"1705314600",
    _HEX,
    _HEX.removeprefix(b"v1="),
    b"t=1705314600,v1=" + _HEX[3:],
    b"v1,MDEyMzQ1Njc4OWFiY2RlZg== v1a,MDEy",
    b"sha256=" + _HEX[3:],
    b"Bearer eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.eyJpYXQiOjE3MDUzMTQ2MDB9.MDEy",
    b"msg_1",
)
_REQUESTS = (
    b"GET /livez HTTP/1.1\r\nHost: b\r\n\r\n",
    b"POST /hooks/planasonix/pl_1 HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\nHost: b\r\n\r\n",
    b"POST /hooks/planasonix HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n",
    b"POST /hooks/planasonix HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"OPTIONS * HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
)

# Words that chance hardly finds: the fuzzer mixes them in.
_WORDS = {
    "signatures": ("v1=", "v1,", "v1a,", "sha256=", "t=1705314600", "Bearer ", "1705314600", "1705314600000"),
    "bodies": (
        *('"id":', '"event_id":', '"eventId":', '"type":', '"status":', '"data":', '"pipeline_id":', '"pipelineId":'),
        *('"job_id":', '"run_id":', '"parameters":', '"metadata":', '"metrics":', '"rows_loaded":', '"occurred_at":'),
        *('"succeeded"', '"job.succeeded"', '"test"', '"hops":', '"planasonix":', "null", "1e999", "\\ud800", "NaN"),
    ),
    "mappings": (
        *("routes:", "- ", "pipeline:", "dag:", "name:", "on:", "when:", "conf:", "defaults:", "source:", "event:"),
        *("connection:", "environment:", "airflow:", "sources:", "signature:", "preset:", "secrets:", "{env: SECRET}"),
        *("&a", "*a", "<<:", "!!python/object", "---", "? ", "| ", "> ", "{{ event.id }}", "planasonix"),
    ),
    "templates": (
        *(
            "{{ ",
            " }}",
            "{% if ",
            "{% set ",
            "{% endif %}",
            "{% else %}",
            "{#",
            "#}",
            "event.",
            "delivery.id",
            "route.name",
        ),
        *("parameters", "metadata", "data", "rows_loaded", " | default(", " | length", " | sort", " ** ", " ~ ", " % "),
        *("__class__", "__globals__", ".format(", ".split(", " is none", " and ", " in ", "range(", "lipsum", "cycler"),
    ),
    "keysets": (
        *(
            '"keys":',
            '"kty":',
            '"kid":',
            '"crv":',
            '"use":',
            '"alg":',
            '"key_ops":',
            '"n":',
            '"e":',
            '"x":',
            '"y":',
            '"d":',
        ),
        *('"RSA"', '"EC"', '"OKP"', '"oct"', '"P-256"', '"Ed25519"', '"AQAB"', '"sig"', '"verify"', "null", "[[[["),
    ),
    "application": (
        *(
            "POST ",
            " HTTP/1.1\r\n",
            "Content-Length: ",
            "Transfer-Encoding: chunked\r\n",
            "Expect: 100-continue",
        ),
        *(
            "\r\n\r\n",
            "Content-Type: application/json",
            "Content-Encoding: gzip",
            "Connection: ",
            "Upgrade: ",
        ),
        *("/hooks/planasonix", "/readyz", "/livez", "%2e%2e", "Host: b\r\n", "HEAD ", "OPTIONS "),
    ),
}


def words(target: str) -> str:
    """Return a target's words as a libFuzzer dictionary."""
    return "".join(f'"{"".join(map(_spelled, word))}"\n' for word in _WORDS[target])


def _spelled(character: str) -> str:
    return character if character.isprintable() and character not in '"\\' else f"\\x{ord(character):02x}"


def _events() -> Iterator[bytes]:
    return (samples.compact(shape.body) for shape in samples.SHAPES.values())


def seeds(target: str) -> Iterator[bytes]:
    """Return the first inputs of a target."""
    match target:
        case "signatures":
            yield from (bytes((n, which % 5, 0)) + header for n in range(16) for which, header in enumerate(_HEADERS))
        case "bodies":
            yield from _events()
        case "mappings":
            for path in sorted((_DATA / "mappings").rglob("*.yaml")):
                yield path.read_bytes()
            for path in sorted((_DATA.parents[1] / "config").glob("*.yaml")):
                yield path.read_bytes()
        case "templates":
            yield from (text.encode() for text in _TEXTS)
        case "keysets":
            vectors = json.loads((_DATA / "signatures" / "published.json").read_text())["jws"]
            keys = [
                item["jwk"] | {"kid": "k", "use": "sig", "key_ops": ["verify"]} for item in vectors if "jwk" in item
            ]
            yield from (json.dumps({"keys": some}).encode() for some in (keys, keys[:1], keys[1:]))
        case "application":
            yield from (b"\0" + request for request in _REQUESTS)
            yield from (b"\1" + body for body in _events())
            yield b"\2/hooks/planasonix/pl_1\0Content-Type: application/json\r\n\0{}"
            yield from (b"\3" + request for request in _REQUESTS)
