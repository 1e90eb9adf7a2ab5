"""explain: what an event would start, before anything is sent."""

import sys
from collections.abc import Mapping as AnyMapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.asking import TokenFile, Url
from bridge.cli.output import AsJson, print_json, print_table, say, spell_json

if TYPE_CHECKING:
    from bridge.edges.remote import Remote
    from bridge.edges.settings import Config, Environment
    from bridge.rules.hops import Cause, Chain, Link
    from bridge.rules.mapping import Mapping
    from bridge.rules.planning import Plan, Subject
    from bridge.rules.sources import Source
    from bridge.words.model import Event


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)


def explain(
    payload: Annotated[str | None, typer.Argument(help="A JSON file with a webhook's body, or - for stdin.")] = None,
    delivery: Annotated[str | None, typer.Option("--delivery", help="Use a stored delivery instead.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Which source sent it.")] = None,
    pipeline_id: Annotated[str | None, typer.Option("--pipeline-id", help="As if sent to the URL of it.")] = None,
    expect: Annotated[
        str | None,
        typer.Option("--expect", metavar="DAG,DAG", help="Exit 1 unless exactly these DAGs would be started."),
    ] = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Show which routes match, why the others do not, and the exact calls; sends nothing. Needs no secret.

    The mapping is the one here, also for a delivery of a running bridge (`--url`, an operator's token).
    Exit 1: no DAG run would be started, or other ones than expected, or a route would fail on this event.
    """
    from bridge.cli import context
    from bridge.rules.planning import plan

    if (payload is None) == (delivery is None):
        raise typer.BadParameter("give a payload file, or --delivery ID")
    if delivery is None and (url or token_file):
        raise typer.BadParameter("a running bridge has deliveries: give --delivery ID", param_hint="--url")
    environment = context.file_settings() if delivery is None else context.environment()
    config = context.configuration_without_secrets(environment)
    mapping = context.mapping(environment.mapping, config, pages_url=environment.public_admin_url)
    if context.is_without_secrets(environment, config):
        context.note_no_secret(config.absent)
    if delivery is not None:
        bridge = context.remote(environment, url, token_file)
        planned = (partial(_plan_asked, bridge) if bridge else _plan_stored)(environment, config, mapping, delivery)
    else:
        about = _imagined(context.source(config, source), str(payload), pipeline_id)
        planned = plan(about, mapping, new_trigger_id=_no_id, max_hops=environment.max_hops)
    _print(planned, as_json=as_json)
    if not (planned.would_start if expect is None else _is_as_expected(planned, expect)):
        raise typer.Exit(1)


def _is_as_expected(plan: "Plan", expect: str) -> bool:
    """Say which DAGs differ from `dag_a,dag_b`; an empty text expects none. A route that fails is never expected."""
    from bridge.words.model import TriggerState

    wanted = sorted(filter(None, map(str.strip, expect.split(","))))
    started = sorted(planned.dag_id for planned in plan.triggers if planned.state is TriggerState.PENDING)
    if started != wanted:
        say(f"expected: {', '.join(wanted) or 'nothing'}; would be started: {', '.join(started) or 'nothing'}")
    return started == wanted and len(started) == len(plan.triggers)


def _no_id() -> str:
    return "trg_0000000000000000"


def _plan_stored(environment: "Environment", config: "Config", mapping: "Mapping", delivery_id: str) -> "Plan":
    from bridge.cli import context
    from bridge.edges.inbox import deliveries
    from bridge.flows.routing.tracing import plan_traced
    from bridge.rules.event import USUAL
    from bridge.rules.planning import ERASED, Subject
    from bridge.words.errors import BadFilter, NotThere

    with context.store(environment) as inbox:
        found = inbox.read(deliveries.get, delivery_id)
        if found is None:
            raise NotThere(f"no delivery {delivery_id}")
        if found.erased_at is not None:
            raise BadFilter(f"{found.id}: {ERASED}")
        source = config.sources.get(found.source)
        about = Subject.of(found, spelling=source.spelling if source else USUAL)
        return plan_traced(inbox, about, mapping, max_hops=environment.max_hops, new_trigger_id=_no_id)


def _plan_asked(
    bridge: "Remote", environment: "Environment", config: "Config", mapping: "Mapping", delivery_id: str
) -> "Plan":
    """Plan a delivery of a running bridge. Raises ConfigError, RemoteUnavailable, NotThere, BadFilter and Locked."""
    from bridge.cli.received import subject_of
    from bridge.flows.routing.tracing import plan_with

    shown = bridge.get("deliveries", delivery_id)
    item = shown | {"url_pipeline": shown["path_pipeline_id"], "job": shown["lookup"], "spelling": None}
    spellings = {name: each.spelling for name, each in config.sources.items()}
    about = subject_of(item, _body(shown), spellings)
    return plan_with(
        lambda cause: _trace(bridge, shown["caused_by"], cause),
        about,
        mapping,
        max_hops=environment.max_hops,
        new_trigger_id=_no_id,
    )


def _body(shown: AnyMapping[str, Any]) -> bytes:
    """Return the body of a delivery that a running bridge shows.

    Raises ConfigError if it is withheld, BadFilter if it was erased, and Locked.
    """
    from bridge.rules.planning import ERASED
    from bridge.words.errors import BadFilter, ConfigError, Locked, Problem

    if "withheld" in shown:
        what = "this token may not see bodies: explain --delivery needs the token of an operator"
        raise ConfigError([Problem("--token-file", 0, 0, what)])
    if shown["erased_at"] is not None:
        raise BadFilter(f"{shown['id']}: {ERASED}")
    if shown["body"] is None:
        raise Locked(f"{shown['id']}: {shown['locked']}")
    return str(shown["body"]).encode()


def _trace(bridge: "Remote", caused_by: str | None, cause: "Cause") -> "Chain":
    """Ask for the trigger that led to a delivery, and for what led to that one; empty if the bridge has none of it.

    `caused_by`: the trigger, as routing noted it. Without it only triggers that the event names by their ids are found.
    """
    from bridge.rules.hops import MOST_LINKS, Chain, carried
    from bridge.words.errors import NotThere

    for trigger_id in filter(None, (caused_by, *cause.trigger_ids)):
        try:
            found = bridge.get("triggers", trigger_id)
        except NotThere:
            continue
        links = (_link(found["id"], found), *(_link(each["trigger_id"], each) for each in reversed(found["chain"])))
        own = (found["conf"] or {}).get("planasonix")
        return Chain(links[:MOST_LINKS], (carried(own.get("hops")) or 0) if isinstance(own, dict) else 0)
    return Chain()


def _link(trigger_id: str, shown: AnyMapping[str, Any]) -> "Link":
    from bridge.rules.hops import Link

    place = (shown["route"], shown["airflow"], shown["dag_id"], shown["dag_run_id"] or "")
    return Link(trigger_id, shown["delivery_id"], *place)


def _imagined(source: "Source", payload: str, pipeline_id: str | None) -> "Subject":
    from bridge.rules.planning import Subject
    from bridge.rules.views import instant

    body = sys.stdin.buffer.read() if payload == "-" else Path(payload).read_bytes()
    now = instant(datetime.now(UTC)) or ""
    return Subject("dlv_0000000000000000", source.name, now, source.kept(body), pipeline_id, spelling=source.spelling)


def _print_event(event: "Event") -> None:
    """Print each field that was read, and where it was found."""
    from bridge.rules.mapping import event_fields

    fields = event_fields(event)
    rows = [(name, spell_json(fields.get(name)), where) for name, where in event.origins.items() if name in fields]
    if rows:
        print_table(("field", "value", "from"), rows)
    for note in event.notes:
        print(f"note: {note}")


def _print(plan: "Plan", *, as_json: bool) -> None:
    if as_json:
        from bridge.rules import views

        print_json(views.plan(plan))
    else:
        _print_plan(plan)


def _print_plan(plan: "Plan") -> None:
    """Print a plan for people: the state, the routes, then the calls."""
    print(f"delivery: {plan.state}" + (f" ({plan.reason}: {plan.reason.why})" if plan.reason else ""))
    if plan.detail:
        print(f"detail: {plan.detail}")
    if plan.event is not None:
        _print_event(plan.event)
    if plan.verdicts:
        print_table(
            ("route", "matches", "because"),
            [(item.route.name, "yes" if item.matches else "no", item.because) for item in plan.verdicts],
        )
    for planned in plan.triggers:
        if planned.call is None:
            print(f"\n{planned.route.name} -> {planned.dag_id}: {planned.state} ({planned.reason}) {planned.detail}")
            continue
        call = planned.call
        print(f"\n{planned.route.name} -> POST dagRuns of {call.dag_id} at Airflow {call.airflow!r}")
        print(f"dag_run_id: {call.dag_run_id}")
        if call.note is not None:
            print(f"note: {call.note}")
        print(f"conf: {spell_json(call.conf, indent=2)}")
        if rivals := plan.rivals(planned):
            print(f"also started by {', '.join(rivals)}; conf.planasonix.route tells the runs apart")
        if planned.reason is not None:
            print(f"{planned.state}: {planned.reason} ({planned.detail or planned.reason.why})")
    if plan.wants_lookup:
        say("note: the event lacks what a route asks for; serve asks the Planasonix API for it if the source has `api`")
