"""send: sign a payload as the source's sender does, and post it."""

import http.client
import json
import secrets
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from bridge.cli.output import AsJson, print_json, say
from bridge.rules.scrubbing import scrub

if TYPE_CHECKING:
    from bridge.rules.signature import SignatureCheck

_TIMEOUT_SECONDS = 30.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(send)


def send(
    payload: Annotated[
        str | None, typer.Argument(help="A JSON file with a webhook's body, or - for stdin.", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--from", help="Instead: every *.json of this folder, in the order of their names.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Where to; default: the bridge on this machine.")] = None,
    count: Annotated[int, typer.Option(min=1, help="How many; from the second on, ids get a suffix.")] = 1,
    rate: Annotated[float, typer.Option(min=0.0, help="Webhooks per second; 0: as fast as it goes.")] = 0.0,
    source: Annotated[str | None, typer.Option("--source", help="Whose signature to make.")] = None,
    private_key: Annotated[
        Path | None, typer.Option("--private-key", help="For a source with public keys: the private one, PEM or JWK.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sign a payload with the source's first valid key and post it. Exit 1 if any is not answered with 2xx."""
    from bridge.cli import context

    environment = context.environment()
    chosen = context.source(context.configuration(environment), source)
    address = url or f"http://127.0.0.1:{environment.port}/hooks/{chosen.name}"
    bodies = _bodies(payload, folder)
    sign = _signer(chosen.verifier, private_key)
    answers: list[dict[str, Any]] = []
    link = _Link(address)
    began = time.monotonic()
    with _progress(count * len(bodies)) as advance:
        for number in range(count * len(bodies)):
            _wait_until(began + number / rate if rate else 0.0)
            turn, place = divmod(number, len(bodies))
            item = bodies[place] if turn == 0 else _with_suffix(bodies[place], turn + 1)
            answers.append(link.post(item, sign(item)))
            advance()
    _print(answers, as_json=as_json)
    if any(answer["http_status"] // 100 != 2 for answer in answers):
        say("not every webhook was accepted; 401 means that secret, preset or clock do not fit")
        raise typer.Exit(1)


def _print(answers: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(answers)
        return
    for answer in answers:
        what = answer.get("status") or answer.get("error") or "-"
        typer.echo(f"{answer['http_status']}  {what}  {answer.get('delivery_id', '-')}")


def _bodies(payload: str | None, folder: Path | None) -> list[bytes]:
    """Return what is to be sent; BadParameter unless exactly one of both says it."""
    if (payload is None) == (folder is None):
        raise typer.BadParameter("give a payload file, - for stdin, or --from FOLDER")
    if folder is None:
        return [sys.stdin.buffer.read() if payload == "-" else Path(str(payload)).read_bytes()]
    found = sorted(folder.glob("*.json"))
    if not found:
        raise typer.BadParameter(f"there is no *.json in {folder}", param_hint="--from")
    return [path.read_bytes() for path in found]


def _signer(verifier: "SignatureCheck", private_key: Path | None) -> Callable[[bytes], dict[str, str]]:
    """Return the function that signs a body now; exits if the key's private half is needed and not there."""
    from bridge.rules.signature import read_private, sign

    now = time.time()
    valid = [key for key in verifier.keys if key.is_valid_at(now)] or list(verifier.keys)
    try:
        private = None if private_key is None else read_private(private_key.read_text("utf-8"))
        key = next((key for key in valid if private and private.public_key() == key.public), valid[0])
        sign(verifier.preset, key, b"", 0, prefix=verifier.prefix, private=private)
    except ValueError as error:
        raise typer.BadParameter(f"{error} (--private-key FILE)") from None

    def signed(body: bytes) -> dict[str, str]:
        return sign(
            verifier.preset,
            key,
            body,
            int(time.time()),
            prefix=verifier.prefix,
            message_id=f"msg_{secrets.token_hex(12)}",
            private=private,
        )

    return signed


class _Link:
    """One kept connection to the bridge."""

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise typer.BadParameter(f"--url: {error}") from None
        if parts.scheme not in ("http", "https") or not host:
            raise typer.BadParameter("--url must be http:// or https://")
        self._path = parts.path or "/"
        if parts.scheme == "https":
            context = ssl.create_default_context()
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=_TIMEOUT_SECONDS, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)

    def post(self, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
        """Post once; after a broken connection the next post opens another one."""
        everything = headers | {"Content-Type": "application/json", "User-Agent": "planasonix-bridge-send"}
        try:
            self._connection.request("POST", self._path, body, everything)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return {"http_status": 0, "error": f"{type(error).__name__}: {scrub(str(error))}"}
        try:
            return {"http_status": response.status, **json.loads(content)}
        except (ValueError, TypeError):
            return {"http_status": response.status, "error": "the answer is not JSON: is this the bridge?"}


def _wait_until(moment: float) -> None:
    if (pause := moment - time.monotonic()) > 0:
        time.sleep(pause)


def _with_suffix(body: bytes, number: int) -> bytes:
    """Return the payload as another event: its ids get a suffix, so that it is no duplicate."""
    from bridge.rules import samples

    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise typer.BadParameter("--count needs a payload that is a JSON object: each one gets ids of its own")
    return samples.compact(samples.renamed(value, f"-{number}"))


def _progress(count: int) -> Any:
    """Return a context manager that gives a function to call for each webhook; a bar for more than a few."""
    from contextlib import nullcontext

    if count <= 20:
        return nullcontext(lambda: None)
    return _Bar(count)


class _Bar:
    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._progress = Progress(console=Console(stderr=True))
        self._task = self._progress.add_task("sending", total=total)

    def __enter__(self) -> Any:
        self._progress.start()
        return lambda: self._progress.advance(self._task)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
