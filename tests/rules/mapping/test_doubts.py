"""Warnings: what is valid in a mapping and yet hardly meant, and nothing that is not certain."""

import json

import pytest

from bridge.rules.mapping import read

_SHARED = "starts d for events of the route of line 2 too: two runs for each, told apart by conf.planasonix.route"

_NEVER = "can never match:"
_ON_IS = "`on` is succeeded"
_ON = f"and {_ON_IS}"
_NOT_ENDED = "and no route sees an event of a job that has not ended"
_ASKS = f"{_NEVER} `when` asks for the status"
_AS_MEANT = "write ? for the letter if it is part of the name"
_NO_REGEX = "is a glob (* ? [...]) and no regular expression"


def _warnings(*routes: str) -> list[str]:
    text = "routes:\n" + "".join(f"  - {{name: r{number}, {route}}}\n" for number, route in enumerate(routes))
    mapping = read(text, file="m", airflows=["default", "eu"], sources=["planasonix"])
    return [f"{warning.line}: {warning.what}" for warning in mapping.warnings]


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        (["dag: d, pipeline: p"], []),
        (["dag: d"], ["2: has no condition: every event that is succeeded starts it"]),
        (
            ["dag: d, source: planasonix, on: [failed, skipped]"],
            ["2: has no condition: every event that is failed or skipped starts it"],
        ),
        (["dag: d, when: event.id"], []),
        (["dag: d, event: job.failed"], ["2: can never match: its `event` is failed, and `on` is succeeded"]),
        (
            ["dag: d, event: [job.failed, job.succeeded]"],
            [f'2: event: "job.failed" {_NEVER} {_ON_IS}; write `on: [succeeded, failed]`'],
        ),
        (
            ["dag: d, event: [job.failed, '*.Canceled', job.completed, 'job.*'], on: [succeeded, skipped]"],
            [
                f'2: event: "*.Canceled" and "job.failed" {_NEVER} `on` is succeeded, skipped; '
                "write `on: [succeeded, skipped, cancelled, failed]`"
            ],
        ),
        (["dag: d, event: [job.failed, job.succeeded], on: [succeeded, failed]"], []),
        (["dag: d, event: job.failed, on: failed"], []),
        (["dag: d, event: job.*"], []),
        (["dag: d, event: job.completed"], []),
        (["dag: d, event: [job.canceled, job.Failed]"], [f"2: {_NEVER} its `event` is Failed or canceled, {_ON}"]),
        (["dag: d, event: job.canceled, on: cancelled"], []),
        (
            ["dag: d, event: [job.success, job.failed]"],
            [f'2: event: "job.failed" {_NEVER} {_ON_IS}; write `on: [succeeded, failed]`'],
        ),
        (["dag: d, event: job.running"], [f"2: {_NEVER} its `event` is running, {_NOT_ENDED}"]),
        (
            ["dag: d, event: ['job.queued', 'job.running']"],
            [f"2: {_NEVER} its `event` is queued or running, {_NOT_ENDED}"],
        ),
        (["dag: d, event: [job.queued, job.failed]"], [f"2: {_NEVER} its `event` is failed or queued, {_ON}"]),
        (
            ["dag: d, event: [job.queued, job.succeeded]"],
            [f'2: event: "job.queued" {_NEVER} {_NOT_ENDED.removeprefix("and ")}'],
        ),
        (["dag: d, event: job.started"], []),
        (
            ["dag: d, when: event.job_id == 17"],
            ["2: `when` compares event.job_id, which is a text, with 17; put it in quotes: '17'"],
        ),
        (["dag: d, when: event.status == 'failed'"], [f'2: {_ASKS} "failed", {_ON}; write `on: failed`']),
        (
            ["dag: d, when: \"'failed' == event['status'] and event.id\""],
            [f'2: {_ASKS} "failed", {_ON}; write `on: failed`'],
        ),
        (
            ["dag: d, when: event.id and (event.id and event.status == 'success')"],
            [f'2: {_ASKS} "success", {_ON}; a route sees succeeded instead'],
        ),
        (
            ["dag: d, when: event.status == 'done'"],
            [f'2: {_ASKS} "done", {_ON}; a route sees succeeded or failed or cancelled or skipped instead'],
        ),
        (
            ["dag: d, when: \"event.status in ['failed', 'skipped']\""],
            [f'2: {_ASKS} "failed" or "skipped", {_ON}; write `on: [failed, skipped]`'],
        ),
        (
            ["dag: d, on: [failed, skipped], when: event.status == 'failed' and event.status == 'skipped'"],
            ["2: can never match: `when` asks for two statuses at once"],
        ),
        (["dag: d, on: [failed, skipped], when: event.status == 'failed'"], []),
        (["dag: d, when: \"event.status in ['failed', 'succeeded']\""], []),
        (["dag: d, when: event.status == 'failed' or event.id"], []),
        (["dag: d, when: not event.status == 'failed'"], []),
        (["dag: d, when: event.status != 'failed'"], []),
        (["dag: d, when: event.status == event.parameters.wanted"], []),
        (["dag: d, when: event.status == 'failed', enabled: false", "dag: e, pipeline: p"], []),
        (
            ["dag: d, environment: 'prod, staging'"],
            [f'2: environment: "prod, staging" is one text; write a list: [prod, staging]; {_AS_MEANT}'],
        ),
        (
            ["dag: d, event: '[job.failed, job.succeeded]'"],
            [
                '2: event: "[job.failed, job.succeeded]" is one text; '
                f"write a list: [job.failed, job.succeeded]; {_AS_MEANT}"
            ],
        ),
        (["dag: d, environment: '^prod.*$'"], [f'2: environment: "^prod.*$" {_NO_REGEX}; {_AS_MEANT}']),
        (["dag: d, pipeline_name: 'Orders.*\\d'"], [f'2: pipeline_name: "Orders.*\\d" {_NO_REGEX}; {_AS_MEANT}']),
        (["dag: d, pipeline_name: 'Orders (daily) | 5 $ {a}'"], []),
        (["dag: d, pipeline_name: 'Orders? daily'"], []),
        (["dag: d, environment: 'prod '"], ['2: environment: "prod " begins or ends with a blank']),
        (["dag: d, pipeline: p, enabled: false"], ["1: no route is enabled, so no event starts anything"]),
        (["dag: d, pipeline: p", "dag: d, pipeline: p"], [f"3: {_SHARED}"]),
        (["dag: d, pipeline: p, when: event.id", "dag: d, pipeline: p, when: event.id"], [f"3: {_SHARED}"]),
        (["dag: d, pipeline: p", "dag: d, pipeline: 'p*'"], [f"3: {_SHARED}"]),
        (["dag: d, pipeline: p", "dag: [x, d], pipeline: [q, p], connection: c"], [f"3: {_SHARED}"]),
        (["dag: d, pipeline: 'p*'", "dag: d, pipeline: '*'"], [f"3: {_SHARED}"]),
        (["dag: d, connection: c", "dag: d, connection: c"], [f"3: {_SHARED}"]),
        (["dag: d, environment: e", "dag: d, environment: e, connection: c"], [f"3: {_SHARED}"]),
        (["dag: d, environment: e, connection: c", "dag: d, environment: e"], [f"3: {_SHARED}"]),
        (["dag: d, pipeline: 'p*'", "dag: d, pipeline: [q, p]"], [f"3: {_SHARED}"]),
        (["dag: d, pipeline: p", "dag: d, pipeline: q"], []),
        (["dag: d, pipeline: p", "dag: e, pipeline: p"], []),
        (["dag: d, pipeline: p", "dag: d, pipeline: p, airflow: eu"], []),
        (["dag: d, pipeline: p", "dag: d, pipeline: p, on: failed"], []),
        (["dag: d, pipeline: p", "dag: d, pipeline: p, when: event.id"], []),
        (["dag: d, pipeline: p", "dag: d, pipeline: p, enabled: false"], []),
        (["dag: d, pipeline: p", "dag: d, connection: c"], []),
        (["dag: d, pipeline: 'p*'", "dag: d, pipeline: '*q'"], []),
    ],
)
def test_what_is_hardly_meant_is_said(routes: list[str], expected: list[str]) -> None:
    """A dead route, one that everything starts, and two that start one DAG twice; but no guess."""
    assert _warnings(*routes) == expected


