"""Make a release: `make release VERSION=0.2.0`, into dist/0.2.0.

1. Refuse what does not fit: VERSION is that of bridge/__init__.py, of the chart, and of the newest part of
   CHANGELOG.md, which has a date; nothing is uncommitted. DRAFT=1 asks for neither a date nor a clean tree.
2. Build the wheel and the source of the bridge, the wheel of the provider, the package of the chart,
   and pack the scripts of deploy/auth.
3. Build the image and save it as an archive, if buildah is here (BASE or LOCAL_BASE=1, as for `make image`). Where it
   is not, or with WITHOUT_IMAGE=1, say so.
4. Write the lists of packages with their licences (SBOM), the notes out of CHANGELOG.md, and a checksum of each file.

Every file has the commit's time, so the same commit makes the same image. Nothing is published: docs/releasing.md says
how.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.switches import is_on

ROOT = Path(__file__).resolve().parents[1]
HELM = ROOT / ".cache" / "kube" / "helm"
IMAGE = "localhost/planasonix-bridge"


def main() -> int:
    """Make everything, or say why not."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("version")
    options.add_argument("--to", type=Path, help="another folder than dist/VERSION")
    asked = options.parse_args()
    version: str = asked.version
    if problems := misfits(version, is_draft=is_on("DRAFT")):
        print("\n".join(f"error: {item}" for item in problems), file=sys.stderr)
        return 2
    place: Path = asked.to or ROOT / "dist" / version
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    os.environ["SOURCE_DATE_EPOCH"] = run("git", "log", "-1", "--format=%ct").strip()
    packages(place)
    recipes(place, version)
    image(place, version)
    (place / "notes.md").write_text(notes(version))
    files = sorted(path for path in place.iterdir())
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    (place / "SHA256SUMS").write_text(sums)
    print("\n".join(f"{path.stat().st_size:>12,}  {path.name}" for path in [*files, place / "SHA256SUMS"]))
    return 0


def misfits(version: str, *, is_draft: bool) -> list[str]:
    """Return what does not fit this version, as sentences."""
    chart = (ROOT / "deploy" / "chart" / "Chart.yaml").read_text()
    newest = re.search(r"(?m)^## (\S+)(?: - (.+))?$", (ROOT / "CHANGELOG.md").read_text())
    found = {
        "bridge/__init__.py": first(r'(?m)^__version__ = "(.+)"$', (ROOT / "bridge" / "__init__.py").read_text()),
        "version in deploy/chart/Chart.yaml": first(r"(?m)^version: (\S+)$", chart),
        "appVersion in deploy/chart/Chart.yaml": first(r'(?m)^appVersion: "?([^"\n]+)"?$', chart),
        "the newest part of CHANGELOG.md": newest[1] if newest else "",
    }
    problems = [f"{where} says {what or 'nothing'}, not {version}" for where, what in found.items() if what != version]
    if is_draft:
        return problems
    if newest and newest[2] == "unreleased":
        problems.append("the newest part of CHANGELOG.md is still `unreleased`: give it its date")
    if run("git", "status", "--porcelain").strip():
        problems.append("something is not committed")
    return problems


def packages(place: Path) -> None:
    """Build what Python and helm build, and the list of packages."""
    build = [
        ROOT / ".venv/bin/uv",
        "build",
        "--quiet",
        "--no-build-isolation",
        "--python",
        sys.executable,
        "--out-dir",
        place,
    ]
    for stale in (ROOT / "build" / "lib", ROOT / "deploy" / "airflow" / "build"):
        shutil.rmtree(stale, ignore_errors=True)  # setuptools would put yesterday's modules into the wheel
    run(*build, "--wheel", ROOT)
    run(*build, "--sdist", ROOT)
    run(*build, "--wheel", ROOT / "deploy" / "airflow")
    (place / ".gitignore").unlink(missing_ok=True)  # uv's own
    run(HELM, "package", ROOT / "deploy" / "chart", "--destination", place)
    run(sys.executable, ROOT / "scripts" / "sbom.py")
    shutil.copy(ROOT / "build" / "sbom.json", place / "sbom.json")


def recipes(place: Path, version: str) -> None:
    """Pack the scripts that sign in at managed Airflows, as they were committed."""
    packed = place / f"planasonix-bridge-{version}-auth.tar.gz"
    run("git", "archive", f"--output={packed.resolve()}", "HEAD", "deploy/auth")


def image(place: Path, version: str) -> None:
    """Build the image and save it, with its own list of packages."""
    if is_on("WITHOUT_IMAGE") or shutil.which("buildah") is None:
        print("no image: WITHOUT_IMAGE is set, or buildah is not here", file=sys.stderr)
        return
    name = f"{IMAGE}:{version}"
    run(ROOT / "deploy" / "image" / "build.sh", name)
    run("buildah", "push", "--quiet", name, f"docker-archive:{place / f'planasonix-bridge-{version}-image.tar'}:{name}")
    run(sys.executable, ROOT / "scripts" / "sbom.py", "--image", name)
    shutil.copy(ROOT / "build" / "sbom.json", place / "sbom-image.json")


def notes(version: str) -> str:
    """Return what CHANGELOG.md says of this version."""
    text = (ROOT / "CHANGELOG.md").read_text()
    found = re.search(rf"(?ms)^## {re.escape(version)}(?: - [^\n]*)?\n(.*?)(?=^## |\Z)", text)
    return found[1].strip() + "\n" if found else ""


def first(pattern: str, text: str) -> str:
    """Return what the first group of a pattern finds; an empty text if nothing."""
    found = re.search(pattern, text)
    return found[1] if found else ""


def run(*command: str | Path) -> str:
    """Return what a command prints; its complaint goes to stderr, and ends the release."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        print(f"error: {' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}", file=sys.stderr)
        raise SystemExit(1)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
