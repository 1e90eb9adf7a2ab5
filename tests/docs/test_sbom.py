"""`make sbom` says what is shipped: every locked package in its version, and nothing else."""

import json
import re
import subprocess

from deploy.demo.airflow import REPOSITORY


def test_the_sbom_lists_what_is_locked() -> None:
    """CycloneDX, of the runtime lock; the bridge itself is what it describes."""
    command = ["make", "--old-file", ".venv/.ready", "sbom"]  # the environment is there, or this test would not run
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    found = json.loads((REPOSITORY / "build" / "sbom.json").read_text())
    locked = re.findall(
        r"(?m)^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", (REPOSITORY / "requirements/runtime.txt").read_text()
    )
    assert found["bomFormat"] == "CycloneDX"
    assert found["metadata"]["component"]["name"] == "planasonix-bridge"
    assert {(one["name"], one["version"]) for one in found["components"]} == set(locked)
    assert len(locked) > 20
