"""A store is opened only when it is one, and the message says what to do otherwise."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bridge.edges import inbox as inboxes
from bridge.edges.inbox import SCHEMA, Inbox
from bridge.edges.inbox.engine import engines, migrate
from bridge.words.errors import ConfigError, InboxInUse
from tests.support.store import ON_SQLITE, Store, stored


def _message(url: str) -> str:
    with pytest.raises(ConfigError) as caught:
        Inbox(url)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "not a database URL"),
        ("", "not a database URL"),
        ("mysql://somewhere/db", "'mysql' is not supported"),
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("sqlite:////no/such/folder/bridge.db", "the folder of /no/such/folder/bridge.db does not exist"),
    ],
)
def test_a_url_that_is_no_store_is_refused(url: str, message: str) -> None:
    """The message names the setting and what is wrong with it."""
    told = _message(url)
    assert told.startswith("BRIDGE_DATABASE_URL: ")
    assert message in told


def test_a_file_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    """Whoever only wants to look makes no file, and is told which commands do."""
    path = tmp_path / "bridge.db"
    told = _message(f"sqlite:///{path}")
    assert "planasonix-bridge migrate" in told
    assert "serve" in told
    assert list(tmp_path.iterdir()) == []


def test_an_empty_store_is_refused(tmp_path: Path) -> None:
    """A file without the schema is not used as if it were a store."""
    path = tmp_path / "bridge.db"
    path.touch()
    assert "run `planasonix-bridge migrate`" in _message(f"sqlite:///{path}")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """A mistaken path is a mistake of the configuration, told in one line; the file is left as it was."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and long enough to be looked at. " * 100)
    before = path.read_bytes()
    assert "file is not a database" in _message(f"sqlite:///{path}")
    with pytest.raises(ConfigError, match="file is not a database"):
        inboxes.prepare(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    """A folder in the place of the file is told as a mistake of the configuration."""
    assert "BRIDGE_DATABASE_URL" in _message(f"sqlite:///{tmp_path}")


def test_schema_is_the_newest_migration() -> None:
    """SCHEMA in the code is the newest file of the folder, and every file follows the one before."""
    folder = Path(migrate.__file__).parent / "migrations" / "versions"
    revisions = sorted(path.name.partition("_")[0] for path in folder.glob("[0-9]*.py"))
    assert revisions[-1] == SCHEMA
    before = "None"
    for path in sorted(folder.glob("[0-9]*.py")):
        found = re.search(r"^down_revision = (.+)$", path.read_text(), re.MULTILINE)
        assert found is not None
        assert found[1].strip('"') == before
        before = path.name.partition("_")[0]


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    """The first time makes the schema, the second time finds it; what is stored stays."""
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    assert inboxes.prepare(url) == (None, SCHEMA)
    inbox = Inbox(url)
    delivery_id = stored(inbox)
    inbox.close()
    assert inboxes.prepare(url) == (SCHEMA, SCHEMA)
    again = Inbox(url)
    assert stored(again) == delivery_id
    again.close()


@ON_SQLITE
def test_a_newer_schema_is_used_as_it_is(path: Path, store: Store) -> None:
    """Old code runs on a store that newer code has migrated: it neither refuses nor goes back."""
    store.rows("UPDATE alembic_version SET version_num = '9999'")
    assert inboxes.prepare(f"sqlite:///{path}") == ("9999", "9999")
    inbox = Inbox(f"sqlite:///{path}")
    stored(inbox)
    inbox.close()


def test_migrating_does_not_import_alembic_for_nothing(path: Path) -> None:
    """A store that is up to date costs no import of Alembic."""
    migrate = f"from bridge.edges import inbox; inbox.prepare('sqlite:///{path}')"
    code = f"import sys; {migrate}; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_one_process_serves_a_file(path: Path) -> None:
    """The second one is refused; when the first is gone, the next may serve."""
    url = f"sqlite:///{path}"
    first = inboxes.lock(url)
    with pytest.raises(InboxInUse, match=re.escape(str(path))):
        inboxes.lock(url)
    first.release()
    engines.FileLock(engines.read_url(url)).release()


def test_a_killed_process_leaves_no_lock(path: Path) -> None:
    """The kernel gives the lock back, however the process ended."""
    url = f"sqlite:///{path}"
    code = f"import os; from bridge.edges import inbox; inbox.lock({url!r}); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    inboxes.lock(url).release()


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_one_process_serves_a_file_by_whatever_name(path: Path, link: str) -> None:
    """A link of either kind is the same file: the second service would answer for what the first one holds."""
    other = path.parent / "other.db"
    getattr(other, link)(path)
    first = inboxes.lock(f"sqlite:///{path}")
    with pytest.raises(InboxInUse, match=re.escape(str(other))):
        inboxes.lock(f"sqlite:///{other}")
    first.release()
    inboxes.lock(f"sqlite:///{other}").release()


_STRANGER = 65_534
_OPEN = f"""
import os, sys
from bridge.edges import inbox
from bridge.edges.inbox.engine import engines
from bridge.words.errors import ConfigError
os.setgroups([])
os.setresgid(*[{_STRANGER}] * 3)
os.setresuid(*[{_STRANGER}] * 3)
try:
    getattr(inbox, sys.argv[1])(sys.argv[2])
except ConfigError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("way", ["lock", "prepare", "try_out"])
@pytest.mark.parametrize("is_file", [False, True], ids=["folder", "file"])
def test_a_place_that_cannot_be_written_is_named_with_its_owner(way: str, is_file: bool) -> None:
    """Path, owner, who asks, and `fsGroup`: SQLite alone would only be unable to open the file."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777 if is_file else 0o755)
        path = Path(folder) / "bridge.db"
        if is_file:
            inboxes.prepare(f"sqlite:///{path}")
            path.chmod(0o600)
        done = subprocess.run(
            [sys.executable, "-c", _OPEN, way, f"sqlite:///{path}"],
            capture_output=True,
            text=True,
            check=True,
        )
        where, mode = (path, "0600") if is_file else (folder, "0755")
        assert done.stdout.startswith(f"BRIDGE_DATABASE_URL: {where} cannot be written: it belongs to uid 0, gid 0")
        assert f"mode {mode}, and this process is uid {_STRANGER}, gid {_STRANGER}. On Kubernetes" in done.stdout
        assert "`fsGroup`" in done.stdout


@pytest.mark.usefixtures("store")
def test_a_store_is_tried_out_without_making_one(tmp_path: Path, url: str) -> None:
    """Nothing where nothing is yet, and no file is made; the revision of one that is there, after a write."""
    before = list(tmp_path.iterdir())
    assert inboxes.try_out(f"sqlite:///{tmp_path / 'not_yet.db'}") is None
    assert list(tmp_path.iterdir()) == before
    assert inboxes.try_out(url) == SCHEMA
