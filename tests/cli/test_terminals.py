"""The command line where it is started by nobody, and where a terminal spells little: every verb still answers.

The rule: neither the machine's list of users, nor a terminal's encoding, nor a word of a sender's ends a command.
"""

import json
import os
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.cli import app
from bridge.edges.inbox import Inbox
from deploy.demo.airflow import REPOSITORY
from tests.cli.conftest import Place
from tests.support.service import PYTHON, body
from tests.support.store import add, stored

pytestmark = pytest.mark.crash
TRY = REPOSITORY / "deploy" / "image" / "try.sh"
WORD = "täglich 日本 🚀"
MAPPING = f"""\
routes:
  - name: daily
    pipeline: pl_8f2a9c1d4e
    dag: load_orders
    note: {WORD}
    conf: {{"größe": "{{{{ event.parameters.word }}}}"}}
"""


@pytest.fixture
def ids(place: Place) -> tuple[str, str]:
    """A delivery and a trigger full of words that ASCII lacks."""
    place.store()
    (place.folder / "mapping.yaml").write_text(MAPPING, "utf-8")
    (place.folder / "payload.json").write_bytes(body(event="evt_cli", word=WORD))
    inbox = Inbox(f"sqlite:///{place.folder / 'bridge.db'}")
    delivery_id = stored(
        inbox, "evt_cli", body=json.dumps({"id": "evt_cli", "word": WORD}, ensure_ascii=False).encode()
    )
    trigger_id = add(inbox, delivery_id, now=datetime.now(UTC), route="daily", conf={"größe": WORD}, note=WORD)
    inbox.close()
    return delivery_id, trigger_id


def verbs(ids: tuple[str, str]) -> dict[str, tuple[int | str, ...]]:
    """Every way to print something of a sender's or of the mapping's: the exit code, then the words."""
    delivery_id, trigger_id = ids
    return {
        "check": (0, "check"),
        "explain": (0, "explain", "payload.json"),
        "explain as JSON": (0, "explain", "payload.json", "--json"),
        "deliveries": (0, "deliveries"),
        "a delivery": (0, "deliveries", delivery_id),
        "a delivery as JSON": (0, "deliveries", delivery_id, "--json"),
        "triggers": (0, "triggers"),
        "a trigger": (0, "triggers", trigger_id),
        "a trigger as JSON": (0, "triggers", trigger_id, "--json"),
        "an unknown file": (2, "explain", "täglich.json"),
    }


def test_every_verb_answers_on_a_terminal_that_spells_ascii(place: Place, ids: tuple[str, str]) -> None:
    """What it cannot spell is escaped, and nothing else changes; JSON stays JSON."""
    for verb, (code, *words) in verbs(ids).items():
        ended = run(place, words, {"PYTHONIOENCODING": "ascii"})
        assert ended.returncode == code, (verb, ended.stderr)
        assert b"UnicodeEncodeError" not in ended.stderr, verb
        assert ended.stdout.isascii(), verb
        if "--json" in words:
            assert WORD in json.dumps(json.loads(ended.stdout), ensure_ascii=False), verb


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "utf-8"},
    ],
    ids=str,
)
def test_json_is_the_same_on_every_terminal(place: Place, ids: tuple[str, str], variables: dict[str, str]) -> None:
    """Escaped or not, it says the same."""
    ended = run(place, ["triggers", ids[1], "--json"], variables)
    assert json.loads(ended.stdout)["note"] == WORD


def run(place: Place, words: Sequence[int | str], variables: dict[str, str]) -> "subprocess.CompletedProcess[bytes]":
    """Run the command as a terminal of this kind does."""
    env = {**place.variables, **variables}
    command = [PYTHON, "-m", "bridge", *map(str, words)]
    return subprocess.run(command, env=env, cwd=place.folder, capture_output=True, check=False, timeout=120)


AS_NOBODY = """\
import getpass, os, pwd
from bridge.cli import context
os.setresuid(54321, 54321, 54321)
print(context.actor())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_a_user_without_a_name_is_named_by_its_number(place: Place) -> None:
    """As in the image: user 10001 has no line in /etc/passwd, and replay, cancel and erase write who asked."""
    names = ("LOGNAME", "USER", "LNAME", "USERNAME", "PYTHONPATH")
    env: dict[str, Any] = {name: value for name, value in place.variables.items() if name not in names}
    said = subprocess.run([PYTHON, "-c", AS_NOBODY], env=env, capture_output=True, text=True, check=False, timeout=120)
    assert (said.stdout, said.stderr) == ("cli:uid 54321\n", "")


def test_the_image_is_tried_with_every_verb() -> None:
    """deploy/image/try.sh runs each as the image's user: a verb that needs a name or a home fails there."""
    tried = set(re.findall(r"(?m)(?:^ *verb [0-9]+|planasonix-bridge) ([a-z]+)", TRY.read_text()))
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert (verbs | {group.name for group in app.registered_groups}) - tried == set()
