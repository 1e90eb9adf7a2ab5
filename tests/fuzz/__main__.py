"""`python -m tests.fuzz [TARGET ...] --seconds 600`: fuzz under Atheris, and say how much was tried and what broke.

Each target runs in a process of its own, as many at once as there are cores. libFuzzer writes the input that broke
something to .cache/fuzz/<target>/crash-*; copy it to tests/fuzz/corpus/<target>/ once it is understood, and it is
tried again by every `make test`.
"""

import argparse
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import seeds

_ROOT = Path(__file__).parents[2]
_KEPT = _ROOT / ".cache" / "fuzz"
_KNOWN = Path(__file__).parent / "corpus"
NAMES = ("signatures", "bodies", "mappings", "templates", "keysets", "application")
_INSTRUMENTED = ["bridge", "jinja2", "jwt", "ruamel"]
_MOST_BYTES = 4096
_RSS_LIMIT_MIB = 1500
_SLOWEST_SECONDS = 10
_LINE = re.compile(r"#(\d+)\s.*rss: (\d+)Mb")


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one target."""

    name: str
    inputs: int
    rss_early: int  # MiB at a tenth of the inputs, when code and corpus are loaded
    rss_last: int
    code: int
    output: str


def fuzz(name: str, seconds: int) -> Ran:
    """Fuzz one target in a process of its own, for so long."""
    folder = _KEPT / name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    (_KNOWN / name).mkdir(parents=True, exist_ok=True)
    (folder / "words").write_text(seeds.words(name))
    command = [
        *(sys.executable, "-m", "tests.fuzz", "--run", name, str(corpus), str(_KNOWN / name)),
        f"-max_total_time={seconds}",
        f"-max_len={_MOST_BYTES}",
        f"-rss_limit_mb={_RSS_LIMIT_MIB}",
        f"-timeout={_SLOWEST_SECONDS}",
        f"-dict={folder}/words",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
    ]
    done = subprocess.run(command, cwd=_ROOT, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, check=False)
    output = done.stdout.decode("utf-8", "replace")
    (folder / "log.txt").write_text(output)
    seen = [(int(inputs), int(rss)) for inputs, rss in _LINE.findall(output)]
    last = seen[-1] if seen else (0, 0)
    early = next((rss for inputs, rss in seen if inputs * 10 >= last[0]), 0)
    return Ran(name, last[0], early, last[1], done.returncode, output)


def _run(name: str, arguments: list[str]) -> None:
    """Be the process that fuzzes: instrument the bridge as it is imported, then hand over to libFuzzer."""
    import atheris

    with atheris.instrument_imports(include=_INSTRUMENTED, enable_loader_override=False):
        from tests.fuzz import targets

        item: Callable[[bytes], None]
        if name == "application":
            from tests.fuzz.application import Application

            item = Application().one
        else:
            item = targets.TARGETS[name]
    corpus = Path(arguments[0])
    for number, seed in enumerate(seeds.seeds(name)):
        (corpus / f"seed-{number:03}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *arguments], item)
    atheris.Fuzz()


def main() -> int:
    """Fuzz what was asked for; 1 if anything broke."""
    if sys.argv[1:2] == ["--run"]:
        _run(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)}; all if none is given")
    parser.add_argument("--seconds", type=int, default=600, help="how long each target is fuzzed")
    asked = parser.parse_args()
    if wrong := set(asked.targets) - set(NAMES):
        parser.error(f"no such target: {', '.join(sorted(wrong))}")
    broken = False
    total = 0
    print(f"{'target':<12} {'inputs':>11} {'RSS MiB':>12}  result")
    lock = threading.Lock()

    def report(ran: Ran) -> None:
        nonlocal broken, total
        with lock:
            total += ran.inputs
            broken |= ran.code != 0
            result = "nothing broke" if ran.code == 0 else f"BROKEN, see .cache/fuzz/{ran.name}/log.txt"
            print(f"{ran.name:<12} {ran.inputs:>11,} {ran.rss_early:>5} ->{ran.rss_last:>5}  {result}", flush=True)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda name: report(fuzz(name, asked.seconds)), asked.targets or NAMES))
    print(f"{'all':<12} {total:>11,}")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
