"""The stand-in for Airflow as a process of its own, which keeps its runs over a kill."""

import json
import sys
import threading
from pathlib import Path
from typing import Any

from tests.support.standin import Answer, Standin


class Lasting(Standin):
    """Writes every run to a journal before it answers, and reads the journal at start."""

    def __init__(self, port: int, journal: Path) -> None:
        """Listen on `port`."""
        super().__init__(port)
        self.dags = {"load_orders": {"is_paused": False}, "refresh_marts": {"is_paused": False}}
        self._journal = journal.open("a+b", buffering=0)
        self._writing = threading.Lock()
        for run in read_journal(journal):
            super().make_run(run["dag_id"], run)

    def make_run(self, dag_id: str, body: dict[str, Any]) -> Answer:
        """Make a run and write it down; the kernel has it then, whatever becomes of this process."""
        with self._writing:
            answer = super().make_run(dag_id, body)
            if answer[0] == 200:
                self._journal.write(json.dumps(answer[1]).encode() + b"\n")
            return answer


def read_journal(journal: Path) -> list[dict[str, Any]]:
    """Return the runs that were made, oldest first; a line that a kill cut short was never answered."""
    if not journal.exists():
        return []
    lines = journal.read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]


def main() -> None:
    """Answer until the end."""
    with Lasting(int(sys.argv[1]), Path(sys.argv[2])):
        threading.Event().wait()


if __name__ == "__main__":
    main()
