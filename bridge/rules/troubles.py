"""What needs a person and only the running service, or a look at the files, tells. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.rules.signature import Key, ending
from bridge.words.errors import Problem
from bridge.words.notices import Failing
from bridge.words.reasons import Reason
from bridge.words.replicas import LoadedMapping
from bridge.words.silences import Silence

_CERTIFICATE_SOON = timedelta(days=14)
_REACHES_ALL = timedelta(minutes=5)  # as the alert BridgeMappingDiffers: a ConfigMap takes a minute to reach every pod
_CHECK = "Run `planasonix-bridge check`; a running bridge uses the last good one until the file is mended."
_WAITS = ", nor was one in use before, so every webhook is taken in and waits"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What only the running service, or a look at the files, tells: `what` is the need's word."""

    what: str
    about: str
    says: str
    next_step: str
    since: datetime | None = None
    reason: Reason | None = None


# Only who looks at the store from beside can find this; no bridge could notify anybody of it.
NO_BRIDGE = Trouble(
    "no_bridge",
    "bridge",
    "no bridge serves this store (none has said so for a minute): nothing is taken in, and nothing is started",
    "Start `planasonix-bridge serve`, or read its log if it should run. If it uses another store, ask it with --url.",
)


def of_files(
    mapping: Sequence[Problem],
    secrets: Sequence[Problem],
    *,
    is_lacking: bool = False,
    mapping_since: datetime | None = None,
) -> Iterator[Trouble]:
    """Return what is wrong with the files: the first problem of each, and how many there are.

    `is_lacking`: no mapping is in use, so everything waits. `mapping_since`: since when it is broken, if that is known.
    """
    for what, kind, problems in (("mapping_broken", "mapping", mapping), ("secrets_broken", "secrets", secrets)):
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            waits = what == "mapping_broken" and is_lacking
            says = f"the {kind} cannot be used{_WAITS if waits else ''}: {problems[0]}{more}"
            since = mapping_since if what == "mapping_broken" else None
            yield Trouble(what, kind, says, Reason.MAPPING_BROKEN.next_step if waits else _CHECK, since)


def of_keys(keys: Mapping[str, Iterable[Key]], now: datetime) -> Iterator[Trouble]:
    """Return which keys have ended, or will within two weeks; `keys` by source."""
    for source, each in keys.items():
        for key in each:
            if (says := ending(key, now.timestamp())) is not None:
                step = "Add the next one first: docs/signatures.md, or `planasonix-bridge rotate`."
                yield Trouble("key_expires", f"{source} {key.id}", f"key {key.id} of source {source}: {says}", step)


def of_certificate(ends_at: datetime | None, now: datetime) -> Iterator[Trouble]:
    """Return whether the admin listener's certificate has ended, or will within two weeks."""
    if ends_at is not None and ends_at - now < _CERTIFICATE_SOON:
        verb = "ended" if ends_at <= now else "ends"
        says = f"the certificate of the admin listener {verb} at {ends_at:%Y-%m-%d %H:%M} UTC"
        step = "Renew it in the place of BRIDGE_ADMIN_TLS_CERT_FILE; it is used without a restart."
        yield Trouble("key_expires", "admin listener", says, step)


def of_replicas(found: Sequence[LoadedMapping], now: datetime) -> Iterator[Trouble]:
    """Return whether replicas have used different mappings for longer than a change takes to reach all of them."""
    digests = {each.digest for each in found}
    # Since when each is in use anywhere: a replica that restarts loads an old one anew.
    begun = [min(each.loaded_at for each in found if each.digest == digest) for digest in digests]
    changed_at = max(begun, default=now)
    if len(digests) > 1 and now - changed_at >= _REACHES_ALL:
        using = ", ".join(sorted(f"{each.host} uses {each.digest}" for each in found))
        says = f"the replicas use {len(digests)} different mappings: {using}. What starts depends on who routes it"
        step = (
            "Run `planasonix-bridge check` at the replica that is behind: is its file old, or broken? Then restart it."
        )
        yield Trouble("mapping_differs", "mapping", says, step, changed_at)


def of_targets(failing: Sequence[Failing]) -> Iterator[Trouble]:
    """Return who is not reached."""
    for each in failing:
        says = f"messages to {each.to} are not sent: {each.problem}"
        step = "Mend its URL in `bridge.yaml`, or the service; then run `planasonix-bridge notify --test`."
        yield Trouble("not_notified", each.to, says, step, each.since)


def of_silences(known: Sequence[Silence], now: datetime) -> Iterator[Trouble]:
    """Return which sources have sent nothing for longer than they may."""
    for each in known:
        if each.is_silent(now):
            ever = "" if each.heard_at else ", nor ever before"
            says = f"source {each.source} has sent no webhook for more than {_spelled(each.after)}{ever}"
            step = (
                f"Run `planasonix-bridge refusals --source {each.source}`. If nothing was refused, nothing came:"
                " look at its webhooks in Planasonix, and whether pipelines ran at all."
            )
            yield Trouble("source_silent", each.source, says, step, each.counted_from)


def _spelled(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    unit, size = next(((unit, size) for unit, size in (("h", 3600), ("m", 60)) if seconds % size == 0), ("s", 1))
    return f"{seconds // size}{unit}"
