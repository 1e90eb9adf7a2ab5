"""init: the first files of an installation, from a few answers.

1. What no flag says is asked for: seven questions at most, each with its default. Without a terminal nothing is asked.
2. The files are made and read as `serve` and `test` would; a mistake in an answer is said, and nothing is written.
3. If one of the files is there already, nothing is written.
4. The three next steps are printed.
"""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli import starting
from bridge.cli.next_steps import next_steps
from bridge.cli.output import say
from bridge.cli.starting import Answers, Place, SignIn

_IS_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")  # as ids of an event are read
_OPEN, _CLOSED = 0o755, 0o700  # folders: the container's user reads config/; secrets/ is for its owner


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="init")(init)


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if it is not there.")] = Path(),
    kubernetes: Annotated[bool, typer.Option("--kubernetes", help="For the chart.")] = False,
    compose: Annotated[bool, typer.Option("--compose", help="For Docker Compose or Podman.")] = False,
    systemd: Annotated[bool, typer.Option("--systemd", help="For a plain machine.")] = False,
    here: Annotated[
        bool, typer.Option("--here", help="For a process started by hand, its secrets in variables.")
    ] = False,
    airflow_url: Annotated[str | None, typer.Option(help="Where Airflow is.")] = None,
    sign_in: Annotated[SignIn | None, typer.Option(help="How to sign in at Airflow.")] = None,
    signature: Annotated[
        str | None, typer.Option(help=f"How webhooks are signed: {', '.join(starting.SIGNATURES)}.")
    ] = None,
    pipeline: Annotated[str | None, typer.Option(help="The id of a first pipeline.")] = None,
    dag: Annotated[str | None, typer.Option(help="The DAG that it starts.")] = None,
    store: Annotated[
        str | None, typer.Option(help="sqlite, or postgresql://user@host/database (its password is a secret).")
    ] = None,
    image: Annotated[str | None, typer.Option(help="The image, for Kubernetes and Compose; never asked for.")] = None,
) -> None:
    """Write the first bridge.yaml, mapping.yaml, a test, and what the place needs; overwrites nothing.

    Asks for what no option says, if there is a terminal.
    """
    places = dict(zip(Place, (kubernetes, compose, systemd, here), strict=True))
    place = _place([item for item, is_chosen in places.items() if is_chosen])
    answers = Answers(
        place=place,
        airflow_url=_answer("Airflow's address", "--airflow-url", airflow_url, starting.AIRFLOWS[place]),
        sign_in=SignIn(_choice("Sign in at Airflow by", "--sign-in", sign_in, [*map(str, SignIn)], "password")),
        signature=_choice("Webhooks are signed as", "--signature", signature, starting.SIGNATURES, "planasonix"),
        pipeline=_answer("The id of a first pipeline", "--pipeline", pipeline, None),
        dag=_answer("The DAG that it starts", "--dag", dag, None),
        store=_store(place, store),
        image=image or "",
    )
    _check(answers)
    _write(folder, starting.files(answers))
    _say_next(folder, answers)


def _say_next(folder: Path, answers: Answers) -> None:
    """Print what was written, and the three steps."""
    print(f"written: {', '.join(sorted(starting.files(answers)))}" + ("" if folder == Path() else f" (in {folder})"))
    print("\nNext:" if folder == Path() else f"\nNext, in {folder}:")
    for number, step in enumerate(next_steps(answers), 1):
        print(f"{number}. {step}")


def _place(chosen: list[Place]) -> Place:
    if len(chosen) > 1:
        raise typer.BadParameter(f"choose one of {', '.join(f'--{item}' for item in chosen)}")
    if chosen:
        return chosen[0]
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"say where it will run: {', '.join(f'--{item}' for item in Place)}")
    return Place(_choice("Where will it run", "", None, [*map(str, Place)], "kubernetes"))


def _store(place: Place, given: str | None) -> str:
    if place is not Place.COMPOSE:
        return _answer("Store: sqlite, or postgresql://...", "--store", given, "sqlite")
    if given is not None:
        raise typer.BadParameter("with --compose the store is the PostgreSQL of compose.yaml", param_hint="--store")
    return "compose"


def _answer(question: str, option: str, given: str | None, default: str | None) -> str:
    """Return what was given, or answered; without a terminal the default, and exit 2 where there is none."""
    if given is not None:
        return given
    if sys.stdin.isatty():
        return str(typer.prompt(question, default=default, err=True)).strip()
    if default is None:
        raise typer.BadParameter("is missing, and there is no terminal to ask at", param_hint=option)
    return default


def _choice(question: str, option: str, given: str | None, known: Sequence[str], default: str) -> str:
    """Return one of the known words; asked again until it is one."""
    while (found := _answer(f"{question} ({', '.join(known)})", option, given, default)) not in known:
        if given is not None:
            raise typer.BadParameter(f"is one of {', '.join(known)}", param_hint=option)
        say(f"that is none of {', '.join(known)}")
    return found


def _check(answers: Answers) -> None:
    """Read what will be written as `check` and `test` read it. Raises ConfigError, BadParameter."""
    from bridge.edges.settings import read_config_without_secrets
    from bridge.edges.settings.database_url import check_database_url
    from bridge.rules.mapping import read

    if not _IS_ID.fullmatch(answers.pipeline):
        raise typer.BadParameter(
            "is not an id: letters, digits and `_.:-`; patterns come later", param_hint="--pipeline"
        )
    if not answers.dag or set(answers.dag) & set("{}"):
        raise typer.BadParameter("is the id of a DAG", param_hint="--dag")
    if answers.place is not Place.COMPOSE and answers.store != "sqlite":
        try:
            check_database_url(answers.store)
        except ValueError as error:
            raise typer.BadParameter(f"{error}", param_hint="--store") from None
        if not answers.store.startswith("postgresql://") or ":" in answers.store.partition("://")[2].rpartition("@")[0]:
            raise typer.BadParameter(
                "is sqlite, or postgresql://user@host/database without a password", param_hint="--store"
            )
        if set(answers.store) & set("\"'\\ $"):
            raise typer.BadParameter("has a quote, a blank, a $ or a backslash: write it as %XX", param_hint="--store")
    read_config_without_secrets(starting.bridge_yaml(answers), file="config/bridge.yaml", base_dir=Path())
    read(starting.mapping_yaml(answers), file="config/mapping.yaml", airflows=["default"], sources=["planasonix"])


def _write(folder: Path, files: dict[str, str]) -> None:
    """Write all of them or none. A container reads them, so all may; the folder of secrets is for its owner alone."""
    if there := [name for name in files if os.path.lexists(folder / name)]:
        say(f"error: {', '.join(there)}: there already, so nothing was written; name another folder")
        raise typer.Exit(2)
    written: list[Path] = []
    try:
        for name, text in files.items():
            path = folder / name
            _make_folder(path.parent, mode=_CLOSED if path.parent.name == "secrets" else _OPEN)
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                path.chmod(0o644)
                file.write(text)
    except OSError:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _make_folder(folder: Path, *, mode: int) -> None:
    """Make it, and those above it that are not there, whatever the umask; one that is there stays as it is."""
    if not folder.exists():
        _make_folder(folder.parent, mode=_OPEN)
        folder.mkdir()
        folder.chmod(mode)
