"""The form of a file of tests, as pydantic models: the one source of its checks and of the JSON Schema for editors."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from bridge.rules import samples
from bridge.rules.mapping import published_schema

# What planning can say; what Airflow or the store says comes later.
Because = Literal[
    "no_route",
    "test_event",
    "status_running",
    "status_unknown",
    "no_completion",
    "unreadable_json",
    "unreadable_field",
    "contradiction",
]
NotStarted = Literal["template", "condition", "conf_too_large", "loop_guard"]
_SAMPLE_SCHEMA = {"enum": list(samples.SHAPES), "examples": ["job.succeeded", "pipeline.run.succeeded"]}


def _sample(name: Any) -> Any:
    if isinstance(name, str):
        samples.changed(name, {})
    return name


def _changes(changes: Any) -> Any:
    if isinstance(changes, dict):
        samples.changed("test", {word: value for word, value in changes.items() if not word.startswith("/")})
    return changes


def _starts(value: Any) -> Any:
    """Read `dag`, `[dag, dag]`, and entries that say more."""
    listed = [value] if isinstance(value, str | dict) else value
    return [{"dag": item} if isinstance(item, str) else item for item in listed] if isinstance(listed, list) else value


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    @field_validator("*", mode="before")
    @classmethod
    def _given(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None:
            name = "with" if info.field_name == "changes" else info.field_name
            raise ValueError(f'"{name}" has no value; give it one, or take the key away')
        return value


class StartForm(_Form):
    """One DAG run that must be started; what is not said of it may be anything."""

    MEANT: ClassVar[dict[str, str]] = {"dag_id": "dag", "run_id": "dag_run_id", "name": "route", "why": "reason"}

    dag: str = Field(min_length=1, description="The DAG.", examples=["refresh_sales_marts"])
    route: str | None = Field(None, min_length=1, description="By the route of this name.", examples=["inventory"])
    airflow: str | None = Field(None, min_length=1, description="At this Airflow of bridge.yaml.", examples=["default"])
    conf: dict[str, Any] | None = Field(
        None,
        description="conf has these values; it may have more. `planasonix` is the part that the bridge adds.",
        examples=[{"rows": 44802, "planasonix": {"status": "succeeded"}}],
    )
    conf_exactly: dict[str, Any] | None = Field(
        None, description="conf has these values and no other, beside `planasonix`.", examples=[{"rows": 44802}]
    )
    note: str | None = Field(None, description="The DAG run's note.", examples=["44802 rows"])
    dag_run_id: str | None = Field(
        None,
        min_length=1,
        description="The DAG run id.",
        examples=["planasonix__job_01jq8syncabc__succeeded__refresh_sales_marts"],
    )
    reason: NotStarted | None = Field(
        None, description="The route fits, and yet this run is not started, for this reason.", examples=["template"]
    )


class TestForm(_Form):
    """One body, and what it must start. Exactly one of `sample`, `body` and `body_file` says which body."""

    MEANT: ClassVar[dict[str, str]] = {
        "expect": "starts",
        "expected": "starts",
        "dag": "starts",
        "dags": "starts",
        "payload": "body",
        "event": "body",
        "file": "body_file",
        "set": "with",
        "overrides": "with",
        "reason": "because",
        "why": "because",
    }

    name: str = Field(
        min_length=1,
        max_length=200,
        description="What must hold; unique in the file.",
        examples=["orders start at once"],
    )
    sample: Annotated[str, BeforeValidator(_sample), WithJsonSchema(_SAMPLE_SCHEMA)] | None = Field(
        None, description="A body as Planasonix sends it; `planasonix-bridge sample --list` names them."
    )
    changes: Annotated[dict[str, Any], BeforeValidator(_changes)] | None = Field(
        None,
        alias="with",
        description="Other values of the sample, by the field of the event or by JSON pointer.",
        examples=[{"pipeline_id": "pl_8f2a9c1d4e", "rows_loaded": 0, "/data/parameters/region": "eu"}],
    )
    body: dict[str, Any] | str | None = Field(
        None,
        description="The body itself; a text is sent as it stands.",
        examples=[{"id": "evt_1", "type": "job.succeeded", "data": {"pipeline_id": "pl_8f2a9c1d4e"}}],
    )
    body_file: str | None = Field(
        None,
        min_length=1,
        description="A file with the body; the path begins at this file's folder.",
        examples=["bodies/orders.json"],
    )
    source: str | None = Field(
        None, min_length=1, description="The source that it comes to. Default: the only one.", examples=["planasonix"]
    )
    url_pipeline: str | None = Field(
        None,
        min_length=1,
        description="As if it came to the URL of this pipeline, /hooks/SOURCE/PIPELINE_ID.",
        examples=["pl_8f2a9c1d4e"],
    )
    job: dict[str, Any] | None = Field(
        None,
        description="What the Planasonix API answers about the job, for a body that names no pipeline.",
        examples=[{"id": "job_xyz789", "pipeline_id": "pl_8f2a9c1d4e"}],
    )
    received_at: str = Field(
        "2025-03-27T14:26:21.000Z",
        min_length=1,
        description="What `delivery.received_at` is in templates.",
        examples=["2025-03-27T14:26:21.000Z"],
    )
    starts: Annotated[list[StartForm], BeforeValidator(_starts)] = Field(
        description="Every DAG run that must be started; [] for none. One that is not listed is a failure.",
        examples=["refresh_sales_marts", ["refresh_sales_marts", {"dag": "publish", "conf": {"rows": 1}}], []],
    )
    because: Because | None = Field(None, description="Why nothing is started.", examples=["no_route"])
    why_not: dict[str, str] | None = Field(
        None,
        description="For a route by its name: words that its reason not to match must hold.",
        examples=[{"inventory": "environment"}],
    )

    @model_validator(mode="after")
    def _has_one_body(self) -> Self:
        given = [each for each in (self.sample, self.body, self.body_file) if each is not None]
        if len(given) != 1:
            raise ValueError("say which body, with exactly one of `sample`, `body` and `body_file`")
        if self.changes is not None and self.sample is None:
            raise ValueError("`with` changes a `sample`; write the values into the body instead")
        if self.because is not None and self.starts:
            raise ValueError("`because` says why nothing is started, and `starts` lists something")
        return self


class SuiteForm(_Form):
    """Tests of a mapping: bodies, and what they must start."""

    tests: list[TestForm] = Field(
        min_length=1,
        description="The tests; each stands for itself.",
        examples=[[{"name": "orders", "sample": "job.succeeded", "starts": ["refresh_sales_marts"]}]],
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (Draft 2020-12) of a file of tests."""
    schema = published_schema(SuiteForm, name="tests", title="Tests of a mapping of the Planasonix to Airflow bridge")
    starts = schema["$defs"]["TestForm"]["properties"]["starts"]
    item = {"anyOf": [{"type": "string", "minLength": 1}, starts.pop("items")]}  # pydantic knows no short spelling
    del starts["type"]
    starts["anyOf"] = [*item["anyOf"], {"type": "array", "items": item}]
    return schema
