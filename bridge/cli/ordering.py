"""replay, cancel and orders: what is done with many deliveries or triggers, and how far it is."""

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.asking import Limit, Since, TokenFile, Until, Url, asking, pages, told_times
from bridge.cli.browse import Ended, Job, Pipeline, Run, Source, print_many
from bridge.cli.carrying_out import Wish, carry_out, confirm, count
from bridge.cli.output import AsJson, print_fields, print_json
from bridge.words.orders import DONE, Action, OrderState, undone
from bridge.words.reasons import Reason

Why = Annotated[str | None, typer.Option("--reason", help="Why, for the audit log. It filters nothing: see --cause.")]
WhyStop = Annotated[str | None, typer.Option("--reason", help="Why, for the audit log.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; do whatever matches by then.")]
Key = Annotated[str | None, typer.Option(help="The same order under the same key is carried out once.")]
Cause = Annotated[str | None, typer.Option("--cause", help="Only with this reason, as `causes` shows it.")]
Route = Annotated[str | None, typer.Option(help="Only triggers of this route.")]
Dag = Annotated[str | None, typer.Option("--dag", help="Only for this DAG.")]
Airflow = Annotated[str | None, typer.Option(help="Only of this Airflow.")]
Of = Annotated[str | None, typer.Option("--delivery", help="Only of this delivery.")]
Follow = Annotated[
    bool, typer.Option("--follow", help="Then watch until the DAG runs have ended. Exit 1 if one did not succeed.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count, and do nothing. Exit 1 if nothing matches.")]
AtMost = Annotated[int | None, typer.Option("--limit", min=1, max=100_000, help="At most so many, the oldest first.")]
Where = tuple[str | None, Path | None]  # --url and --token-file


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(replay)
    app.command()(cancel)
    app.command()(orders)


