"""The form of mapping.yaml, as pydantic models: the one source of its checks and of the JSON Schema for editors."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticCustomError

from bridge.rules import durations
from bridge.rules.mapping.examples import MEANT, with_examples

# Airflow's own rule for keys, letters of any script; "." and ".." would vanish from the URL that the id is a part of.
_DAG_ID = re.compile(r"[\w.-]{1,250}")
# JSON Schema knows no letters of all scripts, so it refuses what is wrong in ASCII and leaves the rest to `read`.
_NO_DAG_ID_LETTERS = r"\x00-,/:-@\[-^`{-\x7f"
_DAG_ID_SCHEMA = {
    "type": "string",
    "maxLength": 250,
    "pattern": rf"^[^{_NO_DAG_ID_LETTERS}]*[^.{_NO_DAG_ID_LETTERS}][^{_NO_DAG_ID_LETTERS}]*$",
}

StatusWord = Literal["succeeded", "failed", "cancelled", "skipped"]

_ROUTE_NAME = re.compile(r"[A-Za-z0-9_.~:+ -]{1,100}")
_ROUTE_NAME_SCHEMA = {"type": "string", "maxLength": 100, "pattern": r"^[A-Za-z0-9_.~:+ -]+$"}

_CONSTANT_NAME = "^[A-Za-z_][A-Za-z0-9_]{0,63}$"


def _seconds(value: Any) -> Any:
    """Read 90, "90s", "15m", "24h", "7d"."""
    return durations.seconds(value) if isinstance(value, str) else value


def _whole(value: Any) -> Any:
    """Take 5.0 for 5, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_list(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        return [value]
    if isinstance(value, bool | int | float):
        raise PydanticCustomError("needs_quotes", f'"{info.field_name}" must be a string or a list of strings')
    if not isinstance(value, list):
        raise ValueError(f'"{info.field_name}" must be a string or a list of strings')  # noqa: TRY004 - pydantic wants ValueError
    return value


def _static(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        raise ValueError(f'"{info.field_name}" is static text: an event can never choose it; write one route for each')
    return value


def _dag_id(value: Any) -> Any:
    if isinstance(value, str) and (_DAG_ID.fullmatch(value) is None or not value.strip(".")):
        each = [part.strip() for part in value.split(",")]
        is_list = len(each) > 1 and all(map(_DAG_ID.fullmatch, each))
        hint = f"write a list: [{', '.join(each)}]" if is_list else 'letters, digits, "_", "-" and ".", at most 250'
        raise ValueError(f'"{value[:60]}" is not a DAG id: {hint}')
    return value


def _route_name(value: Any) -> Any:
    if isinstance(value, str) and _ROUTE_NAME.fullmatch(value) is None:
        raise ValueError(f'"{value[:60]}" is not a name: letters, digits, blanks and _.~:+- only, at most 100')
    return value


def _owner(value: Any) -> Any:
    if isinstance(value, str) and (not value.isprintable() or not value.strip()):
        raise ValueError('"owner" is one line of text')
    return value


def _constants(given: dict[str, Any]) -> dict[str, Any]:
    for name in given:
        if re.fullmatch(_CONSTANT_NAME, name) is None:
            raise ValueError(f'"{name[:60]}" is no name that a template can read: letters, digits and "_", at most 64')
    return given


def _one_or_many(item: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]})


