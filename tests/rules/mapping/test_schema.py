"""The JSON Schema for editors: it is the shipped file, and it judges the structure of a mapping as `read` does."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bridge.rules.mapping import json_schema, read
from bridge.rules.yamltree import parse
from bridge.words.errors import ConfigError

_ROOT = Path(__file__).parents[3]
_FILES = sorted((_ROOT / "tests" / "data" / "mappings").glob("*/*.yaml"))
_SCHEMA = Draft202012Validator(json_schema())
# What only the whole file, bridge.yaml or the templates show; no schema can.
_MEANING = {
    "alias", "anchor", "bad_condition", "bad_glob", "bad_glob_in_defaults", "bad_template",
    "bad_template_in_defaults", "braces_that_are_missing", "condition_always_fails", "condition_always_false",
    "condition_always_true", "condition_in_braces", "dag_twice", "default_that_lets_none_through", "duplicate_name",
    "field_far_from_all", "filter_far_from_all", "glob_empty_range", "glob_with_a_template", "hyphen_in_a_key",
    "names_without_event", "number_that_loses_its_spelling", "operators_of_other_languages", "own_key_in_conf",
    "own_key_in_conf_of_defaults", "repeated_route", "template_in_a_key_of_conf", "template_in_airflow",
    "template_with_a_loop", "text_that_no_id_matches", "undefined_field", "undefined_in_dag_run_id",
    "undefined_in_note", "undefined_in_when", "undefined_variable", "unknown_airflow",
    "unknown_airflow_in_defaults", "unknown_filter", "unknown_method", "unknown_source",
    "unknown_source_among_known", "unknown_test", "vars_and_filters", "vars_that_are_missing",
}  # fmt: skip


def _is_read(text: str) -> bool:
    try:
        read(text, file="m.yaml", airflows=["default", "eu"], sources=["planasonix"])
    except ConfigError:
        return False
    return True


def test_the_shipped_schema_is_the_generated_one() -> None:
    """`make schema` has been run since the model changed."""
    assert json.loads((_ROOT / "config" / "mapping.schema.json").read_text("utf-8")) == json_schema()


def test_it_is_a_schema() -> None:
    """Draft 2020-12, and every key of a route says in words what it is for."""
    Draft202012Validator.check_schema(json_schema())

    for form in json_schema()["$defs"].values():
        assert [key for key, value in form["properties"].items() if not value.get("description")] == []


def test_every_key_has_examples_that_are_read() -> None:
    """An editor shows them, so they are right; a default is one of the right type."""
    forms = {**json_schema()["$defs"], "the file": json_schema()}
    for form in forms.values():
        for key, value in form["properties"].items():
            assert value.get("examples"), key
            for example in [*value["examples"], *([value["default"]] if value.get("default") else [])]:
                whole = {"routes": [], key: example} if key in ("vars", "defaults", "routes") else None
                assert _is_read(json.dumps(whole or {"routes": [{"dag": "d1", key: example}]})), (key, example)
    assert json_schema()["$id"] == "urn:planasonix-bridge:mapping"


def test_the_shipped_mapping_is_valid() -> None:
    """An editor that opens the shipped example shows no red line."""
    text = (_ROOT / "config" / "mapping.yaml").read_text("utf-8")

    assert list(_SCHEMA.iter_errors(parse(text, file="m").value)) == []
    assert _is_read(text)


@pytest.mark.parametrize("path", _FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_schema_and_read_agree_about_files(path: Path) -> None:
    """Good files are valid; a mistake of structure is one for both; a mistake of meaning is seen by `read` alone."""
    text = path.read_text("utf-8")
    try:
        value = parse(text, file="m.yaml").value
    except ConfigError:
        return  # no YAML of ours: there is nothing for a schema to judge

    assert _SCHEMA.is_valid(value) == (path.parent.name == "good" or path.stem in _MEANING)


_GLOB = st.sampled_from(["pl_1", "pl_*", ""])
_STATUS = st.sampled_from(["succeeded", "failed", "done", "", "SUCCEEDED"])
_ODD = st.sampled_from([None, True, 0, 1, 5, 1.5, "", [], {}, {"a": 1}, [None], [1], [""], [[]]])
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "source": st.just("planasonix") | st.just(["planasonix"]),
    "event": _GLOB | st.lists(_GLOB, max_size=2),
    "pipeline": _GLOB | st.lists(_GLOB, max_size=2),
    "pipeline_name": st.sampled_from(["x", "x" * 250, "x" * 251]),
    "connection": _GLOB,
    "environment": _GLOB,
    "on": _STATUS | st.lists(_STATUS, max_size=2),
    "when": st.sampled_from(["event.id", ""]),
    "dag": st.sampled_from(["d1", "a b", ".", "..", "a..b", "x" * 250, "x" * 251, "", ["d1", "d2"], ["d1", "a/b"]]),
    "airflow": st.sampled_from(["default", "eu", ""]),
    "conf": st.just({}) | st.just({"a": [1, None, {"b": "c"}]}),
    "note": st.sampled_from(["", "x"]),
    "dag_run_id": st.sampled_from(["", "own-{{ event.id }}"]),
    "enabled": st.booleans(),
    "follow": st.booleans(),
    "max_age": st.sampled_from([90, 0.5, 0, -1, 31_536_000, 31_536_001, "90s", "15m", "90", "1w", "-1s", ""]),
    "deadline": st.sampled_from([90, 0.5, 0, 31_536_001, "2h", "2", ""]),
    "max_attempts": st.sampled_from([1, 5.0, 0, -1, 100_000, 100_001, 1.5]),
    "concurrency": st.sampled_from([1, 0, 1000, 1001]),
    "max_per_hour": st.sampled_from([1, 0, 100_000, 100_001]),
    "name": st.sampled_from(["sales", "a b", "a/b", "", "x" * 100, "x" * 101]),
    "unknown": st.just(1),
}
_SHARED = ("source", "environment", "on", "airflow", "conf", "note", "enabled", "max_age", "max_attempts", "unknown")


@st.composite
def _forms(draw: st.DrawFn, keys: tuple[str, ...], needed: tuple[str, ...] = ()) -> dict[str, Any]:
    """A form with mostly right values; now and then one is of any type."""
    chosen = draw(st.lists(st.sampled_from(keys), unique=True, max_size=4))
    return {
        key: draw(_ODD if draw(st.integers(0, 7)) == 0 else _VALUES[key]) for key in dict.fromkeys((*needed, *chosen))
    }


_EACH: dict[str, list[Any]] = {
    "pipeline": ["pl_*", "", "*" * 250, "x" * 251, [], [""], ["a", "b"], ["a", 1]],
    "on": ["succeeded", "failed", "cancelled", "skipped", "done", "", [], ["failed"], ["failed", "x"]],
    "dag": [
        "d1",
        "täglich",
        "日次",
        "a\u0308 b",
        "a b",
        ".",
        "..",
        "a..b",
        "x" * 250,
        "x" * 251,
        "",
        [],
        ["d1", "d2"],
        ["d1", "a/b"],
    ],
    "airflow": ["default", ""],
    "conf": [{}, {"a": [1, None, {"b": "c"}]}, [], "a"],
    "note": ["", "x"],
    "when": ["event.id", ""],
    "dag_run_id": ["own-{{ event.id }}", ""],
    "enabled": [True, False, "true"],
    "follow": [True, False, "true"],
    "max_age": [90, 0.5, 90.0, 1e3, 0, -1, 31_536_000, 31_536_001, "90s", "15m", "24h", "7d", "90", "1w", "-1s", ""],
    "deadline": [90, 0.5, 0, 31_536_000, 31_536_001, "2h", "2", ""],
    "max_attempts": [1, 5.0, 1.5, 0, -1, 100_000, 100_001, "5"],
    "concurrency": [1, 5.0, 0, 1000, 1001],
    "max_per_hour": [1, 5.0, 0, 100_000, 100_001],
    "name": ["sales", "a b", "a/b", "", "x" * 100, "x" * 101],
    "nonsense": [1],
}
_ANY: list[Any] = [None, True, 0, 5, 1.5, "", [], {}, {"a": 1}, [None], [1], [[]]]


@pytest.mark.parametrize("key", _EACH)
def test_schema_and_read_agree_about_each_value(key: str) -> None:
    """One key at a time, with right values, wrong values and values of any other type."""
    mappings = [{"routes": [{"dag": "d1", key: value}]} for value in (*_EACH[key], *_ANY)]

    assert [mapping for mapping in mappings if _SCHEMA.is_valid(mapping) != _is_read(json.dumps(mapping))] == []


_MAPPINGS = st.fixed_dictionaries(
    {"routes": st.lists(_forms(tuple(_VALUES), needed=("dag",)), max_size=1) | _ODD},
    optional={"defaults": _forms(_SHARED) | _ODD, "unknown": _ODD},
)


@given(_MAPPINGS)
def test_schema_and_read_agree_about_structure(mapping: dict[str, Any]) -> None:
    """For mappings whose templates and names are all right, valid is the same as readable."""
    assert _SCHEMA.is_valid(mapping) == _is_read(json.dumps(mapping))
