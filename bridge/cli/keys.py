"""keys: make keys, list them, and say which of them need attention. Never prints a configured secret."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.output import AsJson, print_json, print_table, say

if TYPE_CHECKING:
    from bridge.edges.settings import Config
    from bridge.rules.signature import Key, KeySet

_SECRET_BYTES = 32


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Make, list and check the keys that verify webhooks.", no_args_is_help=True)
    group.command()(generate)
    group.command()(show)
    group.command()(check)
    group.command()(stored)
    app.add_typer(group, name="keys")


def generate(
    preset: Annotated[
        str, typer.Argument(help="What it is for: a preset, a JWT algorithm, or encryption.")
    ] = "planasonix",
    private_key: Annotated[
        Path | None, typer.Option("--private-key", help="Where to write the private half; must not exist.")
    ] = None,
) -> None:
    """Print a new secret; of a key pair, print the public half and write the private one to a file (mode 0600)."""
    import base64
    import secrets

    from bridge.rules.signature import KIND_OF_JWS, PRESETS, make_pair

    if preset == "encryption":
        _generate_encryption()
        return
    kind = KIND_OF_JWS.get(preset, preset)
    if kind in ("ed25519", "ecdsa-p256", "rsa-pss"):
        if private_key is None:
            raise typer.BadParameter(
                "a key pair needs --private-key FILE: the sender's half, to be kept from the bridge"
            )
        private, public = make_pair(kind)
        with os.fdopen(os.open(private_key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(private)
        typer.echo(public, nl=False)
        return
    if preset != "HS256" and (preset not in PRESETS or preset == "jwt"):
        known = [*(name for name in PRESETS if name != "jwt"), "HS256", *KIND_OF_JWS, "encryption"]
        raise typer.BadParameter(f"no preset or algorithm {preset!r}; one of {', '.join(known)}")
    if private_key is not None:
        raise typer.BadParameter(f"{preset} has one shared secret and no private key")
    typer.echo("whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode())


def _generate_encryption() -> None:
    """Print a key for BRIDGE_ENCRYPTION_KEYS; its id is today's date."""
    import secrets

    from bridge.rules.sealing import KEY_BYTES, write_key

    typer.echo(write_key(datetime.now(UTC).date().isoformat(), secrets.token_bytes(KEY_BYTES)))
    say("put it first into BRIDGE_ENCRYPTION_KEYS, before those in use; without it, what it encrypts is lost")


def stored(as_json: AsJson = False) -> None:
    """Count the stored rows under every encryption key. Exit 1 if a key that rows need is not configured."""
    from bridge.cli import context
    from bridge.edges.inbox import vault
    from bridge.rules.sealing import PLAIN

    environment = context.environment()
    keys = list(environment.encryption_keys or {})
    with context.store(environment) as inbox:
        counted = inbox.read(vault.count)
    used = sorted({key for table in counted.values() for key in table} - set(keys) - {PLAIN})
    rows = [
        {"key": key, "use": _use(key, keys), **{table: counted[table][key] for table in vault.TABLES}}
        for key in (*keys, *used, PLAIN)
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(list(rows[0]), [[str(value) for value in row.values()] for row in rows])
    if used:
        raise typer.Exit(1)


def _use(key: str, keys: "list[str]") -> str:
    if key not in keys:
        return "missing" if key != "-" else "not encrypted"
    return "encrypts" if key == keys[0] else "decrypts"


def show(as_json: AsJson = False) -> None:
    """List every source's keys: preset, id, kind, fingerprint, and when it may be used."""
    from bridge.cli import context

    config = context.configuration(context.environment())
    rows = [
        {"source": name, "preset": source.verifier.preset.name, **_facts(key)}
        for name, source in config.sources.items()
        for key in source.verifier.keys
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(list(rows[0]), [list(row.values()) for row in rows])


def _facts(key: "Key") -> dict[str, Any]:
    return {
        "key": key.id,
        "kind": f"{key.algorithm} jwks"
        if key.jwks
        else key.algorithm or ("secret" if key.public is None else "public"),
        "fingerprint": key.fingerprint,
        "not_before": _instant(key.not_before),
        "not_after": _instant(key.not_after),
    }


def _instant(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def check() -> None:
    """Say which keys need attention: out of their time, soon to be, no signature at all, not fetched. Exit 1 if any."""
    from bridge.cli import context
    from bridge.rules.signature import advise

    config = context.configuration(context.environment())
    rows = [(name, said) for name, source in config.sources.items() for said in advise(source.verifier, time.time())]
    rows += [(source, f"key {key.id}: {found}") for source, key, found in key_sets(config) if isinstance(found, str)]
    if not rows:
        say("every key may be used now, and for the next two weeks")
        return
    print_table(("source", "what"), rows)
    raise typer.Exit(1)


def key_sets(config: "Config") -> "Iterator[tuple[str, Key, KeySet | str]]":
    """Fetch every JWKS URL of the configuration once: source, entry, and the set or why there is none."""
    from bridge.edges import jwks
    from bridge.words.errors import KeysUnavailable

    for name, source in config.sources.items():
        for key in source.verifier.keys:
            if key.jwks is not None:
                try:
                    yield name, key, jwks.load(key)
                except KeysUnavailable as error:
                    yield name, key, f"{key.jwks.url}: {error}"
