"""Read a secret from where the configuration points: a variable or a file, never a literal.

Raises ValueError with a sentence that names the place and never what was found there.
"""

import re
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


_NEVER_FILLED_IN = re.compile(r"\$\{[^}]*\}|\$\([^)]*\)|\{\{.*\}\}|<[^<>]*>")
_OPENING, _CLOSING = "“”„‘’‚«»", "“”‘’«»"  # noqa: RUF001 - the quotes of a word processor
_PREFIXES = re.compile(r"(?:bearer|basic):? +\S+|token:? +\S{16,}", re.IGNORECASE)
# A plain secret may hold any letter, so these are looked for only where nobody can mean them.
_SLIPS = {
    re.compile(r"\$[A-Z]{2,}(_[A-Z0-9]+)*|%[A-Z][A-Z0-9_]*%"): "is the name of a variable that nothing has filled in",
    re.compile(r"(export +)?[A-Za-z_]\w*[=:] *[\"'`]?whsec_.*|export +[A-Za-z_]\w*=.*", re.ASCII): (
        "begins with the name of a variable; give what follows it alone"
    ),
    re.compile(r"[\"'`]whsec_.*|whsec_.*[\"'`]"): "has a quote at one end; take it away",
    re.compile(r"whsec_\S+ +#.*"): "has a comment at its end; take it away",
}


def slip(text: str) -> str | None:
    """Return what is wrong with a credential, whichever kind it is, without showing any of it; None if nothing is.

    Rule: each is looked at when it is loaded, so that a slip of whoever wrote the file is blamed on the file, and not
    on an Airflow that refuses it, or on senders.
    """
    if what := slip_of_text(text):
        return what
    if _PREFIXES.fullmatch(text):
        return f"begins with `{text.split(maxsplit=1)[0]} `; give what follows it alone"
    return next((what for pattern, what in _SLIPS.items() if pattern.fullmatch(text)), None)


def slip_of_text(text: str) -> str | None:
    """Return what is wrong with a text that is sent as it is, and may begin with `Basic `."""
    if text != text.strip():
        return "begins or ends with a blank"
    if not text.isprintable():
        return "holds a control character, an invisible letter or a line break"
    if len(text) > 1 and (
        (text[0] == text[-1] and text[0] in "'\"`") or (text[0] in _OPENING and text[-1] in _CLOSING)
    ):
        return "has quotes around the value; take them away (env files and `kubectl --from-env-file` keep them)"
    if _NEVER_FILLED_IN.fullmatch(text):
        return "is a placeholder that nothing has filled in"
    return None
