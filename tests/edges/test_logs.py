"""One form for every log line, and nothing in it that a webhook, a header or a secret said."""

import asyncio
import datetime as dt
import io
import json
import logging
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.edges import logs
from bridge.words.errors import NotThere, Refused
from bridge.words.reasons import Reason
from bridge.words.targets import Secret

pytestmark = pytest.mark.usefixtures("standard_logging")
_log = structlog.get_logger("bridge.tests")  # made before `configure`, as every module does


@pytest.fixture
def stream() -> io.StringIO:
    """Where JSON lines go at level info."""
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    return stream


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_line_is_json_with_name_level_and_utc_time(stream: io.StringIO) -> None:
    """A line holds what was said, who said it, how grave it is, and when, in UTC."""
    _log.info("accepted", delivery_id="dlv_1", seconds=0.25, reason=Reason.NO_ROUTE, is_new=True, path=Path("a/b"))

    (line,) = _lines(stream)

    assert dt.datetime.fromisoformat(line.pop("timestamp")).utcoffset() == dt.timedelta(0)
    assert line == {
        "event": "accepted",
        "logger": "bridge.tests",
        "level": "info",
        "delivery_id": "dlv_1",
        "seconds": 0.25,
        "reason": "no_route",
        "is_new": True,
        "path": "a/b",
    }


@pytest.mark.parametrize(
    ("log_format", "terminal", "is_json"),
    [
        ("auto", False, True),
        ("auto", True, False),
        ("json", True, True),
        ("json", False, True),
        ("console", False, False),
        ("console", True, False),
    ],
)
def test_json_unless_a_terminal(log_format: str, terminal: bool, is_json: bool) -> None:
    """`auto` looks at the stream, the others do not; only a terminal gets colours."""
    stream = _Terminal() if terminal else io.StringIO()
    logs.configure("info", log_format, stream)

    _log.info("accepted", delivery_id="dlv_1")

    assert stream.getvalue().startswith("{") is is_json
    assert ("\x1b[" in stream.getvalue()) is (terminal and not is_json)
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_level(level: str, count: int) -> None:
    """Lines below the level are not written, ours and the libraries' alike."""
    stream = io.StringIO()
    logs.configure(level, "json", stream)

    for log in (_log, logging.getLogger("uvicorn.error")):
        log.debug("d")
        log.info("i")
        log.warning("w")
        log.error("e")

    ours = [line for line in _lines(stream) if line["logger"] == "bridge.tests"]
    assert len(ours) == count
    assert len(_lines(stream)) - len(ours) == min(count, 3)


def test_configuring_again_moves_every_logger() -> None:
    """The last stream gets everything, and each line once."""
    first, second = io.StringIO(), io.StringIO()
    logs.configure("info", "json", first)
    _log.info("one")
    logs.configure("info", "json", second)
    _log.info("two")
    logging.getLogger("uvicorn").info("three")

    assert [line["event"] for line in _lines(first)] == ["one"]
    assert [line["event"] for line in _lines(second)] == ["two", "three"]


def test_libraries_speak_in_the_same_form(stream: io.StringIO) -> None:
    """uvicorn and any other standard logger give the same JSON lines, under their own names."""
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7)
    logging.getLogger("somebody").warning("careful")

    assert [(line["logger"], line["level"], line["event"]) for line in _lines(stream)] == [
        ("uvicorn.error", "info", "Started server process [7]"),
        ("somebody", "warning", "careful"),
    ]


def test_libraries_never_chatter_even_at_debug() -> None:
    """HTTP libraries write requests with their headers at debug; they are heard from warnings on."""
    stream = io.StringIO()
    logs.configure("debug", "json", stream)

    for name in ("httpcore.http11", "httpx", "urllib3.connectionpool", "asyncio", "uvicorn.error"):
        logging.getLogger(name).debug("Authorization: Bearer canary")
    logging.getLogger("httpx").info("GET https://api.example/jobs/canary")

    assert stream.getvalue() == ""