@pytest.mark.parametrize(
    ("dag_run_id", "is_said"),
    [
        ("orders", True),
        ("event.run_id", True),
        ("orders-{ event.run_id }", True),
        ("{{ route.name }}", True),
        ("{{ vars.always }}-{% set x = 'a' %}{{ x }}", True),
        ("orders-{{ event.run_id }}", False),
        ("{{ delivery.received_at | date }}", False),
        ("{% set x = event.parameters.day %}{{ x }}", False),
    ],
)
def test_a_dag_run_id_that_no_event_changes_is_said(dag_run_id: str, is_said: bool) -> None:
    """The first event would start a run, and no later one ever would."""
    text = f"vars: {{always: a}}\nroutes:\n  - dag: d\n    event: '*'\n    dag_run_id: {json.dumps(dag_run_id)}\n"
    mapping = read(text, file="m", airflows=["default"], sources=["planasonix"])
    said = [warning.what for warning in mapping.warnings]
    assert [what.partition(",")[0] for what in said] == ["its `dag_run_id` is the same for every event"] * is_said


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("no", ['no is a text here, which Python takes as true; write false, or "no" in quotes']),
        ("On", ['On is a text here, which Python takes as true; write true, or "On" in quotes']),
        ("'no'", []),
        ("false", []),
        ("y", []),
        ("no rows", []),
        ("event.run_id", ["event.run_id is sent as it stands; write {{ event.run_id }}"]),
        ("event.parameters.day", ["event.parameters.day is sent as it stands; write {{ event.parameters.day }}"]),
        ("'x { event.run_id }'", ["{ event.run_id } is sent as it stands; write {{ event.run_id }}"]),
        (
            "'${event.id | upper}/{{ event.id }}'",
            ["${event.id | upper} is sent as it stands; write {{ event.id | upper }}"],
        ),
        ("'{ event.run_id }}'", ["{ event.run_id } is sent as it stands; write {{ event.run_id }}"]),
        ("'{{ event.run_id }}-{{event.id}}'", []),
        ("event.log", []),
        ("event.id is the key", []),
        ("'{% if event.id %}event.id{% endif %}'", []),
    ],
)
def test_a_text_of_conf_that_is_sent_otherwise_than_meant_is_said(written: str, expected: list[str]) -> None:
    """Also inside lists, in the defaults, in the note; a word in `vars` too."""
    text = (
        f"defaults: {{note: {written if 'event' in written else 'x'}, conf: {{b: {written}}}}}\n"
        f"vars: {{c: {written if '{' not in written else 1}}}\n"
        f"routes:\n  - dag: d\n    event: '*'\n    conf: {{a: [x, {written}]}}\n"
    )
    mapping = read(text, file="m", airflows=["default"], sources=["planasonix"])
    said = [f"{warning.line}: {warning.what}" for warning in mapping.warnings]
    in_note = [f"1: note: {what}" for what in expected if "event" in what]
    in_vars = [f"2: vars.c: {what}" for what in expected if "event" not in what]
    assert said == [
        *in_note,
        *(f"1: conf.b: {what}" for what in expected),
        *in_vars,
        *(f"6: conf.a[1]: {what}" for what in expected),
    ]


def test_no_route_is_said() -> None:
    """An empty mapping is valid, and starts nothing."""
    mapping = read("routes: []", file="m", airflows=["default"], sources=["planasonix"])
    assert [warning.what for warning in mapping.warnings] == ["there is no route, so no event starts anything"]


def test_warnings_of_a_large_file_are_bounded() -> None:
    """Hundreds of routes at one DAG neither take minutes nor fill a log."""
    routes = "".join(f"  - {{name: r{number}, dag: d, pipeline: 'p*'}}\n" for number in range(500))
    mapping = read(f"routes:\n{routes}", file="m", airflows=["default"], sources=["planasonix"])
    assert len(mapping.warnings) == 100