def replay(
    ids: Annotated[list[str] | None, typer.Argument(help="Deliveries (dlv_...) or triggers (trg_...).")] = None,
    state: Annotated[str | None, typer.Option(help="All in this state: failed, unrouted, stale, ...")] = None,
    run_state: Annotated[str | None, typer.Option(help="All whose DAG run is in this state: failed, ...")] = None,
    cause: Cause = None,
    route: Route = None,
    dag_id: Dag = None,
    airflow: Airflow = None,
    source: Source = None,
    delivery_id: Of = None,
    pipeline: Pipeline = None,
    job: Job = None,
    run: Run = None,
    status: Ended = None,
    since: Since = None,
    until: Until = None,
    run_again: Annotated[bool, typer.Option("--run-again", help="Start new runs, under new DAG run ids.")] = False,
    reason: Why = None,
    key: Key = None,
    limit: AtMost = None,
    dry_run: DryRun = False,
    follow: Follow = False,
    yes: Yes = False,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Fire triggers, or route deliveries, once more. The DAG run id stays, so nothing runs twice by it.

    It shows how far it is until all is done; Ctrl-C stops it. Exit 1 if nothing was done, or not all of it.
    """
    filters = _filters(
        since, until, state=state, run_state=run_state, reason=cause, route=route, dag_id=dag_id, airflow=airflow,
        source=source, delivery_id=delivery_id, pipeline_id=pipeline, job_id=job, run_id=run, status=status,
    )  # fmt: skip
    action = Action.RUN_AGAIN if run_again else Action.REPLAY
    wish = Wish(action, ids or [], filters, reason, key or _own_key(), limit, yes)
    if follow and key is not None and not ids:
        raise typer.BadParameter("--follow with --key needs ids: a filter means others the next time")
    (_count if dry_run else _do_and_follow if follow else _do)(_checked(wish), (url, token_file), as_json)


def cancel(
    ids: Annotated[list[str] | None, typer.Argument(help="Triggers (trg_...).")] = None,
    state: Annotated[str | None, typer.Option(help="All in this state: pending, held or failed.")] = None,
    cause: Cause = None,
    route: Route = None,
    dag_id: Dag = None,
    airflow: Airflow = None,
    source: Source = None,
    delivery_id: Of = None,
    pipeline: Pipeline = None,
    job: Job = None,
    run: Run = None,
    status: Ended = None,
    since: Since = None,
    until: Until = None,
    reason: Why = None,
    key: Key = None,
    limit: AtMost = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Give up triggers that wait or failed. What is being fired, or was, stays as it is.

    Exit 1 if nothing was cancelled, or not all of it.
    """
    filters = _filters(
        since, until, state=state, reason=cause, route=route, dag_id=dag_id, airflow=airflow,
        source=source, delivery_id=delivery_id, pipeline_id=pipeline, job_id=job, run_id=run, status=status,
    )  # fmt: skip
    wish = Wish(Action.CANCEL, ids or [], filters, reason, key or _own_key(), limit, yes)
    (_count if dry_run else _do)(_checked(wish), (url, token_file), as_json)


def orders(
    order_id: Annotated[str | None, typer.Argument(help="Show this one whole.")] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Let it do nothing more; what it has done stays.")] = False,
    reason: WhyStop = None,
    limit: Limit = 20,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """List orders (a replay or a cancel of many), or show one and how far it is. Exit 1 if there is none."""
    if stop and order_id is None:
        raise typer.BadParameter("say which order to stop")
    with asking(url, token_file) as asked:
        if order_id is not None:
            said = {} if reason is None else {"reason": reason}
            order = asked.post("orders/{id}/stop", said, order_id) if stop else asked.get("orders", order_id)
            (print_json if as_json else print_fields)(order)
            return
        found = pages(asked, "orders", {}, limit=limit)
    print_many(found, ("id", "placed_at", "action", "state", "done", "count", "actor", "reason"), as_json)


def _filters(since: str | None, until: str | None, **filters: str | None) -> dict[str, str]:
    """Return a filter as the API takes it.

    `2h` stays as it was typed, so that the same words under the same key are the same order whenever they are sent.
    """
    times = told_times(since, until)
    for name, text in (("since", since), ("until", until)):
        if text is not None and ".." not in text and text[-1:] in tuple("smhd"):
            times[name] = text
    return {name: str(value) for name, value in (filters | times).items() if value is not None}


def _checked(wish: Wish) -> Wish:
    """Refuse what would mean far more than the person does, since a condition would be left out.

    A reason of the bridge's where talk is expected: lists filter by `--reason`, orders by `--cause`. And filters beside
    ids, which mean all that they name.
    """
    if wish.ids and wish.filters:
        what = f"give ids or filters, not both ({', '.join(wish.filters)}); --delivery ID is a filter, too"
        raise typer.BadParameter(what)
    if not wish.ids and "reason" not in wish.filters and wish.reason in set(Reason):
        what = f"it is for the audit log, and filters nothing: write --cause {wish.reason}"
        raise typer.BadParameter(what, param_hint="--reason")
    return wish


def _own_key() -> str:
    """Return a key for an order whose person gave none, so that sending it twice is safe."""
    return f"cli-{uuid.uuid4()}"


def _count(wish: Wish, where: Where, as_json: bool) -> None:
    with asking(*where) as asked:
        amount = count(asked, wish)
    if as_json:
        print_json({"count": amount, wish.name: {}})
    else:
        typer.echo(f"{amount} match; nothing was done")
    if not amount:
        raise typer.Exit(1)


def _do(wish: Wish, where: Where, as_json: bool) -> None:
    """Do it, and print what became of it. Exit 1 if nothing was done, or not all of it."""
    with asking(*where) as asked:
        order = carry_out(asked, wish)
    _print(_answer(wish, order), as_json)
    if not _is_whole(order):
        raise typer.Exit(1)


def _do_and_follow(wish: Wish, where: Where, as_json: bool) -> None:
    """Do it, watch what comes of it, and print both. Exit 1 if not all of it succeeded."""
    from bridge.cli import outcome

    with asking(*where) as asked:
        ids = wish.ids or outcome.chosen(asked, wish.filters, limit=wish.limit)
        if not wish.ids:
            confirm(len(ids), wish)
        items = outcome.items_of(asked, ids)
        order = carry_out(asked, replace(wish, ids=ids, limit=None)) if ids else None
        followed = outcome.follow(asked, items) if _is_begun(order) else {}
    _print(_answer(wish, order) | {"followed": followed}, as_json)
    if not _is_whole(order) or not followed or followed["success"] < sum(followed.values()):
        raise typer.Exit(1)


def _is_whole(order: dict[str, Any] | None) -> bool:
    """Whether all of it was done: an item that was left as it is has an outcome, too."""
    return order is not None and order["state"] != OrderState.STOPPED and not undone(order["outcomes"])


def _is_begun(order: dict[str, Any] | None) -> bool:
    """Whether there is something to watch: it was not stopped, and something was done."""
    return order is not None and order["state"] != OrderState.STOPPED and not DONE.isdisjoint(order["outcomes"])


def _answer(wish: Wish, order: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "count": 0 if order is None else order["count"],
        wish.name: {} if order is None else order["outcomes"],
    }


def _print(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    for amounts in answer.values():
        if isinstance(amounts, dict):
            for name, amount in sorted(amounts.items()):
                typer.echo(f"{amount}  {name}")
