"""Write deploy/plain from the chart, and the chart's copies of deploy/observability: `make plain`.

Helm cannot read files outside a chart, and people without Helm want files: both are copies, and a test holds them in
step. Hooks are left out; what they do (check, a test event) is a command in docs/kubernetes.md.
"""

import re
import subprocess
from pathlib import Path

from deploy.demo.airflow import REPOSITORY

PLAIN = Path(__file__).parent
CHART = REPOSITORY / "deploy" / "chart"
OBSERVABILITY = ("alerts.yaml", "dashboard.json")
NAMESPACE = "planasonix-bridge"
_HELM = REPOSITORY / ".cache" / "kube" / "helm"
_MADE = "# Made by `make plain` from deploy/chart; change it there, or by an overlay of yours.\n"


def copies() -> dict[Path, str]:
    """Return the chart's files that are kept elsewhere, by where they belong."""
    return {
        CHART / "files" / name: (REPOSITORY / "deploy" / "observability" / name).read_text() for name in OBSERVABILITY
    }


def manifests() -> dict[Path, str]:
    """Return the plain manifests, one object in each file; runs the real helm."""
    command = [_HELM, "template", "planasonix-bridge", CHART, "--namespace", NAMESPACE, "--no-hooks"]
    command += ["--values", PLAIN / "values.yaml"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout  # noqa: S603
    made = {}
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
            made[PLAIN / f"{kind[1].lower()}{suffix}.yaml"] = _MADE + "\n".join(lines).strip() + "\n"
    return made


def main() -> None:
    """Write everything, and remove what is no longer made."""
    for path, text in copies().items():
        path.write_text(text)
    made = manifests()
    for path in PLAIN.glob("*.yaml"):
        if path not in made and path.read_text().startswith(_MADE):
            path.unlink()
    for path, text in made.items():
        path.write_text(text)
        print(path.relative_to(REPOSITORY))


if __name__ == "__main__":
    main()
