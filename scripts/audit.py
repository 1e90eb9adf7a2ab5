"""Ask pip-audit whether a locked version has a known hole.

Exit 1 for a finding. A vulnerability service that cannot be asked is said plainly, and is a failure with STRICT=1 only:
the checks must run without a network. PIP_AUDIT_VULNERABILITY_SERVICE and PIP_AUDIT_OSV_URL name another service.

pip-audit itself calls what the service does not know "skipped" and ends with "No known vulnerabilities found", which
is why its JSON is read here. A clean answer is good for a day, for the same locks and accepted holes.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

from scripts.switches import is_on

ROOT = Path(__file__).resolve().parents[1]
STAMP = ROOT / ".cache" / "audited"
DAY_SECONDS = 86_400.0
LONGEST_SECONDS = 180.0


def main() -> int:
    """Audit every lock, or those that are named; print one line, or the findings."""
    locks = [Path(name).absolute() for name in sys.argv[1:]] or sorted((ROOT / "requirements").glob("*.txt"))
    digest = digest_of(locks)
    if STAMP.exists() and STAMP.read_text() == digest and time.time() - STAMP.stat().st_mtime < DAY_SECONDS:
        print("pip-audit: no known hole in these locks, asked within the last day")
        return 0
    # The shortest lock first: without a service there is no need to ask for the others.
    first, *others = sorted(locks, key=lambda lock: lock.stat().st_size)
    known, is_complete = 0, True
    found: list[dict[str, Any]] = []
    for lock in (first, *others):
        packages = audit(lock)
        answered = [package for package in packages or () if "vulns" in package]
        if not answered:
            print(f"pip-audit: NOT CHECKED, the vulnerability service cannot be asked (tried {lock.name})")
            return report(found, is_complete=False)
        for package in packages or ():
            if "vulns" not in package:
                print(f"pip-audit: NOT CHECKED: {package['name']} ({lock.name})")
                is_complete = False
        found += [package | {"lock": lock.name} for package in answered if package["vulns"]]
        known += len(answered)
    if not found and is_complete:
        STAMP.parent.mkdir(exist_ok=True)
        STAMP.write_text(digest)
        print(f"pip-audit: no known hole in {known} locked versions")
    return report(found, is_complete=is_complete)


def digest_of(locks: list[Path]) -> str:
    """Return a digest of all that an answer depends on: whom it asks, the locks, and the holes that are accepted."""
    service = "".join(os.environ.get(f"PIP_AUDIT_{name}", "") for name in ("VULNERABILITY_SERVICE", "OSV_URL"))
    asked = [service.encode(), json.dumps(sorted(accepted())).encode(), *(lock.read_bytes() for lock in locks)]
    return hashlib.sha256(b"\0".join(asked)).hexdigest()


def audit(lock: Path) -> list[dict[str, Any]] | None:
    """Return what pip-audit says of each locked package, None if it could not ask."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--disable-pip", "--require-hashes"]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", "5"]
    for hole in accepted():
        command += ["--ignore-vuln", hole]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS)  # noqa: S603
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return found


def accepted() -> dict[str, str]:
    """Return the holes that do not concern the bridge, with the reason why."""
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    holes: dict[str, str] = settings["tool"].get("planasonix-bridge", {}).get("accepted-holes", {})
    return holes


def report(found: list[dict[str, Any]], *, is_complete: bool) -> int:
    """Print the findings; returns the exit code. `is_complete`: the service knew every version."""
    for package in found:
        for hole in package["vulns"]:
            mended = ", ".join(hole.get("fix_versions") or ()) or "no version yet"
            print(
                f"pip-audit: {package['lock']}: {package['name']} {package['version']}"
                f" has {hole['id']}, mended in {mended}"
            )
    if found:
        print("pip-audit: run `make lock UPGRADE=1`, or add the id and a reason to accepted-holes in pyproject.toml")
    if not is_complete and is_on("STRICT"):
        print("pip-audit: STRICT: what was not checked is a failure; run it where the service can be asked")
        return 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
