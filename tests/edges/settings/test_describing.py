"""The JSON Schema of bridge.yaml: what editors say of the file is what reading it says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bridge.edges.settings import json_schema, read_config_without_secrets
from bridge.rules.expecting import forms
from bridge.rules.yamltree import parse
from bridge.words.errors import ConfigError

_ROOT = Path(__file__).parents[3]
_SCHEMA = Draft202012Validator(json_schema())
_SOURCE = {"signature": {"preset": "planasonix", "secrets": [{"id": "a", "env": "A"}]}}
_AIRFLOW = {"url": "http://airflow:8080"}


def _with(source: dict[str, Any] | None = None, airflow: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"sources": {"s": _SOURCE | (source or {})}, "airflow": {"a": _AIRFLOW | (airflow or {})}} | more


def _is_read(value: Any, folder: Path) -> bool:
    try:
        read_config_without_secrets(json.dumps(value), file="bridge.yaml", base_dir=folder)
    except ConfigError:
        return False
    return True


def _keys(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every key that may be written, however deep its form stands."""
    if isinstance(schema, list):
        schema = dict(enumerate(schema))
    if isinstance(schema, dict):
        for key, inner in schema.items():
            if key == "properties":
                yield from ((f"{place}/{name}", it) for name, it in inner.items())
            yield from _keys(inner, f"{place}/{key}")


def test_the_shipped_schema_is_the_generated_one() -> None:
    """`make schema` has been run since a form changed."""
    assert json.loads((_ROOT / "config" / "bridge.schema.json").read_text("utf-8")) == json_schema()


def test_every_key_is_described() -> None:
    """In words; and it is a schema with an id."""
    Draft202012Validator.check_schema(json_schema())
    assert json_schema()["$id"] == "urn:planasonix-bridge:bridge"
    assert [place for place, it in _keys(json_schema()) if "description" not in it] == []


def test_every_key_has_an_example() -> None:
    """Unless its choices are listed, or what is below it has examples of its own; of the tests of routes as well."""
    shown = {"examples", "enum", "const", "$ref", "properties"}
    keys = [*_keys(json_schema()), *_keys(forms.json_schema())]
    lacking = [place for place, it in keys if not shown & it.keys() and it.get("type") != "boolean"]
    assert lacking == []


def test_the_shipped_file_is_valid() -> None:
    """And names its schema for editors."""
    text = (_ROOT / "config" / "bridge.yaml").read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=bridge.schema.json\n")
    assert list(_SCHEMA.iter_errors(parse(text, file="b").value)) == []


def test_every_example_is_valid_in_its_place() -> None:
    """By the schema itself."""
    whole = json_schema()
    for form in (*whole["$defs"].values(), whole):
        for key, it in form["properties"].items():
            validator = Draft202012Validator({**it, "$defs": whole["$defs"]})
            assert [example for example in it.get("examples", []) if not validator.is_valid(example)] == [], key


@pytest.mark.parametrize(
    "value",
    [
        _with(),
        _with({"api": {"url": "https://api.example.com", "key": {"env": "K"}}}),
        _with({"api": {"url": "https://a.example", "key": {"env": "K"}, "path_prefix": "", "headers": {"X-A": "b"}}}),
        _with(
            {
                "redact": ["/data/x"],
                "timezone": "Europe/Berlin",
                "same_body_for": "10m",
                "silent_after": "26h",
                "stale": "reject",
            }
        ),
        _with({"body": {"preset": "none", "fields": {"id": "/uuid", "status": ["/a/0", "/b~1c"]}}}),
        _with({"body": {"statuses": {"succeeded": ["OK", 10], "failed": "KO"}}}),
        _with({"allow_addresses": ["203.0.113.0/24"]}),
        _with(airflow={"auth": {"username": "bridge", "password": {"env": "P"}}, "version": 3, "concurrency": 1}),
        _with(airflow={"auth": {"exec": ["print-token"]}, "headers": {"X-Tenant": "a"}, "proxy": "http://proxy:3128"}),
        _with(proxies={"addresses": ["10.0.0.0/8"]}),
        {},
        _with({"signatur": {}}),
        _with({"signature": {"preset": "planasonix", "secrets": []}}),
        _with({"stale": "drop"}),
        _with({"api": {"url": "https://api.example.com", "key": "literal"}}),
        _with({"redact": "x"}),
        _with({"body": {"fields": {"pipline_id": "/x"}}}),
        _with({"body": {"fields": {"pipeline_id": "x"}}}),
        _with({"body": {"statuses": {"won": ["OK"]}}}),
        _with(airflow={"auth": {"username": "bridge", "password": "literal"}}),
        _with(airflow={"concurrency": 0}),
        _with(airflow={"version": 4}),
        _with(proxies={"addresses": []}),
        _with(unknown=1),
    ],
)
def test_schema_and_reading_agree(value: Any, tmp_path: Path) -> None:
    """About structure: unknown keys, choices, bounds, and that no secret is written down."""
    assert _SCHEMA.is_valid(value) == _is_read(value, tmp_path)
