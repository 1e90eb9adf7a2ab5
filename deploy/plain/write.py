"""Write deploy/plain from the chart, the chart's copies of deploy/observability, and what `init` writes: `make plain`.

Helm cannot read files outside a chart, and people without Helm want files: all are copies, and tests hold them in step.
Hooks are left out; what they do (check, a test event) is a command in docs/kubernetes.md. deploy/compose/compose.yaml
and the unit of deploy/systemd are what `planasonix-bridge init` writes if nothing is chosen.
"""

import re
import subprocess
from pathlib import Path

from bridge.cli.starting import Answers, Place, compose_yaml, unit
from deploy.demo.airflow import REPOSITORY
from deploy.plain.readme import readme

PLAIN = Path(__file__).parent
CHART = REPOSITORY / "deploy" / "chart"
OBSERVABILITY = ("alerts.yaml", "dashboard.json")
NAMESPACE = "planasonix-bridge"
_HELM = REPOSITORY / ".cache" / "kube" / "helm"
_HEADER = "# Made by `make plain` from deploy/chart; change it there, or by an overlay of yours.\n"


def copies() -> dict[Path, str]:
    """Return the chart's files that are kept elsewhere, by where they belong."""
    return {
        CHART / "files" / name: (REPOSITORY / "deploy" / "observability" / name).read_text() for name in OBSERVABILITY
    } | {CHART / "README.md": readme((CHART / "Chart.yaml").read_text(), (CHART / "values.yaml").read_text())}


def firsts() -> dict[Path, str]:
    """Return the compose file and the unit of systemd, by where they belong."""
    url = "http://airflow.example.com"
    return {
        REPOSITORY / "deploy/compose/compose.yaml": compose_yaml(Answers(Place.COMPOSE, url)),
        REPOSITORY / "deploy/systemd/planasonix-bridge.service": unit(Answers(Place.SYSTEMD, url)),
    }


def manifests() -> dict[Path, str]:
    """Return the plain manifests, one object in each file; runs the real helm."""
    command = [_HELM, "template", "planasonix-bridge", CHART, "--namespace", NAMESPACE, "--no-hooks"]
    command += ["--values", PLAIN / "values.yaml"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout  # noqa: S603
    written = {}
    for part in re.split(r"^---\n", text, flags=re.MULTILINE):
        kind = re.search(r"^kind: (\w+)$", part, re.MULTILINE)
        name = re.search(r"^  name: (\S+)$", part, re.MULTILINE)
        if kind and name:
            suffix = name[1].removeprefix("planasonix-bridge")
            lines = [
                line
                for line in part.splitlines()
                if not re.match(r"# Source:|    (helm\.sh/chart|.*managed-by):", line)
            ]
            written[PLAIN / f"{kind[1].lower()}{suffix}.yaml"] = _HEADER + "\n".join(lines).strip() + "\n"
    return written


def main() -> None:
    """Write everything, and remove what is no longer made."""
    for path, text in (copies() | firsts()).items():
        path.write_text(text)
    written = manifests()
    for path in PLAIN.glob("*.yaml"):
        if path not in written and path.read_text().startswith(_HEADER):
            path.unlink()
    for path, text in written.items():
        path.write_text(text)
        print(path.relative_to(REPOSITORY))


if __name__ == "__main__":
    main()
