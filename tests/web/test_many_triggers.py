"""A delivery with more triggers than its page has room for leads to all of them."""

import re
from collections.abc import Iterator

import pytest

from bridge.words.roles import Role
from deploy.demo.processes import free_port
from tests.support.service import BridgeProcess, body, wait_for
from tests.web.browsing import Person, text_of
from tests.web.conftest import TOKENS

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
FAILS = "  - {name: fails, pipeline: pl_many, dag: d, conf: {x: '{{ event.parameters.none }}'}}\n"


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A bridge with 21 routes for one pipeline, the first of which always fails."""
    item = BridgeProcess(
        tmp_path_factory.mktemp("bridge"),
        airflow_url=f"http://127.0.0.1:{free_port()}",
        mapping=f"routes:\n{FAILS}" + "".join(f"  - {{pipeline: pl_many, dag: dag_{n}}}\n" for n in range(20)),
        settings={"BRIDGE_VIEWER_TOKEN": TOKENS[Role.VIEWER]},
    )
    item.start()
    yield item
    item.close()


def test_what_the_page_has_no_room_for_has_a_link(bridge: BridgeProcess) -> None:
    """With how many are in which state; the one that failed is the oldest, and not on the page itself."""
    id_ = bridge.send(body(event="evt_many", pipeline="pl_many")).json()["delivery_id"]
    wait_for(lambda: len(bridge.api(f"deliveries/{id_}")["triggers"]) == 21, seconds=20, what="the triggers")
    (failed,) = bridge.api("triggers", delivery_id=id_, state="failed")["triggers"]
    viewer = Person(bridge.admin_port, Role.VIEWER)
    page = viewer.look(f"/deliveries/{id_}")
    assert f'"/triggers/{failed["id"]}"' not in page
    assert "Shown are the newest 20." in text_of(page)
    assert "21 DAG runs asked for" in text_of(page)
    addresses = [each.replace("&amp;", "&") for each in re.findall(r'href="(/deliveries\?delivery_id=[^"]*)"', page)]
    everything = viewer.look(addresses[0])
    assert len(set(re.findall(r'href="/triggers/(trg_\w+)"', everything))) == 21
    (of_failed,) = [each for each in addresses if each.endswith("&state=failed")]
    assert ">1 failed</a>" in page
    assert set(re.findall(r'href="/triggers/(trg_\w+)"', viewer.look(of_failed))) == {failed["id"]}
    viewer.close()
