"""`make sbom` says what is shipped: every locked package in its version, and nothing else."""

import json
import re
import subprocess

from bridge import __version__
from deploy.demo.airflow import REPOSITORY
from scripts.sbom import debian


def test_the_sbom_lists_what_is_locked() -> None:
    """CycloneDX, of the runtime lock; the bridge itself is what it describes."""
    command = ["make", "--old-file", ".venv/.ready", "sbom"]  # the environment is there, or this test would not run
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    found = json.loads((REPOSITORY / "build" / "sbom.json").read_text())
    locked = re.findall(
        r"(?m)^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", (REPOSITORY / "requirements/runtime.txt").read_text()
    )
    assert found["bomFormat"] == "CycloneDX"
    root = found["metadata"]["component"]
    assert (root["name"], root["version"]) == ("planasonix-bridge", __version__)
    assert all(item["licenses"] for item in found["components"])
    assert {"expression": "BSD-3-Clause"} in next(c for c in found["components"] if c["name"] == "starlette")[
        "licenses"
    ]
    assert {(item["name"], item["version"]) for item in found["components"]} == set(locked)
    assert len(locked) > 20


STATUS = """\
Package: base-files
Status: install ok installed
Architecture: amd64
Version: 12.4+deb12u11
Description: Debian base system miscellaneous files
 More lines.

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""


def test_the_packages_of_an_image_are_those_that_are_installed() -> None:
    """With version, architecture and distribution, so that a scanner finds what is known of them."""
    (component,) = debian(STATUS, 'PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\nVERSION_ID="12"\n')
    assert (component["name"], component["version"]) == ("base-files", "12.4+deb12u11")
    assert component["purl"] == "pkg:deb/debian/base-files@12.4%2Bdeb12u11?arch=amd64&distro=debian-12"
