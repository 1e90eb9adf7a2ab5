"""why: the whole story of whatever has an id, or why nothing came of a pipeline. For people at 3 am."""

from typing import Annotated, Any

import typer

from bridge.cli.asking import Since, TokenFile, Until, Url, asking, told_times
from bridge.cli.output import AsJson, local, print_json, print_table, say, visible
from bridge.rules import stories

_OPTIONS = {"pipeline": "--pipeline", "job": "--job", "run": "--run"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(why)


def why(
    id_: Annotated[
        str,
        typer.Argument(metavar="ID", help="Of an event, delivery, trigger, job, run, backfill, DAG run or pipeline."),
    ],
    since: Since = None,
    until: Until = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell the whole story of whatever has this id, newest first. Exit 1 if nothing came, with what says so."""
    times = {name: value for name, value in told_times(since, until).items() if value is not None}
    with asking(url, token_file) as asked:
        answer = asked.get("why", id_, **times)
    if as_json:
        print_json(answer)
    else:
        for story in answer["stories"]:
            _print_story(story)
        if answer["silence"] is not None:
            _print_silence(answer["id"], answer["silence"])
        _say_what_is_not_shown(answer)
    if not answer["stories"]:
        raise typer.Exit(1)


def _say_what_is_not_shown(answer: dict[str, Any]) -> None:
    if answer["unread"]:
        say(visible(stories.says_unread(answer["unread"])))
    if answer["is_cut"]:
        option = _OPTIONS.get(answer["kind"])
        list_ = f", or `planasonix-bridge deliveries {option} {answer['id']}`" if option else ""
        say(visible(f"only the newest {len(answer['stories'])} are shown; narrow --since{list_}"))


def _print_story(story: dict[str, Any]) -> None:
    delivery = story["delivery"]
    pipeline = f", pipeline {delivery['pipeline_id']}" if delivery["pipeline_id"] else ""
    print(visible(f"{delivery['id']} of source {delivery['source']}{pipeline}: {delivery['state']}"))
    for step in story["steps"]:
        at = local(step["at"]) if step["at"] else ""
        signed = f", signed {local(step['signed_at'])}" if step.get("signed_at") else ""
        print(visible(f"  {at.ljust(25)} {step['what'].ljust(10)} {step['says']}{signed}".rstrip()))
    for trigger in story["triggers"]:
        if trigger["link"]:
            print(visible(f"  {trigger['id']}: {trigger['link']}"))
        if trigger["dag"] and trigger["dag"]["state"] != "ok":
            print(visible(f"  {trigger['id']}: DAG {trigger['dag_id']} is {trigger['dag']['state']}"))
    for copy in story["copies"]:
        print(visible(f"  the same completion: {copy['id']}, {copy['state']}, {local(copy['received_at'])}"))
    if story["routes"]:
        print()
        rows = [(each["route"], "yes" if each["matches"] else "no", each["because"]) for each in story["routes"]]
        print_table(("route", "matches", "because"), rows)
    elif story["note"]:
        print(visible(f"  {story['note']}"))
    print(visible(f"\nnext: {story['next_step']}\n"))


def _print_silence(id_: str, silence: dict[str, Any]) -> None:
    print(visible(f"nothing of {id_} came between {local(silence['since'])} and {local(silence['until'])}"))
    other = silence["at_another_time"]
    if other is not None:
        print(visible(f"  it came at another time: {other['id']}, {other['state']}, {local(other['received_at'])}"))
    for name, at in silence["sources"].items():
        print(visible(f"  source {name}: last webhook {local(at)}"))
    for each in silence["refusals"]:
        keys = " ".join(each["keys_tried"]) or "no key"
        print(visible(f"  refused {local(each['at'])}: {each['source']}, {each['reason']}, {each['sender']}, {keys}"))
    print(visible(f"\nnext: {silence['next_step']}"))
