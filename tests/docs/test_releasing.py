"""`make release` makes all that a release consists of, and the CI of a fork calls what there is."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bridge import __version__
from deploy.demo.airflow import REPOSITORY
from scripts import release

SHIPPED = sorted(
    path
    for folder in ("bridge", "config", "deploy", "docs")
    for path in (REPOSITORY / folder).rglob("*")
    if "build" not in path.relative_to(REPOSITORY).parts  # comes and goes
    and path.is_file()
    and path.suffix in {"", ".md", ".py", ".sh", ".service", ".tpl", ".yaml"}
)
# Of an image, of a package to install, of a tag of this repository.
VERSIONED = re.compile(
    r"planasonix-bridge(?::|==|-)([0-9]+\.[0-9]+\.[0-9]+)|(?:newTag|targetRevision|tag): v?([0-9.]+)\b"
)
CI = sorted((REPOSITORY / "deploy" / "ci").glob("*.yaml"))


def make(version: str, to: Path, *, root: Path = REPOSITORY, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run the script as `make release` does."""
    command = [sys.executable, "-m", "scripts.release", version, "--to", to]
    env = os.environ | more
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False, timeout=300)


def test_a_release_has_all_its_files(tmp_path: Path) -> None:
    """Wheel, source with templates and pages, provider, chart, sign-ins, packages, notes; a right checksum for each."""
    done = make(__version__, tmp_path / "out", DRAFT="1", WITHOUT_IMAGE="1")
    assert done.returncode == 0, done.stderr
    assert "no image" in done.stderr
    names = {path.name for path in (tmp_path / "out").iterdir()}
    stem = f"planasonix_bridge-{__version__}"
    assert {f"{stem}-py3-none-any.whl", f"{stem}.tar.gz", f"planasonix-bridge-{__version__}.tgz"} < names
    assert {"sbom.json", "notes.md", "SHA256SUMS"} < names
    assert len([name for name in names if name.startswith("airflow_provider_planasonix_bridge-")]) == 1
    sums = dict(reversed(line.split("  ")) for line in (tmp_path / "out/SHA256SUMS").read_text().splitlines())
    assert set(sums) == names - {"SHA256SUMS"}
    assert all(
        hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == item for name, item in sums.items()
    )
    wheel = zipfile.ZipFile(tmp_path / "out" / f"{stem}-py3-none-any.whl").namelist()
    with tarfile.open(tmp_path / "out" / f"{stem}.tar.gz") as source:
        archived = source.getnames()
    with tarfile.open(tmp_path / "out" / f"planasonix-bridge-{__version__}-auth.tar.gz") as recipes:
        assert {f"deploy/auth/{name}.py" for name in ("composer", "entra", "mwaa")} < set(recipes.getnames())
    for name in ("/templates/compose.yaml", "/templates/planasonix-bridge.service", "/templates/parts.html"):
        assert all(any(item.endswith(name) for item in names) for names in (wheel, archived)), name
    assert (tmp_path / "out/notes.md").read_text() == release.notes(__version__)


def test_the_notes_are_the_part_of_the_version() -> None:
    """Nothing of the version below, and no heading of its own."""
    for version in re.findall(r"(?m)^## ([0-9.]+)", (REPOSITORY / "CHANGELOG.md").read_text()):
        assert len(release.notes(version)) > 100
        assert "\n## " not in release.notes(version)


def test_every_page_and_manifest_names_this_version() -> None:
    """What people copy installs the release that they read about."""
    found = [
        (str(path.relative_to(REPOSITORY)), "".join(versions))
        for path in SHIPPED
        for versions in VERSIONED.findall(path.read_text())
    ]
    assert [item for item in found if item[1] != __version__] == []
    assert {"deploy/gitops/flux.yaml", "deploy/plain/kustomization.yaml", "docs/compose.md"} < {
        file for file, _ in found
    }


def test_another_version_is_refused(tmp_path: Path) -> None:
    """Exit 2, with each place that says otherwise; nothing is made."""
    done = make("9.9.9", tmp_path / "out", DRAFT="1")
    assert (done.returncode, (tmp_path / "out").exists()) == (2, False)
    assert len(re.findall(r"(?m)^error: .* not 9\.9\.9$", done.stderr)) == 4


def test_draft_0_is_no_draft(tmp_path: Path) -> None:
    """Files that nobody has committed are refused, as without DRAFT."""
    root = tmp_path / "root"
    shutil.copytree(REPOSITORY / "scripts", root / "scripts")
    for name in ("CHANGELOG.md", "bridge/__init__.py", "deploy/chart/Chart.yaml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, root / name)
    subprocess.run(["git", "init", "--quiet", root], check=True, timeout=60)
    done = make(__version__, tmp_path / "out", root=root, DRAFT="0")
    assert (done.returncode, (tmp_path / "out").exists()) == (2, False)
    assert "error: something is not committed" in done.stderr


@pytest.mark.parametrize("path", CI, ids=lambda path: path.stem)
def test_the_ci_of_a_fork_calls_what_there_is(path: Path) -> None:
    """Its targets are in the Makefile, its files are those of a release, and it has nothing to fill in."""
    text = path.read_text()
    assert YAML(typ="safe").load(text)
    targets = set(re.findall(r"(?m)^([a-z]+):", (REPOSITORY / "Makefile").read_text()))
    called = set(re.findall(r"\bmake ([a-z]+)", re.sub(r"(?m)#.*$|install .*$", "", text)))
    assert {"test", "release"} <= called <= targets | {"the"}
    assert "example" not in text
    assert "pull_request_target" not in text
