"""notify: who is notified of what needs a person, what stands sent, and whether a message reaches them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.output import AsJson, print_json, print_table, say

if TYPE_CHECKING:
    from bridge.edges.settings import Environment
    from bridge.words.targets import NotifyTarget


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(notify)


def notify(
    test: Annotated[bool, typer.Option("--test", help="Send each of them a message now.")] = False,
    as_json: AsJson = False,
) -> None:
    """List who is notified, and of what. Exit 1 if messages do not reach one of them, or nobody is notified."""
    from bridge.cli import context

    settings = context.environment()
    targets = context.configuration(settings).notify
    found = _tested(settings, targets) if test else _known(settings, targets)
    if as_json:
        print_json({"targets": found})
    elif found:
        last = "outcome" if test else "problem"
        rows = [(each["to"], " ".join(each["on"]), each["after"], each["problem"] or "sent" * test) for each in found]
        print_table(("to", "on", "after", last), rows)
    if not found:
        say("nobody is notified: bridge.yaml has no `notify`")
    if not found or any(each["problem"] for each in found):
        raise typer.Exit(1)


def _view(target: "NotifyTarget", problem: str | None) -> dict[str, Any]:
    return {
        "to": target.name,
        "on": sorted(target.on),
        "after": f"{target.after_seconds:g}s",
        "problem": problem,
    }


def _known(settings: "Environment", targets: "tuple[NotifyTarget, ...]") -> list[dict[str, Any]]:
    """Return every target with what the store says of it."""
    from bridge.cli import context
    from bridge.edges.inbox import notices

    with context.store(settings) as inbox:
        problems = {each.to: each.problem for each in inbox.read(notices.failing)}
    return [_view(target, problems.get(target.name)) for target in targets]


def _tested(settings: "Environment", targets: "tuple[NotifyTarget, ...]") -> list[dict[str, Any]]:
    """Send all of them a message at once, and return how each ended. Raises ConfigError without apprise."""
    from bridge.edges import notifier
    from bridge.words.errors import ConfigError, Problem
    from bridge.words.notices import Kind, Message

    if targets and not notifier.is_installed():
        raise ConfigError([Problem("notify", 0, 0, "apprise is missing: pip install 'planasonix-bridge[notify]'")])
    text = "This is a test. Nothing is wrong." + (f"\n\n{settings.public_admin_url}" * bool(settings.public_admin_url))
    message = Message(Kind.OVER, "Planasonix to Airflow bridge: a test", text)
    under_way = [(target, notifier.Sending(target.url, [message])) for target in targets]
    found = []
    for target, sending in under_way:
        sending.wait(notifier.DEADLINE_SECONDS)
        (problem,) = sending.outcome()
        found.append(_view(target, problem))
        if problem is None:
            _note(settings, target)
    return found


def _note(settings: "Environment", target: "NotifyTarget") -> None:
    """Have the store forget that messages do not reach a target; where it cannot be opened, a later message does it."""
    from bridge.cli import context
    from bridge.edges.inbox import notices
    from bridge.words.errors import BridgeError

    try:
        with context.store(settings) as inbox:
            inbox.write(notices.works, target.name)
    except BridgeError as error:
        say(f"the store was not reached, so `status` does not know yet: {error}")
