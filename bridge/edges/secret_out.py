"""A new secret on its way into a file: mode 0600, all of it or nothing, and never over another one unasked.

The place is made before the secret exists, so that a folder that cannot be written is found out while nothing is lost.
"""

import json
import os
import secrets
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


@contextmanager
def secret_out(path: Path, *, is_forced: bool = False) -> Iterator[Callable[[str], None]]:
    """Give what writes the file's whole text; without a call nothing changes.

    Raises OSError at once: FileExistsError if the file is there and `is_forced` is not said, FileNotFoundError
    if its folder is not there.
    """
    if not is_forced and path.exists():
        raise FileExistsError(
            17, "is there already, and a secret is not written over; name another, or give --force", path
        )
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = _opened(beside, path)
    try:
        yield lambda text: _write(descriptor, beside, path, text, is_forced=is_forced)
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            beside.unlink()


def manifest(name: str, key: str, text: str) -> str:
    """Return a Kubernetes Secret that holds the secret, as JSON, which kubectl reads as well as YAML."""
    metadata = {"name": name}
    whole = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": {key: text}}
    return json.dumps(whole, indent=2) + "\n"


def _opened(beside: Path, path: Path) -> int:
    try:
        return os.open(beside, _NEW, 0o600)
    except FileNotFoundError:
        folder = shlex.quote(str(path.parent))
        what = f"its folder is not there; make it (install -d -m 0700 {folder}), then run this again"
        raise FileNotFoundError(2, what, path) from None


def _write(descriptor: int, beside: Path, path: Path, text: str, *, is_forced: bool) -> None:
    content = text.encode()
    while content:
        content = content[os.write(descriptor, content) :]
    os.fsync(descriptor)
    if is_forced:
        beside.replace(path)
    else:
        os.link(beside, path)  # fails if somebody wrote the file meanwhile
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
