"""Runs a command that signs in: the way for every managed Airflow whose sign-in is a product of its own.

The command prints JSON, in the form that kubectl's credential plugins have:

    {"status": {"token": "...", "expirationTimestamp": "2026-01-01T12:00:00Z"}}

`headers` may stand for `token`, the object may also stand alone without `status`. It gets no input, none of the
bridge's own variables (BRIDGE_*), and so many seconds; then its whole process group is killed, and at once if it prints
too much. The last line that it says on stderr is shown when it fails, so it must not write a secret there.
"""

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from bridge.edges.airflow.tokens import Headers, SignedIn, life_seconds
from bridge.edges.airflow.wire import shown
from bridge.edges.http import CALL_HEADERS, is_header_name
from bridge.words.outcomes import Misconfigured
from bridge.words.reasons import Reason

_MAX_OUTPUT = 65_536
_KILLED_SECONDS = 1.0
_CHUNK = 65_536


class _Unusable(Exception):
    """The command gave nothing that can be used; the text says why."""


def run(command: Sequence[str], seconds: float) -> SignedIn | Misconfigured:
    """Return what the command printed as headers and how long they hold, or why it cannot be used. Blocks."""
    try:
        return _read(_output(command, seconds), datetime.now(UTC))
    except _Unusable as unusable:
        detail = f"the sign-in command {shown(command[0])!r} {unusable}"
        return Misconfigured(Reason.AIRFLOW_MISCONFIGURED, detail)


def _output(command: Sequence[str], seconds: float) -> bytes:
    process = _started(command)
    try:
        output, errors = _read_out(process, time.monotonic() + seconds)
    except subprocess.TimeoutExpired:
        raise _Unusable(f"did not end within {seconds:g} s") from None
    finally:
        _end(process)
    if process.returncode:
        lines = errors.decode("utf-8", "replace").strip().splitlines()
        raise _Unusable(f"ended with {process.returncode}" + (f": {shown(lines[-1])}" if lines else ""))
    return output


def _started(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    try:
        return subprocess.Popen(  # noqa: S603 - configured by whoever runs the service, and no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
            start_new_session=True,
        )
    except OSError as error:
        raise _Unusable(f"cannot be run: {error.strerror}") from None


def _read_out(process: "subprocess.Popen[bytes]", until: float) -> tuple[bytes, bytes]:
    """Read both pipes to their end, and wait for the command's; of stderr only the last part is kept.

    Raises TimeoutExpired, and _Unusable as soon as stdout has too much.
    """
    output, errors = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for pipe, kept in ((process.stdout, output), (process.stderr, errors)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, kept)
        while selector.get_map():
            if (remaining := until - time.monotonic()) <= 0:
                raise subprocess.TimeoutExpired(process.args, remaining)
            for key, _ in selector.select(remaining):
                if not (chunk := os.read(key.fd, _CHUNK)):
                    selector.unregister(key.fileobj)
                key.data.extend(chunk)
            if len(output) > _MAX_OUTPUT:
                raise _Unusable(f"printed more than {_MAX_OUTPUT} bytes")
            del errors[:-_MAX_OUTPUT]
    process.wait(max(0.0, until - time.monotonic()))
    return bytes(output), bytes(errors)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the command, if it runs, and whatever it started; one that left its process group is not waited for."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):  # gone, or of another user by now (sudo)
            os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    if process.returncode is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_KILLED_SECONDS)


def _read(output: bytes, now: datetime) -> SignedIn:
    try:
        printed: Any = json.loads(output)
    except (ValueError, RecursionError):
        printed = None
    if isinstance(printed, dict) and isinstance(printed.get("status"), dict):
        printed = printed["status"]
    if not isinstance(printed, dict):
        raise _Unusable("printed no JSON object with `token` or `headers`")
    life = _life(printed.get("expirationTimestamp"), now)
    token = printed.get("token")
    if token is None:
        return SignedIn(_headers(printed.get("headers")), life)
    if not _is_text(token):
        raise _Unusable("printed a token that is not printable ASCII")
    return SignedIn((("Authorization", f"Bearer {token}"),), life if life is not None else life_seconds(token))


def _headers(given: object) -> Headers:
    if not isinstance(given, Mapping) or not given:
        raise _Unusable("printed no JSON object with `token` or `headers`")
    for name, value in given.items():
        if not is_header_name(name) or name.lower() in CALL_HEADERS or not _is_text(value):
            raise _Unusable(f"printed a header that cannot be sent: {shown(name)!r}")
    return tuple(given.items())


def _life(text: object, now: datetime) -> float | None:
    if text is None:
        return None
    try:
        ends_at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        ends_at = None
    if ends_at is None or ends_at.tzinfo is None:
        raise _Unusable("printed an expirationTimestamp that is not an instant with an offset (RFC 3339)")
    if ends_at <= now:
        raise _Unusable(f"printed a token that ended at {ends_at.isoformat()}")
    return (ends_at - now).total_seconds()


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != "" and value.isascii() and value.isprintable()
