"""One form for every log line, ours and the libraries': JSON, or readable text on a terminal.

Must never write a payload, a header or a secret: values whose names suggest one are masked, bytes and unknown objects
become the name of their type, and tracebacks hold places and types, with a message only where it can hold no value.
"""

import datetime as dt
import json
import logging
import re
import sqlite3
import sys
import traceback
from collections.abc import Callable, MutableMapping
from pathlib import PurePath
from typing import Any, TextIO

import structlog

from bridge.words.errors import BridgeError

EventDict = MutableMapping[str, Any]

_MASKED = re.compile(
    "api_?key|auth|authorization|body|conf|(set.)?cookies?|data|headers?|key|password|payload|secrets?|signature|token",
    re.IGNORECASE,
).fullmatch
# At `debug`, httpcore and urllib3 log requests with their headers, so libraries log warnings and worse only.
_LIBRARY_LEVEL = logging.WARNING
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# The messages of these name types, attributes, tables and places, never what a webhook or an answer said.
_SPEAKING = (BridgeError, AttributeError, NameError, ImportError, TypeError, sqlite3.Error)


def configure(level: str, log_format: str, stream: TextIO) -> None:
    """Send every log line to `stream`. `log_format`: json, console, or auto (json unless the stream is a terminal).

    May be called again; existing loggers use the new stream.
    """
    is_json = log_format == "json" or (log_format == "auto" and not stream.isatty())
    structlog.configure(
        processors=[
            _add_name,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _mask,
            _describe_exception,
            _as_json if is_json else structlog.dev.ConsoleRenderer(colors=stream.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=_writers(stream),
        cache_logger_on_first_use=False,  # 1 us a line; a cached logger would keep writing to the old stream
    )
    _take_over_standard_logging(_LEVELS[level])


def name_owners(owner_of: Callable[[str], str | None]) -> None:
    """Add its owner to every line that names a route, as far as `owner_of` knows one. Until `configure` is called."""

    def add_owner(_: Any, __: str, event: EventDict) -> EventDict:
        route = event.get("route")
        owner = owner_of(route) if isinstance(route, str) else None
        if owner is not None:
            event.setdefault("owner", owner)
        return event

    add_owner.is_of_owners = True  # type: ignore[attr-defined]
    processors = structlog.get_config()["processors"]
    structlog.configure(processors=[add_owner, *(each for each in processors if not hasattr(each, "is_of_owners"))])


class _Writer(structlog.WriteLogger):
    """Writes lines to one stream and knows which logger it is."""

    def __init__(self, stream: TextIO, name: str) -> None:
        super().__init__(stream)
        self.name = name


def _writers(stream: TextIO) -> Callable[..., _Writer]:
    return lambda *names: _Writer(stream, str(names[0]) if names else "bridge")


class _ForeignRecords(logging.Handler):
    """Hands what uvicorn and other libraries log to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on the message and the exception; a record that cannot be formatted loses its arguments."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        structlog.get_logger(record.name).log(record.levelno, message, exc_info=record.exc_info or None)


def _take_over_standard_logging(level: int) -> None:
    """Let every standard logger end in the root's one handler."""
    logging.basicConfig(handlers=[_ForeignRecords()], level=max(level, _LIBRARY_LEVEL), force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn").setLevel(max(level, logging.INFO))
    logging.raiseExceptions = False  # it would print a failed record with its arguments to stderr


def _add_name(logger: _Writer, _: str, event: EventDict) -> EventDict:
    event["logger"] = logger.name
    return event


def _mask(_: Any, __: str, event: EventDict) -> EventDict:
    """Mask by name, escape control characters, and name what is neither text, number nor a list of them."""
    for name, value in event.items():
        if name != "exc_info":
            event[name] = "***" if _MASKED(name) and value is not None else _plain(value)
    return event


def _plain(value: object) -> object:
    if isinstance(value, str | dt.datetime | PurePath):
        return _escape(str(value))
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return _mask(None, "", {_escape(str(name)): item for name, item in value.items()})
    if isinstance(value, BaseException):
        return _say(value)
    return f"<{len(value)} bytes>" if isinstance(value, bytes | bytearray) else f"<{type(value).__name__}>"


def _escape(text: str) -> str:
    r"""Spell control characters as `\x1b`, so that no value can break a line or steer a terminal."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _say(error: BaseException) -> str:
    """Return the error's type, and its message where that cannot hold a value from outside."""
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if isinstance(error, OSError):
        return f"{kind}: {error.strerror}" if error.strerror else kind
    return _escape(f"{kind}: {error}") if isinstance(error, _SPEAKING) else kind


def _describe_exception(_: Any, __: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by places and types, the cause first; no source lines, no local variables."""
    found = event.pop("exc_info", None)
    error = found[1] if isinstance(found, tuple) else sys.exc_info()[1] if found is True else found
    chain: list[BaseException] = []
    while isinstance(error, BaseException) and error not in chain:
        chain.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if chain:
        event["exception"] = "\n".join(line for item in reversed(chain) for line in _lines(item))
    return event


def _lines(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    return [*(f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames), _say(error)]


def _as_json(_: Any, __: str, event: EventDict) -> str:
    return json.dumps(event)
