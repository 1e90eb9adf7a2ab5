"""What needs a person and only the running service, or a look at the files, tells. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
_CHECK = "Run `planasonix-bridge check`; a running bridge uses the last good one, if any, until the file is mended."
_WAITS = ", nor was one in use before, so every webhook is taken in and waits"
_UNUSED = ", nor was it before, so nothing of it is in use and its routes start nothing"
_THEN_REPLAY = (
    "Mend what `planasonix-bridge check` names; then run `planasonix-bridge replay --state unrouted --since ...`"
    " for what came before it was mended."
)


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
    unused: Collection[str] = (),
    mapping_since: datetime | None = None,
) -> Iterator[Trouble]:
    """Return what is wrong with the files: the first problem of each kind, and how many there are.

    `is_lacking`: no mapping is in use, so everything waits. `unused`: the files of a mapping of which nothing is in
    use; each is told of by itself. `mapping_since`: since when the mapping is broken, if that is known.
    """
    if is_lacking and mapping:
        says = _broken("the mapping", mapping, _WAITS)
        yield Trouble("mapping_broken", "mapping", says, Reason.MAPPING_BROKEN.next_step, mapping_since)
    else:
        if kept := [each for each in mapping if each.file not in unused]:
            yield Trouble("mapping_broken", "mapping", _broken("the mapping", kept), _CHECK, mapping_since)
        for file in sorted({each.file for each in mapping} & set(unused)):
            says = _broken(file, [each for each in mapping if each.file == file], _UNUSED)
            yield Trouble("mapping_broken", file, says, _THEN_REPLAY, mapping_since)
    if secrets:
        yield Trouble("secrets_broken", "secrets", _broken("the secrets", secrets), _CHECK)


def _broken(what: str, problems: Sequence[Problem], meanwhile: str = "") -> str:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{what} cannot be used{meanwhile}: {problems[0]}{more}"


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
