"""The URLs under which Planasonix reaches the bridge: how they are spelled, and which are the same. Asks nothing."""

from collections.abc import Iterable
from urllib.parse import quote, unquote, urlsplit

from bridge.words.subscriptions import Subscription


def hook_url(base: str, source: str, pipeline_id: str | None = None) -> str:
    """Return the URL to register; a base that leads to a hook already is left as it is."""
    if is_hook(base):
        return base
    return "/".join((f"{base.rstrip('/')}/hooks", *(quote(each, safe="") for each in (source, pipeline_id) if each)))


def is_hook(url: str) -> bool:
    """Whether a URL is a hook's and not the base of all."""
    return "/hooks/" in urlsplit(url).path


def source_of(url: str) -> str | None:
    """Return the source that a hook's URL names."""
    after = urlsplit(url).path.rpartition("/hooks/")[2] if is_hook(url) else ""
    return unquote(after.partition("/")[0]) or None


def is_same(url: str, other: str) -> bool:
    """Whether two URLs are the same but for the case of the host, a port that goes without saying and a last slash."""
    return _parts(url) == _parts(other)


def at_url(found: Iterable[Subscription], url: str) -> list[Subscription]:
    """Return the subscriptions that deliver to a URL, the oldest first as far as that is known."""
    fitting = [item for item in found if is_same(item.url, url)]
    return sorted(fitting, key=lambda item: (item.created_at.timestamp() if item.created_at else 0.0, item.id))


def _parts(url: str) -> tuple[str, str, int | None, str, str]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port or usual, parts.path.rstrip("/"), parts.query