def test_record_that_cannot_be_formatted(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong arguments of a library neither raise nor print themselves anywhere."""
    logging.getLogger("somebody").error("expected %d", "canary")

    assert [line["event"] for line in _lines(stream)] == ["expected %d"]
    assert "canary" not in stream.getvalue() + "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "name",
    [
        *("body", "payload", "headers", "authorization", "token", "secret", "password", "cookie", "Set-Cookie"),
        *("signature", "conf", "data", "api_key", "key", "Authorization"),
    ],
)
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_values_of_telling_names_are_masked(name: str, log_format: str) -> None:
    """Whatever somebody logs under such a name, at any depth, is not shown."""
    stream = io.StringIO()
    logs.configure("info", log_format, stream)

    _log.info("said", **{name: "canary"}, around=[{"inside": {name: b"canary"}}])
    _log.info("said", **{name: {"deep": ["canary"]}})

    assert "canary" not in stream.getvalue()
    assert "***" in stream.getvalue()


@pytest.mark.parametrize(
    "value", [b"canary", bytearray(b"canary"), Secret("canary"), io.BytesIO(b"canary"), ["a", b"canary"]]
)
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_bytes_and_objects_are_named_by_type(value: object, log_format: str) -> None:
    """Bytes are payloads and an object's repr may hold one: only the type or the length is shown."""
    stream = io.StringIO()
    logs.configure("info", log_format, stream)

    _log.info("said", what=value)

    assert "canary" not in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\x1b[31mred", "\x00", "\x7f", "\x9b31m", "a\u2028b", "a\x85b"])
def test_control_characters_are_escaped(text: str, log_format: str) -> None:
    """No value, name or event can begin a new line or steer a terminal."""
    stream = io.StringIO()
    logs.configure("info", log_format, stream)

    _log.info(text, value=text, nested=[text, {text: text}])
    logging.getLogger("somebody").warning("%s", text)

    assert len(stream.getvalue().splitlines()) == 2
    assert not any(character in stream.getvalue() for character in "\r\x1b\x00\x7f\x9b\u2028\x85")


def _fail() -> None:
    local = "canary in a local variable"
    try:
        int(local)
    except ValueError as error:
        raise RuntimeError("canary in a message") from error


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_traceback_shows_places_and_types_only(log_format: str) -> None:
    """Where it happened and what kind it was, the cause first; no message, local variable or source line."""
    stream = io.StringIO()
    logs.configure("info", log_format, stream)

    try:
        _fail()
    except RuntimeError:
        _log.exception("failed")
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")

    text = stream.getvalue()
    assert "canary" not in text
    assert text.count("test_logs.py") >= 4
    assert text.index("ValueError") < text.index("RuntimeError")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Refused(Reason.SIGNATURE_MISSING), f"bridge.words.errors.Refused: {Reason.SIGNATURE_MISSING.why}"),
        (NotThere("dlv_1\n"), "bridge.words.errors.NotThere: dlv_1\\n"),
        (AttributeError("no attribute 'x'"), "AttributeError: no attribute 'x'"),
        (sqlite3.OperationalError("database is locked"), "sqlite3.OperationalError: database is locked"),
        (FileNotFoundError(2, "No such file", "/canary"), "FileNotFoundError: No such file"),
        (OSError("canary"), "OSError"),
        (ValueError("canary"), "ValueError"),
        (KeyError("canary"), "KeyError"),
        (json.JSONDecodeError("canary", "canary", 0), "json.decoder.JSONDecodeError"),
        (asyncio.CancelledError("canary"), "asyncio.exceptions.CancelledError"),
    ],
)
def test_message_of_an_error_only_where_it_cannot_hold_a_value(
    stream: io.StringIO, error: BaseException, said: str
) -> None:
    """Ours and those that name types, tables and places speak; the others give their type."""
    _log.error("failed", exc_info=error)
    _log.error("failed", error=error)

    first, second = _lines(stream)
    assert first["exception"] == second["error"] == said


def test_circle_of_causes_ends(stream: io.StringIO) -> None:
    """An error that is its own cause is written once."""
    error = ValueError()
    error.__cause__ = error

    _log.error("failed", exc_info=error)

    assert _lines(stream)[0]["exception"] == "ValueError"


def test_no_exception_at_hand(stream: io.StringIO) -> None:
    """Asking for an exception when there is none is no error."""
    _log.error("failed", exc_info=True)

    assert "exception" not in _lines(stream)[0]


def test_lines_of_many_threads_stay_whole(stream: io.StringIO) -> None:
    """Threads do not write into each other's lines."""

    def write(number: int) -> None:
        for _ in range(200):
            _log.info("x" * 200, number=number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(_lines(stream)) == 1600


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(), st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), _VALUES, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_anything_can_be_logged(said: str, values: dict[str, Any]) -> None:
    """No value makes logging fail or break a line, in either form."""
    values = {f"x_{name}": value for name, value in values.items()}
    for log_format in ("json", "console"):
        stream = io.StringIO()
        logs.configure("info", log_format, stream)

        _log.info(said, **values)

        assert len(stream.getvalue().splitlines()) == 1
