"""status: all is well, or what is not and the next step of each. For people at 3 am; for scripts, the exit code."""

from typing import Any

import typer

from bridge.cli.asking import TokenFile, Url, asking
from bridge.cli.output import AsJson, local, print_json, visible

_SHOWN = 8  # with what to do, so that it stays one screen
_NAMED = 30  # those and the following, in one line each
_IN_USE = {"last_good": "its last good content", "nothing": "nothing of it"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(url: Url = None, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """Say that all is well, or what needs a person and the next step of each. Exit 0 if all is well, else 1.

    Beside the store it also says if no bridge serves it. Of a running bridge (--url) it says what only that one knows,
    too: its Airflows, a pace below the settings, an encryption under way, and what is wrong with mapping files, secrets
    and key sets. With --json also what is well of them.
    """
    with asking(url, token_file) as asked:
        answer = asked.get("status")
    if as_json:
        print_json(answer)
    else:
        print_status(answer)
    if not answer["is_well"]:
        raise typer.Exit(1)


def print_status(answer: dict[str, Any]) -> None:
    """Print what `GET /api/v1/status` answers, or the store beside."""
    needs = answer["needs"]
    if not needs:
        print("all is well")
    else:
        print(f"{len(needs)} thing{'s' * (len(needs) > 1)} need{'s' * (len(needs) == 1)} you")
    _print_needs(needs, "", "more: --json has them all, `causes` those of triggers and DAG runs")
    notes = answer.get("notes", [])  # a bridge of the release before sends none
    _print_needs(notes, "note: ", "more notes: --json has them all, `pause` what is paused")
    print()
    for name, each in answer["waiting"].items():
        oldest = f", the oldest since {local(each['oldest'])}" if each["oldest"] else ""
        print(f"{name.ljust(9)} {each['count']}{oldest}")
    for source in answer["sources"]:
        _print_source(source)
    for replica in answer.get("replicas", ()):  # a bridge of the release before tells of none
        since = local(replica["loaded_at"])
        print(visible(f"replica {replica['host']} {replica['replica']}: mapping {replica['mapping']} since {since}"))
    _print_running(answer)


def _print_running(answer: dict[str, Any]) -> None:
    """Print what only a running bridge knows; the store beside tells none of it."""
    for airflow in answer.get("airflows", ()):
        print(visible(f"Airflow {airflow['name']}: {_state(airflow)}{_pace(airflow)}{_waits(airflow)}"))
    for file in answer.get("mapping", {}).get("files", ()):
        if file["in_use"] != "newest":
            owner = f" of {file['owner']}" if file["owner"] else ""
            print(visible(f"mapping file {file['file']}{owner}: in use is {_IN_USE[file['in_use']]}"))
    encryption = answer.get("encryption")
    if encryption and not encryption["is_done"]:
        locked = f", {encryption['locked']} that no key opens" if encryption["locked"] else ""
        says = f"at {encryption['table']}, {encryption['rewritten']} rows rewritten{locked}"
        print(visible(f"encryption with key {encryption['key']}: {says}"))


def _state(airflow: dict[str, Any]) -> str:
    """Return whether an Airflow is well; one that a person has paused may be down as well."""
    pause = airflow.get("paused")  # a bridge of the release before does not tell
    found = [_paused(pause)] if pause else []
    return ", ".join(found + ([airflow["reason"]] if not airflow["is_available"] else [])) or "well"


def _paused(pause: dict[str, Any]) -> str:
    until = f"until {local(pause['ends_at'])}" if pause["ends_at"] else "until somebody resumes it"
    return f"paused by {pause['actor']} {until}"


def _pace(airflow: dict[str, Any]) -> str:
    pace = airflow.get("pace")
    if not (pace and pace["is_eased"]):
        return ""
    return f", slowed down ({pace['strain']}): {pace['concurrency']} calls at once, {pace['rate']:g} a second"


def _waits(airflow: dict[str, Any]) -> str:
    found = airflow.get("waits")
    waits = f", {found['open']} tasks wait to be woken" if found and found["open"] else ""
    if found and found.get("abandoned"):
        waits += f", {found['abandoned']} runs perhaps to be cancelled"
    return waits


def _print_source(source: dict[str, Any]) -> None:
    heard = local(source["last_delivery"]) if source["last_delivery"] else "never"
    refused = source.get("last_refusal")  # a bridge of the release before does not tell
    last = f", last refused {local(refused)} ({source['last_refusal_reason']})" if refused else ""
    if not refused and "last_refusal" in source:
        last = ", none of the last 1000 refusals"  # all sources share them
    pause, silent = source.get("paused"), source.get("silent_since")  # nor of these
    state = f", {_paused(pause)}" if pause else ""
    state += f", silent for too long since {local(silent)}" if silent else ""
    print(visible(f"source {source['name']}: last webhook {heard}{last}{state}"))


def _print_needs(needs: list[dict[str, Any]], mark: str, more: str) -> None:
    """Print the first ones with what to do, others in a line each, and how many there are beyond."""
    for need in needs[:_SHOWN]:
        _print_need(need, mark)
    if len(needs) > _SHOWN:
        print(f"\n{mark}also, without the next step (--json has it):")
    for need in needs[_SHOWN:_NAMED]:
        reason = f" ({need['reason']})" if need["reason"] else ""
        print(visible(f"  {need['what']}: {need['about']}: {need['count']}{reason}"))
    if len(needs) > _NAMED:
        print(f"\nand {len(needs) - _NAMED} {more}")


def _print_need(need: dict[str, Any], mark: str = "") -> None:
    since = f", since {local(need['since'])}" if need["since"] else ""
    since += f", until {local(need['ends_at'])}" if need.get("ends_at") else ""  # not of the release before
    example = f" ({need['example']})" if need["example"] else ""
    print(visible(f"\n{mark}{need['what']}: {need['about']}: {need['count']}{since}{example}".strip("\n")))
    print(visible(f"  {need['says']}"))
    print(visible(f"  next: {need['next_step']}"))
