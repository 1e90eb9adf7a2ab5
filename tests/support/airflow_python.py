"""The Python of a real Airflow, with the provider's wheel beside it and a metadata database of its own.

One process serves many tests: importing Airflow takes five seconds, a DAG run in the process half of one. Nothing is
installed into the environment: the wheel is unpacked, and found by PYTHONPATH with its entry points.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from deploy.demo.airflow import REPOSITORY

VENVS = {"3.3": ".venv-airflow", "2.11": ".venv-airflow2"}
_LOCKS = {"3.3": "airflow.txt", "2.11": "airflow2.txt"}
_INSIDE = Path(__file__).with_name("airflow_inside.py")
_CACHE = REPOSITORY / ".cache"


class AirflowPython:
    """A process that executes code and DAGs inside an Airflow."""

    def __init__(self, version: str, *, beside: Path, more: Mapping[str, str]) -> None:
        """Start it; `beside` is a folder with what is importable there, too, `more` are variables."""
        self.version = version
        self.home = Path(tempfile.mkdtemp(prefix="airflow-python-"))
        shutil.copytree(_migrated_home(version), self.home, dirs_exist_ok=True)
        self._log = (self.home / "output.log").open("w")
        theirs, ours = os.pipe()
        self._process = subprocess.Popen(
            [REPOSITORY / VENVS[version] / "bin" / "python", "-W", "ignore", _INSIDE, str(ours)],
            env=environment(self.home) | {"PYTHONPATH": str(beside), **more},
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            pass_fds=[ours],
            text=True,
        )
        os.close(ours)
        self._answers = os.fdopen(theirs)
        self._read_to = 0
        self._next = 0
        assert self._answers.readline() == "ready\n", self.output()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def python(self, code: str, **names: Any) -> Any:
        """Execute code there with these names, and return its `result`. Raises AssertionError with its traceback."""
        assert self._process.stdin is not None
        print(json.dumps({"code": dedent(code), "names": names}), file=self._process.stdin, flush=True)
        answer = json.loads(self._answers.readline() or '{"error": "the process has ended"}')
        assert "error" not in answer, f"{answer['error']}\n{self.output()[-6000:]}"
        return answer["result"]

    def run_dag(
        self, text: str, *, connections: dict[str, dict[str, Any]] | None = None, conf: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run a DAG file's `dag` to its end; a name of its own is put in for `DAG_ID`."""
        self._next += 1
        dag_id = f"dag_{self._next}"
        text = dedent(text).replace("DAG_ID", dag_id)
        self._set(connections or {})
        code = "result = run_dag(text, dag_id=dag_id, conf=conf)"
        return {"dag_id": dag_id, **self.python(code, text=text, dag_id=dag_id, conf=conf)}

    def output(self) -> str:
        """What it has printed and logged since the last look."""
        text = (self.home / "output.log").read_text()
        new, self._read_to = text[self._read_to :], len(text)
        return new

    def close(self) -> None:
        """Stop it and delete what it wrote."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._answers.close()
        self._log.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def _set(self, connections: dict[str, dict[str, Any]]) -> None:
        values = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()}
        self.python("import os; os.environ.update(values)", values=values)


def environment(home: Path) -> dict[str, str]:
    """Everything such an Airflow is told."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "PYTHON"))}
    dags = home / "dags"
    dags.mkdir(exist_ok=True)
    own = {
        "HOME": str(home),
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__FERNET_KEY": "",
        "CORE__UNIT_TEST_MODE": "False",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "API_AUTH__JWT_SECRET": "a-key-that-only-tests-know-and-that-is-long-enough-for-hs512-0123456789",
    }
    named = {f"AIRFLOW_{'' if name == 'HOME' else '_'}{name}": value for name, value in own.items()}
    return inherited | named | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def _migrated_home(version: str) -> Path:
    """A home with a migrated SQLite database, kept below `.cache/`: making it takes 10 s, copying it nothing."""
    lock = REPOSITORY / "requirements" / _LOCKS[version]
    digest = hashlib.sha256(lock.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]
    home = _CACHE / f"airflow-python-{version}-{digest}"
    _CACHE.mkdir(exist_ok=True)
    with (_CACHE / f"airflow-python-{version}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not home.exists():
            for outdated in _CACHE.glob(f"airflow-python-{version}-*"):
                shutil.rmtree(outdated)
            unfinished = Path(tempfile.mkdtemp(prefix="airflow-python-unfinished-"))
            command = [REPOSITORY / VENVS[version] / "bin" / "python", "-m", "airflow", "db", "migrate"]
            done = subprocess.run(command, env=environment(unfinished), capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-4000:]
            shutil.copytree(unfinished, home)
            shutil.rmtree(unfinished)
    return home
