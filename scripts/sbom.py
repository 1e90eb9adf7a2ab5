"""Write build/sbom.json: every package that the bridge is shipped with, its version, hashes and licence (CycloneDX).

sbom.py                      Python packages from requirements/runtime.txt, licences from their installed metadata
sbom.py --image NAME:TAG     what an image says of itself, its Debian packages too; buildah or docker reads it there
sbom.py --inside             printed inside the build of an image, of what is installed there; needs Python alone
"""

import argparse
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
NAME = "planasonix-bridge"
INSIDE = "/usr/share/planasonix-bridge/sbom.json"
DOCUMENTS = Path("/usr/share/doc")
STATUS = "/var/lib/dpkg/status"
RELEASE = "/etc/os-release"
Json = dict[str, Any]


def main() -> int:
    """Write the file and say where."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--image", help="what this image says of itself")
    options.add_argument("--inside", action="store_true", help="print what is installed beside this Python")
    asked = options.parse_args()
    if asked.inside:
        print(json.dumps(inside(), indent=1, sort_keys=True))
        return 0
    sbom = shipped() if asked.image is None else json.loads(read_in_image(asked.image, INSIDE))
    place = ROOT / "build" / "sbom.json"
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(sbom, indent=2) + "\n")
    print(f"{place.relative_to(ROOT)}: {len(sbom['components'])} packages")
    return 0


def shipped() -> Json:
    """Return the document of the runtime lock, with the licences."""
    sbom = locked()
    sbom["metadata"]["component"]["version"] = version()
    for component in sbom["components"]:
        component["licenses"] = licences(component["name"])
    return sbom


def inside() -> Json:
    """Return the document of an image from within: the Python packages of this environment, and Debian's."""
    python = [
        {"type": "library", "name": name, "version": item.version, "purl": f"pkg:pypi/{name}@{item.version}"}
        | {"licenses": licences(name)}
        for item in importlib.metadata.distributions()
        if (name := re.sub(r"[-_.]+", "-", item.metadata["Name"]).lower()) != NAME
    ]
    system = debian(Path(STATUS).read_text(), Path(RELEASE).read_text())
    for component in system:
        component["licenses"] = debian_licences(DOCUMENTS / str(component["name"]) / "copyright")
    root = {"type": "application", "name": NAME, "version": importlib.metadata.version(NAME)}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root | {"licenses": [{"expression": "Apache-2.0"}]}},
        "components": [*sorted(python, key=lambda item: str(item["name"])), *system],
    }


def debian_licences(file: Path) -> list[Json]:
    """Return the names of the licences in a copyright file of Debian; where it names none, the file itself."""
    text = file.read_text(errors="replace") if file.is_file() else ""
    names = sorted(set(re.findall(r"(?m)^License:[ \t]*(\S.*?)[ \t]*$", text)))
    return [{"license": {"name": name}} for name in names or [f"see {file}"]]


def locked() -> Json:
    """Return the CycloneDX document of the runtime lock; it says nothing of licences."""
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", "requirements/runtime.txt"]
    command += ["--pyproject", "pyproject.toml", "--output-reproducible", "--output-format", "JSON"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    found: Json = json.loads(done.stdout)
    return found


def version() -> str:
    """Return the bridge's own version."""
    found = re.search(r'__version__ = "(.+)"', (ROOT / "bridge" / "__init__.py").read_text())
    if found is None:
        raise SystemExit("bridge/__init__.py names no __version__")
    return found[1]


def licences(package: str) -> list[Json]:
    """Return what a package says of its licence: the SPDX expression, else its classifiers, else its own text."""
    try:
        metadata = importlib.metadata.metadata(package)
    except importlib.metadata.PackageNotFoundError:
        return [{"license": {"name": "not installed here: it is for another platform"}}]
    if expression := metadata.get("License-Expression"):
        return [{"expression": expression}]
    classifiers = [c for c in metadata.get_all("Classifier") or () if c.startswith("License ::")]
    names = [c.rpartition(" :: ")[2] for c in classifiers if c != "License :: OSI Approved"]
    names = names or [(metadata.get("License") or "not stated").strip().splitlines()[0]]
    return [{"license": {"name": name}} for name in names]


def debian(status: str, release: str) -> list[Json]:
    """Return one component for each installed package of a dpkg database (deb-control(5), os-release(5))."""
    distribution = dict(re.findall(r'(?m)^(\w+)="?([^"\n]*)"?$', release))
    components = []
    for paragraph in status.strip().split("\n\n"):
        fields = dict(re.findall(r"(?m)^([A-Za-z-]+): (.*)$", paragraph))
        if fields.get("Status") != "install ok installed":
            continue
        name, number, architecture = fields["Package"], fields["Version"], fields["Architecture"]
        place = f"{distribution.get('ID', 'debian')}-{distribution.get('VERSION_ID', '')}"
        purl = f"pkg:deb/{distribution.get('ID', 'debian')}/{name}@{quote(number)}?arch={architecture}&distro={place}"
        components.append({"type": "library", "name": name, "version": number, "purl": purl, "bom-ref": purl})
    return sorted(components, key=lambda component: str(component["name"]))


def read_in_image(image: str, path: str) -> str:
    """Return a file of an image's file system."""
    if docker := shutil.which("docker") if shutil.which("buildah") is None else None:
        return run(docker, "run", "--rm", "--entrypoint", "cat", image, path)
    container = run("buildah", "from", "--pull-never", image).strip()
    try:
        return (Path(run("buildah", "mount", container).strip()) / path.lstrip("/")).read_text()
    finally:
        run("buildah", "rm", container)


def run(*command: str) -> str:
    """Return what a command prints; its complaint goes to stderr."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout  # noqa: S603 - our own words


if __name__ == "__main__":
    sys.exit(main())
