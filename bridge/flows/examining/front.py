"""What an examination does at the public door: name, TLS, clock, secret, and a signed test event there and back.

The test event must never start a DAG run:

- Its body says `test: true` and names no job, run or pipeline, so it is `ignored` (`test_event`) before any route is
  asked. That is planned here first, with the mapping and source as they are; what would start anything is not sent.
- It is an event like any other, signed with the source's secret: the mark only takes away, so it opens nothing to
  whoever else sends it.
- Its id is new each time, so it is no copy. It is kept as long as any delivery.
"""

import hashlib
import ipaddress
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from bridge.edges import outside
from bridge.edges.outside import Posted
from bridge.flows.examining.clocks import clock
from bridge.rules import samples, views
from bridge.rules.mapping import Mapping
from bridge.rules.planning import Subject, plan
from bridge.rules.signature import advise, sign
from bridge.rules.sources import Source
from bridge.words.errors import BridgeError, NotThere
from bridge.words.findings import Finding, fine, unknown, wrong
from bridge.words.model import DeliveryState

Ask = Callable[..., dict[str, Any]]  # as the admin API answers: Remote.get, or the store beside
_SOON = timedelta(days=14)
_LOOK_SECONDS = 0.2
_REFUSAL_SECONDS = 10.0
_RUN = "planasonix-bridge"
_ANSWERS = {
    404: (
        "the URL names no source there, or does not lead to the bridge",
        f"Compare it with `{_RUN} urls --base ...`.",
    ),
    413: ("what stands in front takes no such body", "Raise the limit of the proxy."),
    429: ("more than the source's `limits` allow just now", "Try again, or raise `limits` in bridge.yaml."),
    503: ("the bridge cannot store just now", f"Run `{_RUN} status`, and look at the log."),
}


@dataclass(frozen=True, slots=True)
class Front:
    """The public door of one source; `ask` is None where nobody can say what became of the event."""

    source: Source
    url: str
    mapping: Mapping
    ask: Ask | None
    wait_seconds: float = 30.0

    def examine(self) -> Iterator[Finding]:
        """Yield what is found, from outside in."""
        yield from _secret(self.source)
        yield from self._place()
        yield from self._event()

    def _place(self) -> Iterator[Finding]:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        try:
            found = outside.addresses(host)
        except OSError as error:
            next_step = "Publish the name in DNS, or correct --base."
            yield wrong("name", host, f"it leads nowhere: {outside.words(error)}", next_step)
            return
        if any(not ipaddress.ip_address(each.partition("%")[0]).is_global for each in found):
            says = f"it leads to {', '.join(found)} here, which nobody outside can reach"
            yield unknown("name", host, says, "Look it up from outside: Planasonix needs a public address.")
        else:
            yield fine("name", host, f"it leads to {', '.join(found)}")
        if parts.scheme != "https":
            yield wrong("tls", self.url, "it is not encrypted", "Planasonix delivers to https:// only: use a proxy.")
            return
        yield _tls(host, parts.port or 443)

    def _event(self) -> Iterator[Finding]:
        at = str(views.instant(datetime.now(UTC)))
        body = samples.test_event(f"evt_doctor_{secrets.token_hex(8)}", at)
        about = Subject("dlv_0", self.source.name, at, body, spelling=self.source.spelling)
        planned = plan(about, self.mapping, new_trigger_id=str, max_hops=1)
        headers = _signed(self.source, body)
        if planned.state is not DeliveryState.IGNORED or planned.triggers:
            yield unknown("event", self.url, "not sent: it would not be taken for a test event here")
            return
        if headers is None:
            next_step = "Press *Send test event* in Planasonix."
            yield unknown("event", self.url, "not sent: only the sender has the private key", next_step)
            return
        posted = outside.post(self.url, body, headers | {"Content-Type": "application/json"})
        if posted.at is not None:
            yield clock("clock", self.url, posted.at, datetime.now(UTC), owner="the public URL's")
        yield self._answered(posted, body)
        if posted.status == 202 and posted.is_json:
            yield _arrived(self.ask, str(posted.value.get("delivery_id")), self.source.name, self.wait_seconds)

    def _answered(self, posted: Posted, body: bytes) -> Finding:
        if posted.status in (200, 202) and "delivery_id" in posted.value:
            return fine("event", self.url, "a signed test event is answered 202")
        if posted.status == 0:
            says = f"nothing answers: {posted.error}"
            return wrong(
                "event", self.url, says, "Look at firewall, proxy and certificate between here and the bridge."
            )
        if posted.status == 401 and posted.is_json:
            return self._refused(body)
        if posted.status in _ANSWERS:
            return wrong(
                "event", self.url, f"{posted.status}: {_ANSWERS[posted.status][0]}", _ANSWERS[posted.status][1]
            )
        says = f"{posted.status}, which is not the bridge's answer: something in front gives it"
        return wrong(
            "event", self.url, says, "Let the proxy pass POST /hooks/... unchanged, without sign-in or redirect."
        )

    def _refused(self, body: bytes) -> Finding:
        """Say why, as far as the running bridge keeps it."""
        reason = None if self.ask is None else _reason(self.ask, self.source.name, body)
        says = "401: the signature is refused" + (f" ({reason})" if reason else "")
        next_step = "The running bridge has another secret than this command: restart it, or compare `keys show`."
        if reason not in (None, "signature_mismatch"):
            next_step = f"docs/reference/reasons.md has {reason} and what to do."
        return wrong("event", self.url, says, next_step)


