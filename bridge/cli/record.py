"""record: bodies that were received, redacted, as fixtures for `planasonix-bridge test`.

1. Read bodies from the store or a running bridge, the oldest first. Those of whole events only, no copy.
2. Mask them (`rules/recording`), and plan each as the mapping does now: that becomes the test.
3. Write a file for each body and `tests.yaml` beside them; nothing is written over.
"""

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.asking import Since, TokenFile, Until, Url, asking, told_times
from bridge.cli.output import say

if TYPE_CHECKING:
    from bridge.cli.asking import Asked
    from bridge.rules.planning import Plan


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(record)


def record(
    out: Annotated[Path, typer.Option("--out", help="The folder to write; it must not exist, or be empty.")],
    source: Annotated[str | None, typer.Option("--source", help="Only what came to this source.")] = None,
    since: Since = "24h",
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many bodies at most.")] = 20,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="Keep what stands at this JSON pointer, too; several times.")
    ] = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Save bodies that were received as fixtures for tests of the mapping, with what each starts today.

    Texts and numbers that the bridge does not read itself are masked; --keep names what templates need.
    """
    if out.exists() and any(out.iterdir()):
        raise typer.BadParameter(f"{out} is not empty", param_hint="--out")
    times = {name: value for name, value in told_times(since, until).items() if value is not None}
    tests: list[dict[str, Any]] = []
    out.mkdir(parents=True, exist_ok=True)
    with asking(url, token_file) as asked:
        for item in _bodies(asked, times):
            if source in (None, item["source"]) and (test := _written(out, item, keep or [])) is not None:
                tests.append(test)
            if len(tests) == limit:
                break
    if not tests:
        say("no body was received in this time that can be recorded")
        raise typer.Exit(1)
    lines = ",\n".join(f"  {json.dumps(test)}" for test in tests)
    (out / "tests.yaml").write_text(f"tests: [\n{lines}\n]\n", "utf-8")
    typer.echo(f"{len(tests)} bodies; try them with: planasonix-bridge test {out / 'tests.yaml'}")


def _bodies(asked: "Asked", times: dict[str, str]) -> Iterator[dict[str, Any]]:
    query = {**times, "limit": "100"}
    while True:
        page = asked.get("bodies", **query)
        yield from (item for item in page["bodies"] if item["body"] is not None)
        if not page["next"]:
            return
        query["after"] = page["next"]


def _written(out: Path, item: dict[str, Any], keep: list[str]) -> dict[str, Any] | None:
    """Write one body; returns its test, None if it is no readable JSON."""
    from bridge.rules.recording import masked, recorded

    body = recorded(b64decode(item["body"]), keep)
    if body is None:
        return None
    (out / f"{item['id']}.json").write_bytes(body)
    test: dict[str, Any] = {"name": item["id"], "body_file": f"{item['id']}.json", "source": item["source"]}
    test |= {"received_at": item["received_at"]}
    test |= {"url_pipeline": item["url_pipeline"]} if item["url_pipeline"] else {}
    test |= {"job": masked(item["job"], keep)} if item["job"] else {}
    return test | _expected(test, body)


def _expected(test: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Return what the mapping makes of the body as it is written."""
    planned = _plan(test, body)
    starts = [
        {"dag": each.dag_id, "route": each.route.name} | ({"reason": str(each.reason)} if each.reason else {})
        for each in planned.triggers
    ]
    return {"starts": starts} | ({"because": str(planned.reason)} if not starts and planned.reason else {})


def _plan(test: dict[str, Any], body: bytes) -> "Plan":
    from bridge.cli import bodies, context
    from bridge.rules.expecting import read
    from bridge.rules.planning import plan

    environment = context.environment()
    config = context.configuration_if_there(environment)
    mapping = context.mapping(environment.mapping, config or context.names(environment.config))
    text = json.dumps({"tests": [test | {"starts": []}]})
    case = read(text, file="recorded", open_beside=lambda _: body).cases[0]
    about = bodies.of_case(case, config)
    return plan(about, mapping, new_trigger_id=lambda: bodies.TRIGGER_ID, max_hops=environment.max_hops)
