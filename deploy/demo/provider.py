"""The provider for Airflow as `make provider` builds it, unpacked in a folder.

On PYTHONPATH it is as good as installed, and Airflow's environment stays what its lock file says.
"""

import shutil
import subprocess
import zipfile
from pathlib import Path

from deploy.demo.airflow import REPOSITORY

_PYTHON = REPOSITORY / ".venv" / "bin" / "python"
_UV = (REPOSITORY / ".venv" / "bin" / "uv", "build", "--quiet", "--wheel", "--no-build-isolation", "--offline")


def build(place: Path) -> Path:
    """Build the wheel in a folder; returns its path. Nothing is written beside the source."""
    source = place / "source"
    shutil.copytree(REPOSITORY / "deploy" / "airflow", source, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    subprocess.run([*_UV, "--python", _PYTHON, "--out-dir", place / "dist", source], check=True)  # noqa: S603 - ours
    (wheel,) = (place / "dist").glob("*.whl")
    return wheel


def unpack(wheel: Path) -> Path:
    """Unpack the wheel beside itself, with its entry points; returns the folder."""
    place = wheel.parent / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    return place
