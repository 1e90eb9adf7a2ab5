"""tail: new deliveries and what becomes of them, a line each time that something changes. Ends with Ctrl-C, exit 0."""

import contextlib
import signal
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from bridge.cli.asking import Asked, Since, TokenFile, Url, asking, seconds, told_times
from bridge.cli.browse import Ended, Job, Pipeline, Run, Source, Why
from bridge.cli.output import AsJson, local, say, spell_json, visible
from bridge.words.errors import InboxUnavailable, RemoteUnavailable

_AGAIN_SECONDS = 2.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(tail)


def tail(
    source: Source = None,
    state: Annotated[str | None, typer.Option(help="Only in this state, of deliveries or of triggers.")] = None,
    reason: Why = None,
    delivery_id: Annotated[str | None, typer.Option("--delivery", help="Only this one, whenever it came.")] = None,
    pipeline: Pipeline = None,
    job: Job = None,
    run: Run = None,
    status: Ended = None,
    route: Annotated[str | None, typer.Option(help="Only what this route matched.")] = None,
    dag_id: Annotated[str | None, typer.Option("--dag", help="Only what starts this DAG.")] = None,
    airflow: Annotated[str | None, typer.Option(help="Only of this Airflow.")] = None,
    since: Since = None,
    lasting: Annotated[str | None, typer.Option("--for", help="End by itself after so long: 90s, 15m, 2h.")] = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Follow new deliveries and what becomes of them, a line each time that something changes, until Ctrl-C.

    Of a flood the newest 200 a second are shown. `--delivery` first shows how that one stands. `--json` prints a JSON
    object a line.
    """
    filters: dict[str, str | None] = {"source": source, "state": state, "reason": reason, "status": status}
    filters |= {"delivery_id": delivery_id, "pipeline_id": pipeline, "job_id": job, "run_id": run}
    filters |= {"route": route, "dag_id": dag_id, "airflow": airflow, "since": told_times(since, None)["since"]}
    query = {name: value for name, value in filters.items() if value is not None}
    with asking(url, token_file) as asked, _endable(lasting), contextlib.suppress(KeyboardInterrupt):
        for name, event in _forever(asked, query):
            if name == "skipped":
                say("... more came than is shown")
            elif name == "delivery":
                print(spell_json(event) if as_json else _line(event), flush=True)


def _forever(asked: Asked, query: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield events; a bridge ends its streams now and then, and may be away for a while."""
    last: dict[str, Any] | None = None
    while True:
        try:
            for name, event in asked.events("stream", **query):
                if name == "delivery" and "delivery_id" in query:
                    if event == last:  # a stream that begins again first says how it stands
                        continue
                    last = event
                elif name == "delivery":
                    query = {each: value for each, value in query.items() if each != "since"}
                    query["after"] = max(query.get("after", ""), event["delivery"]["id"])
                yield name, event
        except (RemoteUnavailable, InboxUnavailable) as error:
            say(f"{error}; trying again")
            time.sleep(_AGAIN_SECONDS)


@contextlib.contextmanager
def _endable(lasting: str | None) -> Iterator[None]:
    """Have Ctrl-C end it, also where a shell started it in the background, and the alarm as Ctrl-C does."""
    for_seconds = 0.0 if lasting is None else max(seconds(lasting, "--for"), 0.001)
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_REAL, for_seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _line(event: dict[str, Any]) -> str:
    delivery = event["delivery"]
    head = (local(delivery["received_at"]), delivery["id"], delivery["source"], delivery["pipeline_id"] or "-")
    return visible("  ".join((*head, _became(delivery, event["triggers"]))))


def _became(delivery: dict[str, Any], triggers: list[dict[str, Any]]) -> str:
    """Return what became of a delivery, in a few words."""
    if not triggers:
        return f"{delivery['state']}{_reason(delivery)}"
    return f"{delivery['state']}: " + ", ".join(f"{each['dag_id']} {_stands(each)}" for each in triggers)


def _stands(trigger: dict[str, Any]) -> str:
    run = f", run {trigger['run_state']}" if trigger["run_state"] else ""
    return f"{trigger['state']}{run}{_reason(trigger)}"


def _reason(item: dict[str, Any]) -> str:
    return f" ({item['reason']})" if item["reason"] else ""
