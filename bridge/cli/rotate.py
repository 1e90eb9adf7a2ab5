"""rotate: another secret for a source, without losing a webhook; stopped anywhere, the same command goes on.

The place for the new secret is an optional key of the source in bridge.yaml. With a manifest for Kubernetes, a person
applies the new secret and takes the old one away. No secret is ever printed.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.asking import TokenFile, Url, asking, seconds
from bridge.cli.output import visible
from bridge.cli.subscribing import SourceName, opened

if TYPE_CHECKING:
    from bridge.edges.journal import Journal
    from bridge.flows.rotating import Noted, SecretFile
    from bridge.flows.rotating.evidence import Ask
    from bridge.rules.sources import Source
    from bridge.words.findings import Finding
    from bridge.words.targets import KeyPlace


_Key = Annotated[str | None, typer.Option("--key", help="The optional key that gets the new secret.")]
_FormerKey = Annotated[str | None, typer.Option("--former-key", help="The key that is to be retired.")]
_Subscription = Annotated[
    str | None, typer.Option("--subscription", help="The id of the one to rotate, if several deliver here.")
]
_SecretOut = Annotated[
    Path | None, typer.Option("--secret-out", help="Where to write the new secret; default: the file of its key.")
]
_KubernetesSecret = Annotated[
    str | None, typer.Option(help="NAME/KEY: write a manifest of this Secret to --secret-out.")
]
_Wait = Annotated[str, typer.Option(help="How long this run may wait in all.")]
_Overlap = Annotated[str, typer.Option(help="How long both deliver once the new secret was proved.")]
_Quiet = Annotated[str, typer.Option(help="How long the old secret must be silent before it is retired.")]
_Untested = Annotated[bool, typer.Option("--untested", help="Send no test events to the public URL.")]
_Undo = Annotated[bool, typer.Option("--undo", help="Go back, as long as the first subscription is there.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(rotate)


def rotate(
    source: SourceName = None,
    key: _Key = None,
    former_key: _FormerKey = None,
    subscription: _Subscription = None,
    secret_out: _SecretOut = None,
    kubernetes_secret: _KubernetesSecret = None,
    wait: _Wait = "30m",
    overlap: _Overlap = "2m",
    quiet: _Quiet = "24h",
    untested: _Untested = False,
    undo: _Undo = False,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Rotate the secret of a source without losing a webhook; each run goes on where the last one stopped.

    Exit 0: done. Exit 1: not yet, and it says what is next.
    """
    from bridge.flows import rotating

    with ExitStack() as entered:
        chosen, api = entered.enter_context(opened(source))
        about = _source(chosen)
        place, file = _place(about, key, secret_out, kubernetes_secret)
        journal = entered.enter_context(_alone(file.path))
        former = _former(about, place, former_key, rotating.Noted.read(journal))
        what = rotating.Rotation(
            *(about, api, journal, place, former, file, _ask(entered, url, token_file), subscription),
            wait_seconds=seconds(wait, "--wait"),
            overlap_seconds=seconds(overlap, "--overlap"),
            quiet_seconds=seconds(quiet, "--quiet"),
            is_tested=not untested,
        )
        for found in [rotating.undo(what)] if undo else rotating.rotate(what):
            _print(found)


def _print(found: "Finding") -> None:
    """Print a step; Exit 1 for one that is not done."""
    from bridge.words.findings import Verdict

    is_done = found.verdict is Verdict.FINE
    print(visible(f"{'done' if is_done else 'not yet':<8} {found.step:<8} {found.about}: {found.says}"), flush=True)
    if not is_done:
        print(visible(f"         next: {found.next_step}"), flush=True)
        raise typer.Exit(1)


def _source(name: str) -> "Source":
    from bridge.cli import context

    return context.source(context.configuration_so_far(context.environment()), name)


def _place(
    source: "Source", key: str | None, out: Path | None, kubernetes_secret: str | None
) -> "tuple[KeyPlace, SecretFile]":
    """Return the key that gets the new secret, and the file: that of a rotation that was begun, or the empty one."""
    from bridge.flows.rotating import Noted

    if kubernetes_secret is not None and out is None:
        raise typer.BadParameter("a manifest needs --secret-out PATH", param_hint="--kubernetes-secret")
    found = [
        (each, _secret_file(out or Path(each.file), kubernetes_secret))
        for each in source.places
        if each.is_optional and each.file is not None and key in (None, each.id)
    ]
    if not found:
        raise typer.BadParameter(
            f"there is no place for the new secret: add {{id: NAME, file: PATH, optional: true}} under `secrets` of "
            f"source {source.name} in bridge.yaml, and restart the bridge once",
            param_hint="--key",
        )
    noted = [(each, Noted.read(_journal(file.path))) for each, file in found]
    begun = [each.id for each, item in noted if item is not None and item.key == each.id]
    free = begun or [each.id for each, _ in found if key is not None or not each.is_there]
    if len(free) != 1:
        says = f"say which: {', '.join(free)}" if free else "every optional key of this source has its secret already"
        raise typer.BadParameter(says, param_hint="--key")
    return next((each, file) for each, file in found if each.id == free[0])


def _former(source: "Source", place: "KeyPlace", given: str | None, noted: "Noted | None") -> "KeyPlace":
    """Return the key to retire: that of the rotation that was begun, the one given, or the only other one."""
    others = [each for each in source.places if each.id != place.id]
    wanted = noted.former_key if noted is not None else given
    fitting = [each for each in others if each.id == wanted] if wanted else [each for each in others if each.is_there]
    if not fitting and wanted is None:
        fitting = [each for each in others if not each.is_optional]  # a variable that is not set here
    if len(fitting) != 1:
        known = ", ".join(each.id for each in others) or "none"
        raise typer.BadParameter(f"say which key is to be retired; there is {known}", param_hint="--former-key")
    return fitting[0]


def _secret_file(path: Path, kubernetes_secret: str | None) -> "SecretFile":
    from bridge.edges.secret_out import manifest
    from bridge.flows.rotating import SecretFile

    if kubernetes_secret is None:
        return SecretFile(path, lambda secret: secret + "\n", lambda text: text.removesuffix("\n"))
    name, _, key = kubernetes_secret.partition("/")
    if not name or not key:
        raise typer.BadParameter(
            "give NAME/KEY, like planasonix-bridge/webhook-secret-b", param_hint="--kubernetes-secret"
        )
    return SecretFile(
        path,
        lambda secret: manifest(name, key, secret),
        lambda text: str(json.loads(text)["stringData"][key]),
        f"Run `kubectl -n NAMESPACE patch secret {name} --patch-file {path}`, which changes no other key.",
    )


def _journal(path: Path) -> "Journal":
    from bridge.edges.journal import Journal

    return Journal(path.with_name(f".{path.name}.rotation"))


@contextmanager
def _alone(path: Path) -> "Iterator[Journal]":
    """Give the journal beside the new secret, while no other run has it."""
    journal = _journal(path)
    with journal.alone() as is_alone:
        if not is_alone:
            raise typer.BadParameter(f"another run works in {path.parent}: wait for its end", param_hint="--secret-out")
        yield journal


def _ask(entered: ExitStack, url: str | None, token_file: Path | None) -> "Ask | None":
    """Return what answers as the admin API does; None if nobody does."""
    from bridge.words.errors import ConfigError

    try:
        return entered.enter_context(asking(url, token_file)).get
    except ConfigError:
        if url is not None:
            raise
        return None
