"""Rotates the secret of a source without losing a webhook, beside a running bridge.

1. `begin`: find the subscription, and write the journal before anything is changed.
2. `add`: add a second subscription, switched off, with the same URL and events. If its answer was lost, it is the one
   at this URL that the journal does not name.
3. `keep`: write its secret to the file of the optional key. If it was lost, ask for another one: nothing is signed
   with it yet.
4. `known`: wait until every replica that is alive has loaded the new secret, and takes signed test events.
5. `on`: switch the second subscription on. From here every event comes twice; copies start nothing.
6. `proved`: wait until Planasonix says that a webhook of it was taken, and let both deliver for a while.
7. `off`: remove the first subscription.
8. `retire`: wait until no webhook comes by the old secret any more, for as long as Planasonix may retry; take it away.

Every step may be stopped at, and run again: it looks at what is there, and makes one change at most before the journal
is written. Up to step 7 `undo` goes back. The first subscription goes only after the second one was proved, so at every
moment one of them delivers with a secret that the bridge knows.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bridge.edges.planasonix import hooks
from bridge.flows.rotating.evidence import is_taken, key_of, last_by, was_taken, without
from bridge.flows.rotating.facts import Rotation, SecretFile
from bridge.flows.rotating.noted import Noted
from bridge.words.errors import BridgeError, LookupNotFound
from bridge.words.findings import Finding, Verdict, fine, unknown, wrong
from bridge.words.subscriptions import Subscription
from bridge.words.targets import Secret

_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.2, 10.0
__all__ = ["Noted", "Rotation", "SecretFile", "rotate", "undo"]
_AGAIN = "Run the same command again: it goes on with this step."
_RUN = "planasonix-bridge"


def rotate(what: Rotation) -> Iterator[Finding]:
    """Yield each step when it is done; the last one that is not fine says why it stopped, and how to go on."""
    run = _Run(what)
    steps = (run.begin, run.add, run.keep, run.known, run.on, run.proved, run.off, run.retire)
    for step in steps:
        try:
            found = step()
        except BridgeError as error:
            found = unknown(step.__name__, what.source.name, str(error), _AGAIN)
        except (OSError, ValueError) as error:
            says = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            found = wrong(step.__name__, str(what.file.path), says, f"Mend the file or its folder. {_AGAIN}")
        yield found
        if found.verdict is not Verdict.FINE:
            return


def undo(what: Rotation) -> Finding:
    """Take back what was begun, as long as the first subscription is there."""
    noted = Noted.read(what.journal)
    if noted is None:
        return wrong("undo", what.source.name, "no rotation was begun here", "Nothing is to be done.")
    every = what.api.every()
    if noted.removed_at is not None or all(item.id != noted.former for item in every):
        return wrong("undo", noted.former, "the first subscription is gone already", f"Finish it: {_AGAIN}")
    for item in every:
        if item.id == noted.successor or (noted.successor is None and noted.may_be(item)):
            with suppress(LookupNotFound):
                what.api.delete(item.id)
    what.file.path.unlink(missing_ok=True)
    what.journal.end()
    return fine("undo", noted.former, "it delivers alone, as before")


class _Run:
    """One run of the steps, in their order; each returns what it found."""

    def __init__(self, what: Rotation) -> None:
        self._what = what
        self._until = time.monotonic() + what.wait_seconds
        self._noted: Noted | None = None
        self._new_secret: Secret | None = None

    @property
    def noted(self) -> Noted:
        """What is done so far; `begin` was first."""
        assert self._noted is not None  # noqa: S101 - see above
        return self._noted

    def begin(self) -> Finding:
        """Go on with what the journal has, or write it."""
        what = self._what
        self._noted = Noted.read(what.journal)
        if self._noted is not None:
            if (self.noted.source, self.noted.key) != (what.source.name, what.place.id):
                says = f"is of the rotation to {self.noted.key} of {self.noted.source}"
                return wrong("begin", str(what.journal.path), says, "Finish that one first, or give --undo.")
            return fine("begin", self.noted.former, f"goes on with what was begun at {self.noted.begun_at}")
        if what.place.is_there or what.file.secret() is not None:
            next_step = f"Name the place for the new one with --key, or empty {what.file.path} if nothing uses it."
            return wrong("begin", what.place.id, "its file holds a secret already", next_step)
        every = what.api.every()
        found = self._chosen(every)
        if isinstance(found, Finding):
            return found
        self._note(
            Noted(
                source=what.source.name,
                key=what.place.id,
                former_key=what.former.id,
                former=found.id,
                url=found.url,
                events=found.events,
                before=tuple(item.id for item in every),
                begun_at=_now().isoformat(timespec="seconds"),
            )
        )
        return fine("begin", found.id, f"it delivers to {found.url}; noted in {what.journal.path}")

    def add(self) -> Finding:
        """Have a second subscription, which delivers nothing yet."""
        noted, every = self.noted, self._what.api.every()
        if noted.successor is not None:
            if any(item.id == noted.successor for item in every):
                return fine("add", noted.successor, "the second subscription is there")
            next_step = f"Run `{_RUN} rotate --undo`, then rotate again."
            return wrong("add", noted.successor, "the second subscription was removed by somebody", next_step)
        if self._what.file.secret() is not None:
            next_step = "Take that secret away: it is not the one of this rotation."
            return wrong("add", str(self._what.file.path), "somebody else wrote a secret meanwhile", next_step)
        news = [item for item in hooks.at_url(every, noted.url) if item.id not in noted.before]
        if len(news) > 1 or not all(noted.may_be(item) for item in news):
            says = f"new at this URL since then, and not made here: {', '.join(item.id for item in news)}"
            return wrong("add", noted.url, says, f"Remove what is not needed with `{_RUN} unsubscribe ID`. {_AGAIN}")
        found = news[0] if news else self._what.api.create(noted.url, noted.events, is_enabled=False)
        self._new_secret = found.secret
        self._note(noted.with_(successor=found.id))
        return fine("add", found.id, "the second subscription is there, switched off")

    def keep(self) -> Finding:
        """Have the new secret in its file."""
        file, noted = self._what.file, self.noted
        if file.secret() is None:
            if noted.switched_on_at is not None:
                back = "rotate --undo" if noted.removed_at is None else f"subscribe --url {noted.url} --new-secret"
                next_step = f"Bring the file back. Or run `{_RUN} {back}`."
                return wrong("keep", str(file.path), "the new secret is gone, and is in use", next_step)
            file.write(self._new_secret or self._what.api.new_secret(str(noted.successor)))
        return fine("keep", self._what.place.id, " ".join(filter(None, (f"its secret is in {file.path}.", file.hint))))

    def known(self) -> Finding:
        """Wait until the bridge takes what is signed with the new secret."""
        noted, secret = self.noted, self._what.file.secret()
        if noted.switched_on_at is not None:
            return fine("known", noted.key, "the bridge took the new secret")
        if (waits := self._every_replica(secret)) is not None:
            return waits
        if not self._what.is_tested or secret is None:
            return fine("known", noted.key, "not tested, as asked for: the first subscription delivers meanwhile")
        while (answered := is_taken(self._what.source, noted.url, noted.key, secret)) is not None:
            if not self._may_wait(1.0):
                hint = self._what.file.hint or f"Look at `{_RUN} status`."
                next_step = f"{hint} If this machine may not send there, give --untested. {_AGAIN}"
                return unknown(
                    "known", noted.url, f"the bridge does not take the new secret yet: {answered}", next_step
                )
        return fine("known", noted.key, "the bridge takes the new secret")

    def _every_replica(self, secret: Secret | None) -> Finding | None:
        """Wait until every replica has loaded the new secret; None when it is so."""
        what, noted = self._what, self.noted
        if secret is None:
            return None
        key = key_of(what.source, noted.key, secret)
        while missing := without(what.ask, what.source, key):
            if not self._may_wait(1.0):
                says = f"not loaded yet by {len(missing)} of the replicas: {', '.join(missing)}"
                hint = (
                    what.file.hint
                    or f"Bring {what.file.path} to every replica. `{_RUN} status` says if one cannot read it."
                )
                return unknown("known", noted.key, says, f"{hint} {_AGAIN}")
        return None

    def on(self) -> Finding:
        """Let the second subscription deliver."""
        noted, successor = self.noted, str(self.noted.successor)
        if noted.switched_on_at is None:
            self._what.api.update(successor, url=noted.url, events=noted.events)
            self._note(noted.with_(switched_on_at=_now().isoformat()))
        return fine("on", successor, "it delivers; until the first is removed, every event comes twice and counts once")

    def proved(self) -> Finding:
        """Wait until a webhook of the second one was taken, and for both to deliver for a while."""
        what, noted, successor = self._what, self.noted, str(self.noted.successor)
        if noted.removed_at is not None:
            return fine("proved", successor, "a webhook by the new secret was taken")
        look = _FIRST_LOOK_SECONDS
        while not was_taken(what.api, what.ask, noted):
            if not self._may_wait(look):
                says = "no webhook by the new secret was taken yet; both subscriptions deliver, nothing is lost"
                return unknown("proved", successor, says, f"`{_RUN} subscriptions {successor}` has its tries. {_AGAIN}")
            look = min(2 * look, _LONGEST_LOOK_SECONDS)
        if noted.proved_at is None:
            self._note(noted.with_(proved_at=_now().isoformat()))
        proved_at = datetime.fromisoformat(str(self.noted.proved_at))
        remaining_seconds = (proved_at - _now()).total_seconds() + what.overlap_seconds
        if remaining_seconds > 0 and not (self._may_wait(remaining_seconds) and was_taken(what.api, what.ask, noted)):
            says = f"both deliver for {remaining_seconds:.0f} seconds more, or until the second fails no more"
            return unknown("proved", successor, says, _AGAIN)
        return fine("proved", successor, "a webhook by the new secret was taken")

    def off(self) -> Finding:
        """Remove the first subscription."""
        noted = self.noted
        if noted.removed_at is None:
            every = self._what.api.every()
            second = next((item for item in every if item.id == noted.successor), None)
            if second is None or second.is_enabled is False:
                next_step = f"Run `{_RUN} rotate --undo`, then rotate again."
                return wrong("off", str(noted.successor), "somebody removed it or switched it off", next_step)
            if any(item.id == noted.former for item in every):  # else it was removed before a crash
                with suppress(LookupNotFound):
                    self._what.api.delete(noted.former)
            self._note(noted.with_(removed_at=_now().isoformat()))
        return fine("off", noted.former, "the first subscription is removed")

    def retire(self) -> Finding:
        """Wait until the old secret is silent, and take it away or say how."""
        what, noted = self._what, self.noted
        quiet = timedelta(seconds=what.quiet_seconds)
        while True:
            last = last_by(what.ask, noted, noted.former_key, since=_now() - quiet)
            silent_at = max(filter(None, (datetime.fromisoformat(str(noted.removed_at)), last))) + quiet
            remaining_seconds = (silent_at - _now()).total_seconds()
            if remaining_seconds <= 0:
                break
            if not self._may_wait(remaining_seconds):
                says = f"retries may still come by it; it stays until {silent_at.isoformat(timespec='minutes')}"
                return unknown("retire", noted.former_key, says, f"Then: {_AGAIN}")
        return self._retired()

    def _retired(self) -> Finding:
        what, noted = self._what, self.noted
        former = what.former
        if what.is_ours and former.is_optional and former.file is not None:
            Path(former.file).unlink(missing_ok=True)
            what.journal.end()
            return fine("retire", former.id, f"its file {former.file} is removed, and forgotten within seconds")
        what.journal.end()
        at = f"env: {former.env}" if former.env else f"file: {former.file}"
        says = f"the rotation is done. The last step is yours: take {{id: {former.id}, {at}}} of {noted.source} away"
        return fine("retire", former.id, f"{says} (from bridge.yaml and restart; if it is optional, its file alone)")

    def _chosen(self, every: list[Subscription]) -> Subscription | Finding:
        """Return the subscription whose secret is rotated."""
        wanted, name = self._what.subscription_id, self._what.source.name
        found = [item for item in every if hooks.source_of(item.url) == name and wanted in (None, item.id)]
        if not found:
            return wrong("begin", wanted or name, "there is no such subscription", f"Run `{_RUN} subscriptions`.")
        if len(found) > 1:
            says = f"several deliver to this source: {', '.join(item.id for item in found)}"
            return wrong("begin", name, says, "Say whose secret with --subscription ID.")
        if found[0].is_enabled is False:
            next_step = f"Run `{_RUN} subscribe --url {found[0].url}`, which switches it on."
            return wrong("begin", found[0].id, "it is switched off", next_step)
        return found[0]

    def _note(self, noted: Noted) -> None:
        self._what.journal.write(noted.shown())
        self._noted = noted

    def _may_wait(self, seconds: float) -> bool:
        """Wait so long if there is so much time left; returns whether there was."""
        if time.monotonic() + seconds > self._until:
            return False
        time.sleep(seconds)
        return True


def _now() -> datetime:
    return datetime.now(UTC)
