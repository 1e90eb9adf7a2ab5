"""The process that loads apprise, sends what it is given on stdin, and says a line of JSON a message. Run by its path.

    {"url": "...", "messages": [{"title": "...", "text": "...", "type": "failure"}]}
    {"problem": null}

Why something was not sent stands in apprise's log lines alone. Every piece of the URL is taken out of them.
"""

import json
import logging
import re
import sys
from typing import Any
from urllib.parse import unquote

_SHORTEST = 4  # a shorter piece is part of half the words there are
_UNKNOWN = "apprise knows no service by this URL, or the URL lacks what the service needs"
_NO_WORD = "the service did not take it"


class _Said(logging.Handler):
    """Keeps what is said from warnings on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(record.getMessage())


def _without(url: str, line: str) -> str:
    """Return a line without any piece of the URL."""
    pieces = {piece for text in (url, unquote(url)) for piece in re.split(r"[:/@?&=,;#\s]+", text)}
    scheme = url.partition(":")[0]
    for piece in sorted(pieces - {scheme}, key=len, reverse=True):
        if len(piece) >= _SHORTEST:
            line = line.replace(piece, "***")
    return line


def _say(problem: str | None) -> None:
    print(json.dumps({"problem": problem}), flush=True)


def main(asked: dict[str, Any]) -> None:
    """Send every message, one after the other."""
    said = _Said()
    logger = logging.getLogger("apprise")
    logger.addHandler(said)
    logger.propagate = False
    import apprise  # noqa: PLC0415 - with the handler there

    asset = apprise.AppriseAsset(
        app_id="planasonix-bridge",
        app_desc="Planasonix to Airflow bridge",
        async_mode=False,
        plugin_paths=[],
        secure_logging=True,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
    service = apprise.Apprise(asset=asset)
    if not service.add(asked["url"]):
        for _ in asked["messages"] or [None]:
            _say(_UNKNOWN)
        return
    for message in asked["messages"]:
        said.lines.clear()
        is_sent = service.notify(
            body=message["text"],
            title=message["title"],
            notify_type=message["type"],
            body_format=apprise.NotifyFormat.TEXT,
        )
        line = said.lines[-1] if said.lines else _NO_WORD
        _say(None if is_sent else _without(asked["url"], line))
    if not asked["messages"]:
        _say(None)


if __name__ == "__main__":
    main(json.load(sys.stdin))
