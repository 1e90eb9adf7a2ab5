"""`make crash`."""

import argparse
import sys

from tests.crash.many import STORES, run_seeds, totals


def main() -> int:
    """Read the options, run, print."""
    parser = argparse.ArgumentParser(prog="make crash")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", choices=STORES)
    parser.add_argument("--at-once", type=int, default=2)
    given = parser.parse_args()
    stores = (given.store,) if given.store else STORES
    at_once = max(1, min(given.at_once, given.rounds))
    results, left_out = run_seeds(range(given.seed, given.seed + given.rounds), stores, at_once=at_once, say=True)
    print(totals(results, left_out))
    return int(any(not result.audit.is_clean for result in results) or not results)


if __name__ == "__main__":
    sys.exit(main())
