"""`make bench`, or `python -m tests.bench [PART...] [--quick] [--profile] [--write]`."""

import argparse
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import (
    acks,
    backlog,
    beside,
    burdens,
    costs,
    diffing,
    drain,
    end_to_end,
    following,
    history,
    load,
    machine,
    matching,
    moving,
    orders,
    pace,
    pages,
    peers,
    profiling,
    servers,
    startup,
    teams,
    tricks,
    waiting,
    waking,
)

_RESULTS = Path(__file__).with_name("RESULTS.md")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the bridge and print ratios.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(_PARTS)}; all of them by default")
    parser.add_argument("--quick", action="store_true", help="short runs, to see that it works")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of bare and bridge (7)")
    parser.add_argument("--seconds", type=int, default=5, help="length of one run under load (5)")
    parser.add_argument("--sustained", type=int, default=25, help="length of the one long run (25)")
    parser.add_argument("--stored", type=int, default=5_000_000, help="deliveries of the full store (5,000,000)")
    parser.add_argument("--profile", action="store_true", help="also show where the time of an answer goes (py-spy)")
    parser.add_argument("--imports", action="store_true", help="also show what is imported on the way to ready")
    parser.add_argument("--write", action="store_true", help=f"also write {_RESULTS.name}")
    parser.add_argument("--date", default=f"{datetime.now(UTC):%Y-%m-%d}", help="the date to write (today)")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(_PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if options.quick:
        options.rounds, options.seconds, options.sustained = 1, 2, 2
    return options


def _acks(options: argparse.Namespace) -> list[str]:
    return acks.measure(rounds=options.rounds, seconds=options.seconds, sustained_seconds=options.sustained)


def _costs(options: argparse.Namespace) -> list[str]:
    return costs.measure(rounds=min(3, options.rounds), seconds=options.seconds, burst=10_000)


def _drain(options: argparse.Namespace) -> list[str]:
    if options.quick:
        return drain.measure(waiting=200, pairs=1, trial=60)
    return drain.measure(waiting=2_000, pairs=min(3, options.rounds), trial=300)


def _history(options: argparse.Namespace) -> list[str]:
    amount = 100_000 if options.quick else options.stored
    return history.measure(history.Plan(amount, min(3, options.rounds), options.seconds))


_PARTS: dict[str, Callable[[argparse.Namespace], list[str]]] = {
    "startup": lambda options: startup.measure(starts=3 if options.quick else 7),
    "acks": _acks,
    "peers": lambda options: peers.measure(rounds=min(3, options.rounds), seconds=options.seconds),
    "costs": _costs,
    "tricks": lambda options: tricks.measure(rounds=options.rounds, seconds=1),
    "end_to_end": lambda options: end_to_end.measure(pairs=20 if options.quick else 200, per_second=3),
    "drain": _drain,
    "backlog": lambda options: backlog.measure(waiting=2_000 if options.quick else 72_000),
    "history": _history,
    "waiting": lambda options: waiting.measure(
        waiting=20_000 if options.quick else 1_000_000, rounds=min(3, options.rounds)
    ),
    "following": lambda options: following.measure(
        open_runs=100 if options.quick else 1_000, seconds=5 if options.quick else 30
    ),
    "waking": lambda options: waking.measure(
        waits=5 if options.quick else 50, parked=1_000, seconds=30 if options.quick else 600
    ),
    "beside": lambda options: beside.measure(webhooks=30 if options.quick else 400),
    "pace": lambda options: pace.measure(
        real=100 if options.quick else 600, strained=60 if options.quick else 400, pairs=min(3, options.rounds)
    ),
    "diffing": lambda options: diffing.measure(stored=20_000 if options.quick else 1_000_000),
    "teams": lambda options: teams.measure(rounds=2 if options.quick else 20),
    "moving": lambda options: moving.measure(
        stored=20_000 if options.quick else 1_000_000, waiting=100 if options.quick else 2_000
    ),
    "pages": lambda options: pages.measure(
        stored=20_000 if options.quick else 1_000_000, rounds=3 if options.quick else 20
    ),
    "burdens": lambda options: burdens.measure(
        waiting=1_000 if options.quick else 20_000, seconds=3 if options.quick else 20
    ),
    "matching": lambda _: matching.measure(),
    "orders": lambda options: orders.measure(items=2_000 if options.quick else 20_000, idle_seconds=options.seconds),
}


def main() -> int:
    """Measure what was asked for, print each section when it is there, and write them all if asked."""
    options = _options()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # start-up is measured with byte code, as an installation has it
    try:
        load.check_installed()
    except load.NotInstalled as missing:
        print(missing, file=sys.stderr)
        return 2
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    sections = [_show(["# Measured", "", *machine.describe(servers.FOLDER, options.date)])]
    sections += [_show(measure(options)) for name, measure in _PARTS.items() if name in (options.parts or _PARTS)]
    if options.imports:
        sections.append(_show(startup.import_times()))
    if options.profile:
        sections.append(_show(profiling.measure()))
    if options.write:
        _RESULTS.write_text("\n\n".join("\n".join(section) for section in sections) + "\n")
    return 0


def _show(section: list[str]) -> list[str]:
    print("\n".join(section), end="\n\n", flush=True)
    return section


if __name__ == "__main__":
    sys.exit(main())