F = TypeVar("F", bound=BaseModel)
_MAX_GLOB = 250
_GLOB_SCHEMA = {"type": "string", "minLength": 1, "maxLength": _MAX_GLOB}
_STATUS_SCHEMA = {"enum": ["succeeded", "failed", "cancelled", "skipped"]}
_DURATION_SCHEMA = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0, "maximum": durations.LONGEST_SECONDS},
        {"type": "string", "pattern": "^[0-9]{1,9}[smhd]$"},
    ]
}
Glob = Annotated[str, Field(min_length=1, max_length=_MAX_GLOB)]
Globs = Annotated[list[Glob], BeforeValidator(_as_list), Field(min_length=1), _one_or_many(_GLOB_SCHEMA)]
Statuses = Annotated[list[StatusWord], BeforeValidator(_as_list), Field(min_length=1), _one_or_many(_STATUS_SCHEMA)]
DagId = Annotated[str, BeforeValidator(_dag_id), BeforeValidator(_static)]  # the last one runs first
DagIds = Annotated[list[DagId], BeforeValidator(_as_list), Field(min_length=1), _one_or_many(_DAG_ID_SCHEMA)]
Duration = Annotated[
    float, BeforeValidator(_seconds), Field(gt=0, le=durations.LONGEST_SECONDS), WithJsonSchema(_DURATION_SCHEMA)
]
RouteName = Annotated[str, BeforeValidator(_route_name), WithJsonSchema(_ROUTE_NAME_SCHEMA)]
Attempts = Annotated[int, Field(ge=1, le=100_000), BeforeValidator(_whole)]
Concurrency = Annotated[int, Field(ge=1, le=1000), BeforeValidator(_whole)]
PerHour = Annotated[int, Field(ge=1, le=100_000), BeforeValidator(_whole)]
Constants = Annotated[
    dict[str, Any],
    AfterValidator(_constants),
    WithJsonSchema({"type": "object", "propertyNames": {"pattern": _CONSTANT_NAME}}),
]
_OWNER_SCHEMA = {
    "type": "string",
    "maxLength": 100,
    "pattern": r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$",
}
OwnerText = Annotated[
    str,
    Field(max_length=100),
    BeforeValidator(_static),
    BeforeValidator(_owner),
    WithJsonSchema(_OWNER_SCHEMA),
]
AirflowName = Annotated[str, Field(min_length=1, max_length=64), BeforeValidator(_static)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    @field_validator("*", mode="before")
    @classmethod
    def _given(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse a key without a value: `pipeline:` with its value forgotten would match every pipeline."""
        if value is None:
            raise ValueError(f'"{info.field_name}" has no value; give it one, or take the key away')
        return value


class DefaultsForm(_Form):
    """What routes take over unless they say otherwise; `conf` is merged key by key."""

    # What people write for a key: Airflow's words, Planasonix' words, and what other tools call it.
    MEANT: ClassVar[Mapping[str, str]] = MEANT

    source: Globs | None = Field(None, description="Only webhooks of these sources; globs.")
    environment: Globs | None = Field(None, description="Only events of these environments; globs.")
    on: Statuses | None = Field(None, description="Only events with these statuses; default succeeded.")
    airflow: AirflowName | None = Field(None, description="Which Airflow of bridge.yaml; static text.")
    conf: dict[str, Any] | None = Field(None, description="Keys of conf to send; values may be templates.")
    note: str | None = Field(None, description="The DAG run's note; a template.")
    enabled: bool | None = Field(None, description="false switches routes off without deleting them.")
    max_age: Duration | None = Field(None, description="How long a trigger is tried: seconds, or 90s, 15m, 24h, 7d.")
    deadline: Duration | None = Field(None, description="From the webhook on; later nothing is started any more.")
    max_attempts: Attempts | None = Field(None, description="How often a trigger is tried at most.")
    concurrency: Concurrency | None = Field(None, description="Calls of one route under way at once.")
    max_per_hour: PerHour | None = Field(None, description="DAG runs that one route starts in an hour; more wait.")
    if_paused: Literal["trigger", "hold", "fail"] | None = Field(
        None, description="A paused DAG: leave runs to Airflow's queue (trigger, the default), hold them here, or fail."
    )
    release: Literal["all", "latest"] | None = Field(
        None, description="When a held DAG is back: all, or the latest of each pipeline and environment; default all."
    )
    hold_at_most: Duration | None = Field(
        None, description="How long a paused or missing DAG is waited for; default 14d."
    )
    conf_schema: Literal["dag", "any"] | None = Field(
        None, description="dag: `check --airflow` holds conf to the DAG's params; default any: only to the required."
    )
    follow: bool | None = Field(None, description="false: do not watch what becomes of the DAG runs; default true.")


class RouteForm(DefaultsForm):
    """Which events start which DAG, with which conf. All conditions must hold; all matching routes fire."""

    name: RouteName | None = Field(None, description="Unique; part of the DAG run id. Default: the DAG id.")
    event: Globs | None = Field(None, description="Only these event types, as the sender spells them; globs.")
    pipeline: Globs | None = Field(None, description="Only these pipeline ids; globs.")
    pipeline_name: Globs | None = Field(None, description="Only these pipeline names; globs.")
    connection: Globs | None = Field(None, description="Only these connection ids; globs.")
    when: str | None = Field(None, min_length=1, description="A Jinja expression that must be true.")
    dag: DagIds = Field(description="The DAG or DAGs to start; static text.")
    dag_run_id: str | None = Field(None, min_length=1, description="The DAG run id; a template. Rarely needed.")
    owner: OwnerText | None = Field(None, description="Who answers for the route; default: the file's `owner`.")


class MappingForm(_Form):
    """Which Planasonix events start which Airflow DAGs."""

    owner: OwnerText | None = Field(None, description="Who answers for the routes of this file: shown, nothing more.")
    vars: Constants = Field(
        default_factory=dict,
        description="Values that repeat: `vars.NAME` in a template of this file. Plain values, no templates.",
    )
    defaults: DefaultsForm = Field(
        default_factory=lambda: DefaultsForm.model_validate({}), description="What every route takes over."
    )
    routes: list[RouteForm] = Field(description="The routes; all that match an event fire.")


@dataclass(frozen=True, slots=True)
class Readable(Generic[F]):
    """What can be read of a form that may have mistakes, and the keys that had to be left out for it."""

    form: F
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ReadablePart:
    """What can be read of a file that may have mistakes; routes by their place in the list."""

    owner: str | None
    constants: dict[str, Any]
    defaults: Readable[DefaultsForm]
    routes: dict[int, Readable[RouteForm]]


def readable_part(value: Any) -> ReadablePart:
    """Return what can be read of a file with mistakes, so that those of the rest are told at the same time."""
    top = value if isinstance(value, dict) else {}
    listed = top.get("routes")
    routes = enumerate(listed if isinstance(listed, list) else [])
    constants, owner = top.get("vars"), top.get("owner")
    return ReadablePart(
        owner if isinstance(owner, str) else None,
        constants if isinstance(constants, dict) else {},
        _readable(DefaultsForm, top.get("defaults", {}), {}),
        {index: _readable(RouteForm, item, {"dag": "unreadable"}) for index, item in routes if isinstance(item, dict)},
    )


def _readable(form: type[F], value: Any, needed: dict[str, Any]) -> Readable[F]:
    """Leave out the keys that pydantic complains of; `needed` stands in for those that a form cannot lack."""
    given = value if isinstance(value, dict) else {}
    try:
        return Readable(form.model_validate(given))
    except ValidationError as error:
        wrong = frozenset(str(detail["loc"][0]) for detail in error.errors() if detail["loc"])
    kept = {key: item for key, item in given.items() if key not in wrong}
    return Readable(form.model_validate(needed | kept), wrong)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (Draft 2020-12) of mapping.yaml."""
    title = "Mapping of the Planasonix to Airflow bridge"
    return with_examples(published_schema(MappingForm, name="mapping", title=title))


def published_schema(
    form: type[BaseModel], *, name: str, title: str, generator: type[GenerateJsonSchema] = GenerateJsonSchema
) -> dict[str, Any]:
    """Return the JSON Schema of a file's form, as editors take it: with an id, and without null."""
    schema = _without_null(form.model_json_schema(schema_generator=generator))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:planasonix-bridge:{name}",
        "title": title,
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _without_null(schema: Any) -> Any:
    """Return a schema that refuses null where the models do: a key may be absent, not empty."""
    if isinstance(schema, list):
        return [_without_null(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _without_null(value) for key, value in schema.items() if (key, value) != ("default", None)}
    choices = kept.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        first, *others = (choice for choice in choices if choice != {"type": "null"})
        if not others:
            return {key: value for key, value in kept.items() if key != "anyOf"} | first
        kept["anyOf"] = [first, *others]
    return kept
