"""Read a secret from where the configuration points: a variable or a file, never a literal.

Raises ValueError with a sentence that names the place and never what was found there.
"""

from collections.abc import Mapping
from pathlib import Path

# A secret is a line; a larger file is a wrong path (a log, a device), and must not be read into memory.
MAX_SECRET_FILE_BYTES = 65_536


def read_variable(environ: Mapping[str, str], name: str) -> str:
    """Return the variable's value; ValueError if it is missing or empty."""
    value = environ.get(name)
    if value is None:
        raise ValueError(f"the environment variable {name} is not set")
    if not value.strip():
        raise ValueError(f"the environment variable {name} is empty")
    return value


def read_file(path: Path) -> str:
    """Return the file's text without its final line break; ValueError if missing, empty, too large or not text."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"the file {path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_SECRET_FILE_BYTES:
        raise ValueError(f"the file {path} is larger than {MAX_SECRET_FILE_BYTES} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"the file {path} is not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise ValueError(f"the file {path} is empty")
    return text
