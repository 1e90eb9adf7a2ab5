"""The URLs under which Planasonix reaches the bridge: one spelling to register, and the same in every other."""

import pytest

from bridge.edges.planasonix import hooks
from bridge.rules import subscribing


@pytest.mark.parametrize(
    ("base", "pipeline", "url"),
    [
        ("https://a.example", None, "https://a.example/hooks/planasonix"),
        ("https://a.example/", "pl_1", "https://a.example/hooks/planasonix/pl_1"),
        ("https://a.example/bridge", "a/b", "https://a.example/bridge/hooks/planasonix/a%2Fb"),
        ("https://a.example/hooks/other/pl_1", None, "https://a.example/hooks/other/pl_1"),
    ],
)
def test_the_url_to_register(base: str, pipeline: str | None, url: str) -> None:
    """An id stays one segment; a URL that leads to a hook already stays as it is."""
    assert hooks.hook_url(base, "planasonix", pipeline) == url


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://a.example/hooks/planasonix", "planasonix"),
        ("https://a.example/x/hooks/planasonix/pl_1", "planasonix"),
        ("https://a.example/hooks/", None),
        ("https://a.example/", None),
    ],
)
def test_the_source_of_a_url(url: str, source: str | None) -> None:
    """It is the part after /hooks/."""
    assert hooks.source_of(url) == source


def test_the_same_url_in_another_spelling_is_the_same() -> None:
    """Else a second subscription would be made beside the first."""
    url = "https://hooks.example.com/hooks/planasonix"
    assert hooks.is_same(url, "https://HOOKS.example.com:443/hooks/planasonix/")
    others = (
        *("http://hooks.example.com/hooks/planasonix", "https://hooks.example.com/hooks/Planasonix"),
        *("https://hooks.example.com:8443/hooks/planasonix", url + "/pl_1", url + "?x=1", "https://a:b/hooks"),
    )
    assert not any(hooks.is_same(url, other) for other in others)


def test_the_oldest_of_a_url_comes_first() -> None:
    """So that an update always takes the same."""
    url = "https://hooks.example.com/hooks/planasonix"
    made = [
        subscribing.subscription({"id": own_id, "url": at, "created_at": f"2026-01-0{day}T00:00:00Z"})
        for own_id, at, day in (("wh_3", url, 3), ("wh_2", url, 2), ("wh_1", "https://b.example/hooks/x", 1))
    ]
    assert [item.id for item in hooks.at_url(made, url)] == ["wh_2", "wh_3"]
