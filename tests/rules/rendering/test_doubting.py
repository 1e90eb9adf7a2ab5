"""What is valid in a `when` and yet hardly meant, and nothing that is not certain."""

import json

import pytest

from bridge.rules.mapping import read

_COMMA = "`when` is always the same: a comma makes a list; write `and`, or the number without a comma"
_ALONE = "which is always the same; repeat the comparison"
_TEXT = "which is a text, with"
_NUMBER = "which is a number, with"


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("event.rows_loaded >= 1,000", [_COMMA]),
        ("event.rows_loaded > 0,5", [_COMMA]),
        ("event.id and not (event.rows_loaded, 5)", [_COMMA]),
        ("event.rows_loaded in (1, 5)", []),
        (
            "event.environment == 'prod' or 'production'",
            [f"`when` has 'production' alone, {_ALONE}, or write `event.environment in [...]`"],
        ),
        ("not (event.id and 5)", [f"`when` has 5 alone, {_ALONE}, or write `event.id in [...]`"]),
        ("event.parameters.x or 'x'", [f"`when` has 'x' alone, {_ALONE}"]),
        ("event.id or vars.always", []),
        ("(event.environment or 'prod') == 'prod'", []),
        ("event.rows_loaded > (event.parameters.x or 5)", []),
        (
            "event.environment == ['staging', 'prod']",
            [f"`when` compares event.environment, {_TEXT} a list; write `event.environment in [...]`"],
        ),
        (
            "vars.many != event['environment']",
            [f"`when` compares event.environment, {_TEXT} a list; write `event.environment not in [...]`"],
        ),
        ("event.environment in vars.many", []),
        ("event.environment in ['prod', event.parameters.x]", []),
        ("event.job_id == 17", [f"`when` compares event.job_id, {_TEXT} 17; put it in quotes: '17'"]),
        ("event.job_id in [17, 18]", [f"`when` compares event.job_id, {_TEXT} 17; put it in quotes: '17'"]),
        ("event.job_id in [17, '18']", []),
        ("event.job_id != none", []),
        (
            "event.id and not true == event.status",
            [f"`when` compares event.status, {_TEXT} true; put it in quotes: 'true'"],
        ),
        ("event.parameters.x == 17 or event.data == 17 or event.error == 17", []),
        ("event.job_id | int == 17", []),
        (
            "event.rows_loaded == '5'",
            [f"`when` compares event.rows_loaded, {_NUMBER} the text '5'; write a number, without quotes"],
        ),
        (
            "event.duration_seconds > '5'",
            [f"`when` compares event.duration_seconds, {_NUMBER} the text '5'; write a number, without quotes"],
        ),
        (
            "event.rows_loaded in ['5', '6']",
            [f"`when` compares event.rows_loaded, {_NUMBER} the text '5'; write a number, without quotes"],
        ),
        ("event.job_id > 17 or event.job_id <= 17", []),
        (f"event.parameters.x or '{'y' * 61}'", [f"`when` has '{'y' * 60}' alone, {_ALONE}"]),
        ("0 < event.rows_loaded <= 5", []),
    ],
)
def test_a_condition_that_is_the_same_for_every_event_is_said(when: str, expected: list[str]) -> None:
    """As far as its text alone shows it."""
    text = f"vars: {{always: true, many: [a, b]}}\nroutes:\n  - dag: d\n    when: {json.dumps(when)}\n"
    mapping = read(text, file="m", airflows=["default"], sources=["planasonix"])
    assert [warning.what for warning in mapping.warnings] == expected
