"""Pages of bodies over the API: all of them, or those that may name a pipeline."""

from pathlib import Path

import pytest

from bridge.edges.inbox import Inbox
from bridge.web.bodies import MOST_TEXTS, BodiesApi
from bridge.words.errors import BadFilter
from tests.support.store import accept, empty_store


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    """An inbox over an empty store."""
    return Inbox(f"sqlite:///{empty_store(tmp_path / 'bridge.db')}")


def test_only_what_may_name_a_pipeline(inbox: Inbox) -> None:
    """The others are counted, and `next` goes on after all of them."""
    accept(inbox, "evt_1", body=b'{"pipeline_id": "pl_a"}')
    accept(inbox, "evt_2", body=b'{"pipeline_id": "pl_b"}')
    api = BodiesApi(inbox=inbox, spellings={})
    whole = api.bodies(query={})
    page = api.bodies(query={"naming": "pl_a,pl_c"})
    inbox.close()
    assert ([item["id"] for item in page["bodies"]], page["passed"]) == ([whole["bodies"][0]["id"]], 1)
    assert page["next"] == whole["next"] == whole["bodies"][1]["id"]
    assert page["reached_at"] == whole["reached_at"] is not None


@pytest.mark.parametrize("naming", ["", "pl_a,", ",".join(map(str, range(MOST_TEXTS + 1))), "a\0b"])
def test_texts_that_are_none_are_refused(inbox: Inbox, naming: str) -> None:
    """An empty one would be in every body."""
    with pytest.raises(BadFilter, match="naming"):
        BodiesApi(inbox=inbox, spellings={}).bodies(query={"naming": naming})
    inbox.close()