def _reason(ask: Ask, source: str, body: bytes) -> str | None:
    """Return why the running bridge refused a body; it writes that down a moment after its answer."""
    until, digest = time.monotonic() + _REFUSAL_SECONDS, hashlib.sha256(body).hexdigest()
    with suppress(BridgeError):
        while time.monotonic() < until:
            for item in ask("refusals", source=source, limit="50")["refusals"]:
                if item["body_sha256"] == digest:
                    return str(item["reason"])
            time.sleep(_LOOK_SECONDS)
    return None


def _secret(source: Source) -> Iterator[Finding]:
    said = advise(source.verifier, time.time())
    for each in said:
        yield wrong("secret", source.name, each, "See docs/signatures.md, and `planasonix-bridge keys check`.")
    lengths = [len(key.secret) for key in source.verifier.keys if key.secret is not None]
    if not said:
        sized = f", the shortest {min(lengths)} bytes" if lengths else ""
        yield fine("secret", source.name, f"{len(source.verifier.keys)} key(s) in use{sized}; no blank, no placeholder")


def _tls(host: str, port: int) -> Finding:
    about = f"{host}:{port}"
    try:
        lasts = outside.certificate_ends(host, port) - datetime.now(UTC)
    except OSError as error:
        next_step = "Serve a certificate of a public authority, with its whole chain, for this name."
        return wrong("tls", about, outside.words(error), next_step)
    if lasts < _SOON:
        return wrong("tls", about, f"the certificate ends in {lasts.days} days", "Renew it.")
    return fine("tls", about, f"the certificate is accepted, and valid for {lasts.days} days")


def _arrived(ask: Ask | None, delivery_id: str, source: str, seconds: float) -> Finding:
    """Wait until the event is routed; the store has it since it was answered."""
    if ask is None:
        return unknown("stored", source, "nobody can be asked for it", "Give --url and --token-file.")
    until, state = time.monotonic() + seconds, ""
    while time.monotonic() < until:
        try:
            found = ask("deliveries", delivery_id)
        except NotThere:
            says = f"{delivery_id} is not in the store that was asked"
            return wrong("stored", source, says, "The public URL leads to another bridge than --url or this store.")
        except BridgeError as error:
            return unknown("stored", source, f"the store cannot be asked: {error}", "Give --url and --token-file.")
        state = f"{found['state']}" + (f" ({found['reason']})" if found.get("reason") else "")
        if found["state"] == DeliveryState.IGNORED:
            return fine("stored", source, f"it is in the store as {delivery_id}, {state}, and started nothing")
        time.sleep(_LOOK_SECONDS)
    return wrong("stored", source, f"{delivery_id} is still {state}", f"Run `{_RUN} status`: nothing routes it.")


def _signed(source: Source, body: bytes) -> dict[str, str] | None:
    """Return the headers that the sender would put on a body, None if that takes a private key."""
    now, verifier = time.time(), source.verifier
    for item in (key for key in verifier.keys if key.is_valid_at(now)):
        with suppress(ValueError):
            message_id = f"msg_{secrets.token_hex(12)}"
            return sign(verifier.preset, item, body, int(now), prefix=verifier.prefix, message_id=message_id)
    return None
