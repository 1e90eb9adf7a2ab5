"""What is tried before anything is changed: a mapping of several files, whose routes link to the pages."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from bridge.words.roles import Role
from tests.support.service import TOKEN, BridgeProcess, body, wait_for
from tests.web.browsing import Person, text_of
from tests.web.conftest import TOKENS

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
SALES = """\
routes:
  - {name: orders, pipeline: pl_8f2a9c1d4e, dag: load_orders}
"""
STOCK = """\
routes:
  - {name: stock, pipeline: pl_stock, dag: load_stock}
  - {name: shelves, pipeline: pl_shelves, dag: load_shelves}
"""
EDITED = SALES.replace("dag: load_orders", "dag: load_orders, max_attempts: 3")
NONE = {"added": [], "removed": [], "changed": [], "renamed": []}
PAYLOAD = json.loads(body(event="evt_tried"))


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A bridge with the files of two teams, that knows where its pages are."""
    folder = tmp_path_factory.mktemp("bridge")
    (folder / "teams").mkdir()
    (folder / "teams" / "sales.yaml").write_text(SALES)
    (folder / "teams" / "stock.yaml").write_text(STOCK)
    settings = {f"BRIDGE_{role.upper()}_TOKEN": token for role, token in TOKENS.items()}
    settings["BRIDGE_MAPPING"] = str(folder / "teams")
    with closing(BridgeProcess(folder, airflow_url="http://127.0.0.1:9", mapping="", settings=settings)) as item:
        item.set_variable("BRIDGE_PUBLIC_ADMIN_URL", f"http://127.0.0.1:{item.admin_port}")
        item.start()
        yield item


@pytest.fixture(scope="module")
def person(bridge: BridgeProcess) -> Iterator[Person]:
    """An operator at the pages."""
    with closing(Person(bridge.admin_port, Role.OPERATOR)) as item:
        yield item


def file(bridge: BridgeProcess, name: str) -> str:
    """Return what the API calls the file of a team."""
    return str(bridge.folder / "teams" / f"{name}.yaml")


def refused(bridge: BridgeProcess, **order: Any) -> str:
    """Return what `explain` says to what it cannot answer."""
    url = f"http://127.0.0.1:{bridge.admin_port}/api/v1/explain"
    answer = httpx.post(url, json=order, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60, trust_env=False)
    assert answer.status_code == 400, answer.text
    return str(answer.json()["detail"])


def test_an_edit_that_no_call_shows_starts_the_same(bridge: BridgeProcess, person: Person) -> None:
    """The note with the link to the page of the delivery is not missing from the calls of what is pasted."""
    (planned,) = bridge.api("explain", post={"payload": PAYLOAD})["triggers"]
    assert f"http://127.0.0.1:{bridge.admin_port}/deliveries/" in planned["call"]["note"]
    whole = EDITED + STOCK.partition("routes:\n")[2]
    for pasted in ({"mapping": whole}, {"mapping": EDITED, "file": file(bridge, "sales")}):
        changes = bridge.api("explain", post={"payload": PAYLOAD} | pasted)["changes"]
        assert ([each["name"] for each in changes["routes"]["changed"]], changes["body"]) == (["orders"], None)
        text = text_of(person.send("/try", payload=json.dumps(PAYLOAD), **pasted).text)
        assert "0 removed, 1 changed" in text
        assert "This body starts the same." in text


def test_a_file_that_is_pasted_replaces_that_file_alone(bridge: BridgeProcess, person: Person) -> None:
    """The other team's routes stay; the text alone is the whole mapping, as before."""
    pasted = {"mapping": STOCK, "file": file(bridge, "stock")}
    answer = bridge.api("explain", post={"payload": PAYLOAD} | pasted)
    assert (answer["changes"], len(answer["triggers"])) == ({"routes": NONE, "body": None}, 1)
    more = {"mapping": STOCK + "  - {name: new, pipeline: pl_new, dag: load_new}\n", "file": file(bridge, "stock")}
    changes = bridge.api("explain", post={"payload": PAYLOAD} | more)["changes"]
    assert changes == {"routes": NONE | {"added": ["new"]}, "body": None}
    alone = bridge.api("explain", post={"payload": PAYLOAD, "mapping": STOCK})["changes"]
    assert alone["routes"]["removed"] == ["orders"]

    page = person.look("/try")
    for name in ("sales", "stock"):
        assert f'<option value="{file(bridge, name)}">{name}.yaml</option>' in page
    shown = person.send("/try", payload=json.dumps(PAYLOAD), **pasted).text
    assert "0 routes added, 0 removed, 0 changed, 0 renamed" in text_of(shown)
    assert f'<option value="{file(bridge, "stock")}" selected>' in shown
    shown = person.send("/try", payload=json.dumps(PAYLOAD), mapping=STOCK, file="").text
    assert "1 removed" in text_of(shown)
    assert '<option value="" selected>all 2 files</option>' in shown
    assert "would be started" in text_of(person.send("/try", payload=json.dumps(PAYLOAD), file=pasted["file"]).text)


def test_a_file_that_cannot_be_replaced_so_is_refused(bridge: BridgeProcess) -> None:
    """With the files that there are; and a name that another file has is the mistake of what was pasted."""
    about = {"payload": PAYLOAD}
    assert "there is " + file(bridge, "sales") in refused(bridge, **about, mapping=STOCK, file="stock.yml")
    assert "send both" in refused(bridge, **about, file=file(bridge, "stock"))
    clash = refused(bridge, **about, mapping=STOCK, file=file(bridge, "sales"))
    assert f"{file(bridge, 'sales')}:2:" in clash
    assert 'the name "stock" is taken by the route of ' + file(bridge, "stock") in clash


def test_of_an_erased_delivery_nobody_says_what_it_would_start(bridge: BridgeProcess, person: Person) -> None:
    """Its body is gone: that is no body that cannot be read, so it is said, and there is no form to try it."""
    id_ = bridge.send(body(event="evt_gone", pipeline="pl_none")).json()["delivery_id"]
    wait_for(lambda: bridge.api(f"deliveries/{id_}")["state"] == "unrouted", seconds=10, what="no route")
    assert '<form method="post" action="/try">' in person.look("/try", delivery=id_)
    erasing = {"source": "planasonix", "event_id": "evt_gone", "reason": "asked for"}
    assert bridge.api("erase", post=erasing)["erased"] is True
    says = "its payload was erased, so nobody can say which routes it fits"
    assert says in refused(bridge, delivery_id=id_)
    assert says in refused(bridge, delivery_id=id_, mapping=SALES)
    tried = person.send("/try", delivery=id_, mapping=SALES)
    assert (tried.status_code, says in text_of(tried.text), "invalid" in text_of(tried.text)) == (400, True, False)
    page = person.look("/try", delivery=id_)
    assert "It was erased" in text_of(page)
    assert '<form method="post" action="/try">' not in page
