"""The provider for Airflow as `make provider` builds it, unpacked in a folder.

On PYTHONPATH it is as good as installed, and Airflow's environment stays what its lock file says.
"""

import shutil
import subprocess
import tempfile
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


def unpack(wheel: Path, folder: Path) -> Path:
    """Unpack the wheel with its entry points; returns the folder."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def install(folder: Path) -> None:
    """Build it and unpack it in a folder, instead of what was there (a second)."""
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as place:
        unpack(build(Path(place)), folder)
