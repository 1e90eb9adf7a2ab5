"""The command line as scripts use it: exit codes, what goes to stdout and what to stderr, JSON that parses."""

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.edges.inbox import SCHEMA, Inbox, refusals
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.rules import standing
from bridge.words.model import DeliveryState, TriggerState
from bridge.words.reasons import Reason
from bridge.words.refusals import Refusal, RefusalKind
from deploy.demo.processes import free_port
from tests.cli.conftest import Place
from tests.support.forkserver import COMMAND
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin
from tests.support.store import Store, accept, add, new_trigger, stored

pytestmark = pytest.mark.crash
COMMANDS = (
    "serve",
    "check",
    "explain",
    "sample",
    "test",
    "diff",
    "send",
    "urls",
    "subscribe",
    "subscriptions",
    "unsubscribe",
    "doctor",
    "record",
    "deliveries",
    "triggers",
    "replay",
    "cancel",
    "pause",
    "resume",
    "orders",
    "migrate",
    "schema",
)


@pytest.fixture
def payload(tmp_path: Path) -> str:
    """A file with the body of a job that the mapping knows."""
    path = tmp_path / "payload.json"
    path.write_bytes(body(event="evt_cli"))
    return str(path)


@pytest.fixture
def ids(place: Place) -> tuple[str, str]:
    """A delivery and a trigger that are stored."""
    place.store()
    inbox = Inbox(f"sqlite:///{place.folder / 'bridge.db'}")
    delivery_id = stored(inbox, "evt_cli", body=body(event="evt_cli"))
    trigger_id = add(inbox, delivery_id, now=datetime.now(UTC))
    inbox.close()
    return delivery_id, trigger_id


# --- help and usage --------------------------------------------------------------------------------


def test_help_names_every_command(place: Place) -> None:
    """Without configuration, and on stdout when asked for."""
    ended = place.run("--help", BRIDGE_CONFIG=None, BRIDGE_MAPPING=None)
    assert (ended.code, ended.err) == (0, "")
    assert all(command in ended.out for command in COMMANDS)


def test_version(place: Place) -> None:
    """One line."""
    ended = place.run("--version")
    assert (ended.code, ended.out.count("\n"), ended.err) == (0, 1, "")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nonsense",),
        ("check", "--nonsense"),
        ("send",),
        ("explain",),
        ("deliveries", "--limit", "0"),
        ("deliveries", "--limit", "many"),
        ("deliveries", "--since", "yesterday"),
        ("deliveries", "--since", "999999999999d"),
        ("deliveries", "--since", "9" * 5000 + "d"),
        ("deliveries", "--since", ""),
        ("deliveries", "--state", "odd"),
        ("triggers", "--state", "unrouted"),
        ("replay",),
        ("replay", "--state", "odd"),
        ("replay", "--state", "failed", "--status", "odd", "--yes"),
        ("replay", "--state", "unrouted", "--route", "x", "--yes"),
        ("cancel",),
        ("cancel", "--state", "fired", "--yes"),
        ("orders", "--stop"),
        ("deliveries", "--since", "1h", "--until", "2h"),
        ("why", "pl_orders", "--since", "1h..2h"),
    ],
)
def test_wrong_usage_is_2(place: Place, words: tuple[str, ...]) -> None:
    """Nothing on stdout, and a line on stderr that says what is wrong."""
    place.store()
    ended = place.run(*words)
    assert ended.code == 2
    assert ended.err or not words


@pytest.mark.parametrize(
    "words",
    [
        ("wait", "--delivery", "dlv_1", "--timeout"),
        ("tail", "--for"),
        ("pause", "route", "orders", "--for"),
        ("reconcile", "--since"),
    ],
)
def test_a_duration_is_read_in_one_way(place: Place, words: tuple[str, ...]) -> None:
    """One that nobody can read is exit 2, and the same sentence says how it is written."""
    place.store()
    ended = place.run(*words, "2 weeks")
    assert (ended.code, ended.out) == (2, "")
    assert '"2 weeks" is not a duration; write seconds, or 90s, 15m, 24h, 7d' in " ".join(ended.err.split())
    assert words[-1] in ended.err


@pytest.mark.parametrize("words", [("check",), ("send", "payload.json"), ("serve",)])
@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"BRIDGE_CONFIG": "nowhere.yaml"}, "nowhere.yaml: cannot be read"),
        ({"PLANASONIX_WEBHOOK_SECRET": None}, "PLANASONIX_WEBHOOK_SECRET"),
        ({"BRIDGE_LOG_LEVEL": "loud"}, "BRIDGE_LOG_LEVEL"),
    ],
)
def test_wrong_configuration_is_2(
    place: Place, payload: str, words: tuple[str, ...], variables: dict[str, str | None], message: str
) -> None:
    """One line a mistake, no secret, nothing on stdout."""
    ended = place.run(*words, **variables)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


@pytest.mark.parametrize("words", [("deliveries",), ("triggers",), ("replay", "x"), ("explain", "--delivery", "x")])
def test_a_store_that_is_not_there_is_2(place: Place, words: tuple[str, ...]) -> None:
    """Looking makes no file; the message says which commands do."""
    ended = place.run(*words)
    assert (ended.code, ended.out) == (2, "")
    assert "planasonix-bridge migrate" in ended.err
    assert not (place.folder / "bridge.db").exists()


def test_a_missing_file_is_2(place: Place, payload: str) -> None:
    """The message names it."""
    for words in (("explain", "nowhere.json"), ("send", "nowhere.json")):
        ended = place.run(*words)
        assert (ended.code, ended.out) == (2, "")
        assert "nowhere.json" in ended.err
    ended = place.run("explain", payload, BRIDGE_CONFIG="nowhere.yaml")
    assert (ended.code, ended.out) == (2, "")
    assert "nowhere.yaml: cannot be read" in ended.err


# --- check, explain, schema, migrate ---------------------------------------------------------------


def test_check_says_ok(place: Place) -> None:
    """How many of what, on stdout."""
    ended = place.run("check")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("ok: 1 source(s), 1 Airflow(s), 2 route(s)")


def test_check_tells_every_mistake(place: Place) -> None:
    """All of them at once, each with its place."""
    (place.folder / "mapping.yaml").write_text("routes:\n  - pipline: x\n    dag: a\n  - dag: b\n    onn: failed\n")
    ended = place.run("check")
    assert (ended.code, ended.out) == (2, "")
    assert "mapping.yaml:2:5: " in ended.err
    assert "mapping.yaml:5:5: " in ended.err


_NO_SECRET = {"PLANASONIX_WEBHOOK_SECRET": None, "AIRFLOW_USERNAME": None, "AIRFLOW_PASSWORD": None}


def test_check_explain_and_schema_need_no_secret(place: Place, payload: str) -> None:
    """With none set that is one note; what they say is the same, and `serve` still refuses."""
    for words in (("check",), ("explain", payload), ("schema",)):
        ended = place.run(*words, **_NO_SECRET)
        assert (ended.code, ended.err.count("\n")) == (0, int(words != ("schema",)))
        assert words == ("schema",) or "note: no secret is set, and `serve` needs PLANASONIX_WEBHOOK" in ended.err
        assert ended.out
    assert place.run("serve", **_NO_SECRET).code == 2


@pytest.mark.parametrize(
    "variables",
    [
        {**_NO_SECRET, "AIRFLOW_PASSWORD": "bridge-password"},
        {"AIRFLOW_PASSWORD": "${NEVER_FILLED_IN}"},
        {"BRIDGE_ADMIN_TOKEN": None, "BRIDGE_ADMIN_TOKEN_FILE": "/nope"},
        {"BRIDGE_ADMIN_TOKEN": "short", "BRIDGE_ENCRYPTION_KEYS": "none", "BRIDGE_DATABASE_URL": "nowhere"},
        {"BRIDGE_DATABASE_URL": None, "BRIDGE_DATABASE_URL_FILE": "/nope", "BRIDGE_LOG_LEVEL": "loud"},
    ],
    ids=["one secret", "a slip in a secret", "no file", "wrong settings", "no store"],
)
def test_what_reads_files_alone_looks_at_no_secret_and_no_store(
    place: Place, payload: str, variables: dict[str, str | None]
) -> None:
    """Whichever of them are there, and whatever they are: `explain`, `test`, `diff` and `urls` say the same."""
    config = place.folder / "bridge.yaml"
    config.write_text(config.read_text() + "    ca_file: nowhere.pem\n    proxy: {file: .}\n")
    (place.folder / "tests.yaml").write_text("tests:\n  - {name: x, sample: test, starts: []}\n")
    urls = ("urls", "--base", "https://hooks.example.com")
    diff = ("diff", "mapping.yaml", "mapping.yaml", payload)
    for words in (("explain", payload), ("test", "tests.yaml"), diff, urls):
        ended = place.here(*words, **variables)
        assert (ended.code, ended.err) == (0, ""), words
        assert ended.out


def test_check_notes_the_files_of_settings_that_are_not_there(place: Place) -> None:
    """Beside secrets that are not there: all are mounted where it is served. Where secrets are, it was forgotten."""
    nowhere = {
        "BRIDGE_ADMIN_TOKEN": None,
        "BRIDGE_ADMIN_TOKEN_FILE": "/nope",
        "BRIDGE_ADMIN_TLS_CERT_FILE": __file__,
        "BRIDGE_ADMIN_TLS_KEY_FILE": "/nope",
    }
    ended = place.here("check", **_NO_SECRET, **nowhere)
    assert (ended.code, ended.err.count("\n")) == (0, 1)
    assert "AIRFLOW_PASSWORD, BRIDGE_ADMIN_TLS_KEY_FILE, BRIDGE_ADMIN_TOKEN_FILE" in ended.err
    for words in (("check", "--secrets"), ("check", "--at-start")):
        assert place.here(*words, **_NO_SECRET, **nowhere).code == 2
    ended = place.here("check", **nowhere)
    assert (ended.code, ended.out) == (2, "")
    assert "BRIDGE_ADMIN_TOKEN_FILE: the file /nope cannot be read" in ended.err


def test_check_shows_the_mistakes_of_all_files_at_once(place: Place) -> None:
    """Also those of a mapping beside a bridge.yaml that is wrong, without any secret."""
    (place.folder / "mapping.yaml").write_text("routes:\n  - pipline: x\n    dag: a\n    airflow: nowhere\n")
    config = place.folder / "bridge.yaml"
    config.write_text(config.read_text() + "    nonsense: 1\n")
    ended = place.run("check", **_NO_SECRET)
    assert (ended.code, ended.out) == (2, "")
    for part in ('unknown key "nonsense"', "mapping.yaml:2:5: ", "mapping.yaml:4:5: unknown Airflow"):
        assert part in ended.err


def test_check_of_a_mapping_alone_reads_nothing_but_names(place: Place) -> None:
    """No secret, no other mapping and no other setting; without bridge.yaml any name will do."""
    other = place.folder / "other.yaml"
    other.write_text("routes: [{dag: a, pipeline: p, airflow: eu}]\n")
    broken = {**_NO_SECRET, "BRIDGE_LOG_LEVEL": "loud", "BRIDGE_MAPPING": "nowhere.yaml"}
    ended = place.run("check", "--mapping", str(other), **broken)
    assert (ended.code, "unknown Airflow" in ended.err) == (2, True)
    ended = place.run("check", "--mapping", str(other), **broken, BRIDGE_CONFIG="nowhere.yaml")
    assert (ended.code, ended.out[:14], ended.err) == (0, "ok: 1 route(s)", "")


def test_check_refuses_what_serve_refuses(place: Place) -> None:
    """Two settings, each right alone, that cannot work together: with the same words as at the start."""
    config = place.folder / "bridge.yaml"
    config.write_text(re.sub(r"auth: .*", "auth: {exec: [sign-in], timeout_seconds: 60}", config.read_text()))
    short = {"BRIDGE_STALL_SECONDS": "420"}
    refused = [place.run(*words, **short) for words in (("check",), ("serve",))]
    assert [(item.code, item.out) for item in refused] == [(2, "")] * 2
    assert all("raise BRIDGE_STALL_SECONDS above 420" in item.err for item in refused)
    assert place.run("check", BRIDGE_STALL_SECONDS="421").code == 0


def test_check_warns_and_strict_fails(place: Place) -> None:
    """What is valid and yet hardly meant is a warning on stderr, and exit 1 with --strict."""
    (place.folder / "mapping.yaml").write_text("routes:\n  - dag: a\n")
    ended = place.run("check")
    assert (ended.code, ended.out[:3]) == (0, "ok:")
    assert "mapping.yaml:2:5: has no condition" in ended.err
    assert place.run("check", "--strict").code == 1


def test_check_airflow(place: Place) -> None:
    """0 when every DAG is there; 1 with the fact beside it when one is not, or when nobody answers."""
    with Standin() as airflow:
        place.configure(airflow.url)
        assert place.run("check", "--airflow").code == 0
        airflow.dags["load_orders"] = {"is_paused": True}
        ended = place.run("check", "--airflow")
        assert ended.code == 1
        assert "paused" in ended.out
        del airflow.dags["load_orders"]
        assert "no such DAG" in place.run("check", "--airflow").out
    ended = place.run("check", "--airflow")
    assert ended.code == 1
    assert "airflow_down" in ended.out


def test_a_paused_dag_hides_no_missing_param(place: Place) -> None:
    """New DAGs are paused at first: what is held would fail as soon as somebody unpauses it."""
    with Standin() as airflow:
        params = {"day": {"value": None, "schema": {"type": "string"}}}
        airflow.dags["load_orders"] = {"is_paused": True, "params": params}
        place.configure(airflow.url)
        ended = place.run("check", "--airflow")
    assert ended.code == 1
    said = " ".join(ended.out.split())
    assert "conf lacks the DAG's required params day; paused: runs are made but wait until it is unpaused" in said


@pytest.mark.parametrize(
    ("if_paused", "says"),
    [
        ("hold", "paused: what comes for it is held here until it is unpaused, as route orders says"),
        ("fail", "paused: what comes for it fails until it is unpaused, as route orders says"),
    ],
)
def test_a_pause_that_the_route_provides_for_is_no_mistake(place: Place, if_paused: str, says: str) -> None:
    """It is said, and exit 0. A file that is broken is a mistake all the same, and is not called a pause."""
    route = f"routes: [{{name: orders, pipeline: p, dag: load_orders, if_paused: {if_paused}}}]\n"
    (place.folder / "mapping.yaml").write_text(route)
    with Standin() as airflow:
        airflow.dags["load_orders"] = {"is_paused": True}
        place.configure(airflow.url)
        ended = place.run("check", "--airflow")
        assert (ended.code, says in " ".join(ended.out.split())) == (0, True)
        airflow.dags["load_orders"]["has_import_errors"] = True
        ended = place.run("check", "--airflow")
    assert ended.code == 1
    assert "import error" in ended.out
    assert "paused" not in ended.out


def test_check_airflow_holds_conf_to_the_params_of_the_dag(place: Place) -> None:
    """Where the route says `conf_schema: dag`; Airflow takes more conf than params."""
    route = "routes: [{name: orders, pipeline: p, dag: load_orders, conf: {limit: many, citty: Kiel}%s}]\n"
    params = {"limit": {"value": 10, "schema": {"type": "integer"}}, "city": {"value": "x", "schema": {}}}
    with Standin() as airflow:
        airflow.dags["load_orders"] = {"is_paused": False, "params": params}
        place.configure(airflow.url)
        (place.folder / "mapping.yaml").write_text(route % "")
        assert place.run("check", "--airflow").code == 0
        (place.folder / "mapping.yaml").write_text(route % ", conf_schema: dag")
        ended = place.run("check", "--airflow")
    assert ended.code == 1
    said = " ".join(ended.out.split())
    assert "route orders: conf.limit: 'many' is not of type 'integer'; conf.citty: the DAG has no param" in said


def test_check_with_secrets_wants_what_serve_wants(place: Place) -> None:
    """A Secret that is not there is a mistake that names its file, so that an install fails at once."""
    config = place.folder / "bridge.yaml"
    config.write_text(config.read_text().replace("env: PLANASONIX_WEBHOOK_SECRET", "file: secrets/webhook-secret"))
    assert place.run("check", **_NO_SECRET).code == 0
    ended = place.run("check", "--secrets", **_NO_SECRET)
    assert (ended.code, ended.out) == (2, "")
    assert "secrets/webhook-secret cannot be read: No such file or directory" in ended.err


def test_check_at_start_lets_a_broken_mapping_through(place: Place) -> None:
    """With a warning that has its place; what `serve` refuses is refused: bridge.yaml, and a missing secret."""
    assert place.run("check", "--at-start").out.startswith("ok: 1 source(s), 1 Airflow(s), 2 route(s)")
    (place.folder / "mapping.yaml").write_text("routes:\n  - pipline: x\n    dag: a\n")
    ended = place.run("check", "--at-start")
    assert (ended.code, ended.out) == (0, "ok: 1 source(s), 1 Airflow(s), a broken mapping\n")
    assert "warning: " in ended.err
    assert "mapping.yaml:2:5: " in ended.err
    assert place.run("check", "--at-start", **_NO_SECRET).code == 2
    config = place.folder / "bridge.yaml"
    config.write_text(config.read_text() + "    nonsense: 1\n")
    assert place.run("check", "--at-start").code == 2


def test_check_store_opens_it(place: Place) -> None:
    """One that is not made yet is well; one that is there has its schema named; one that is away is exit 1."""
    assert place.run("check", "--store").out.endswith("ok: the store, empty: `serve` fills it\n")
    assert not (place.folder / "bridge.db").exists()
    place.store()
    assert place.run("check", "--store").out.endswith(f"ok: the store, schema {SCHEMA}\n")
    away = f"postgresql://bridge:secret@127.0.0.1:{free_port()}/bridge"
    ended = place.run("check", "--store", BRIDGE_DATABASE_URL=away)
    assert ended.code == 1
    assert "error: BRIDGE_DATABASE_URL: the store cannot be opened" in ended.err
    assert "secret" not in ended.err


@pytest.mark.parametrize("is_stdin", [False, True])
def test_explain_shows_the_exact_call(place: Place, payload: str, is_stdin: bool) -> None:
    """From a file or from stdin; exit 0 since a route matches."""
    words = ("explain", "-", "--json") if is_stdin else ("explain", payload, "--json")
    ended = place.run(*words, stdin=body(event="evt_cli"))
    assert ended.code == 0
    assert ended.json["state"] == "routed"
    assert ended.json["triggers"][0]["call"]["conf"]["rows"] == 44802
    assert [item["matches"] for item in ended.json["routes"]] == [True, False]


def test_explain_for_people(place: Place, payload: str) -> None:
    """Which routes match, why the others do not, and the call."""
    ended = place.run("explain", payload)
    assert ended.code == 0
    for part in (
        "load_orders",
        "route wants",
        "dag_run_id: planasonix__job_evt_cli__succeeded__load_orders",
        "conf: {",
    ):
        assert part in ended.out


@pytest.mark.parametrize("content", [b"", b"not json", b"\xff", body(event="x", pipeline="pl_other")])
def test_explain_is_1_when_nothing_would_fire(place: Place, content: bytes) -> None:
    """Also for a body that cannot be read: it says what would become of it."""
    ended = place.run("explain", "-", "--json", stdin=content)
    assert ended.code == 1
    assert ended.json["state"] in ("invalid", "unrouted")


def test_explain_is_1_when_a_route_fails_on_the_event(place: Place) -> None:
    """A template that errs is no yes: `explain` in CI is red, and says which template."""
    ended = place.run("explain", "-", stdin=body(event="evt_cli", pipeline="pl_bad"))
    assert ended.code == 1
    assert "bad -> load_orders: failed (template) conf.date: " in ended.out


def test_explain_shows_the_note(place: Place, payload: str) -> None:
    """Everything that would be sent."""
    text = "routes:\n  - {pipeline: pl_8f2a9c1d4e, dag: d1, note: 'of {{ event.job_id }}'}\n"
    (place.folder / "mapping.yaml").write_text(text)
    ended = place.run("explain", payload)
    assert "\nnote: of job_evt_cli\n" in ended.out


def test_explain_says_when_two_routes_start_one_dag(place: Place, payload: str) -> None:
    """Two runs of one DAG look alike in Airflow: what tells them apart is said beside each call."""
    route = "pipeline: pl_8f2a9c1d4e, dag: d1"
    (place.folder / "mapping.yaml").write_text(f"routes:\n  - {{name: a, {route}}}\n  - {{name: b, {route}}}\n")
    ended = place.run("explain", payload)
    assert ended.code == 0
    for other in ("a", "b"):
        assert f"also started by {other}; conf.planasonix.route tells the runs apart" in ended.out


def test_explain_a_stored_delivery(place: Place, ids: tuple[str, str]) -> None:
    """As it was received."""
    ended = place.run("explain", "--delivery", ids[0], "--json")
    assert (ended.code, ended.json["event"]["id"]) == (0, "evt_cli")
    ended = place.run("explain", "--delivery", "dlv_0000000000000001")
    assert (ended.code, ended.out) == (1, "")
    assert "no delivery" in ended.err


def test_schema_is_json(place: Place) -> None:
    """For editors."""
    ended = place.run("schema")
    assert ended.code == 0
    assert ended.json["properties"]["routes"]


def test_migrate_twice(place: Place) -> None:
    """The revision is the answer; the second time there is nothing to do."""
    first, second = place.run("migrate"), place.run("migrate")
    assert (first.code, second.code) == (0, 0)
    assert first.out == second.out != ""
    assert "migrated from nothing" in first.err
    assert "nothing to do" in second.err
    assert (place.folder / "bridge.db").stat().st_mode & 0o077 == 0


# --- deliveries, triggers, replay ------------------------------------------------------------------


def test_listing(place: Place, ids: tuple[str, str]) -> None:
    """A table for people, JSON for programs; exit 1 when there is nothing."""
    for command, id_ in zip(("deliveries", "triggers"), ids, strict=True):
        table = place.run(command)
        assert (table.code, table.err) == (0, "")
        assert id_ in table.out
        assert [item["id"] for item in place.run(command, "--json", "--since", "1h").json] == [id_]
        nothing = place.run(command, "--json", "--until", "1999-01-01")
        assert (nothing.code, nothing.json) == (1, [])


def test_a_list_that_is_cut_says_so(place: Place, ids: tuple[str, str]) -> None:
    """On stderr, with what shows more; a list that is whole says nothing, also where it fills its page."""
    inbox = Inbox(place.variables["BRIDGE_DATABASE_URL"])
    accept(inbox, *[f"evt_{number}" for number in range(20)])
    inbox.close()
    ended = place.run("deliveries", "--json")
    assert (len(ended.json), ended.err) == (20, "only the newest 20 are shown; --limit 500 shows more\n")
    for limit in ("21", "500"):
        ended = place.run("deliveries", "--limit", limit, "--json")
        assert (len(ended.json), ended.err) == (21, "")


@pytest.mark.parametrize("command", ["deliveries", "triggers", "orders", "refusals", "audit"])
def test_every_list_says_if_it_is_cut(place: Place, ids: tuple[str, str], command: str) -> None:
    """They all do it in one way."""
    inbox = Inbox(place.variables["BRIDGE_DATABASE_URL"])
    now = datetime.now(UTC)
    add(inbox, stored(inbox, "evt_other"), now=now)
    refused = Refusal(now, RefusalKind.REFUSED, "planasonix", "signature_mismatch")
    inbox.write(refusals.append, [refused, refused])
    inbox.close()
    for id_ in ids:
        place.run("replay", id_)
    assert "--limit 500 shows more" in place.run(command, "--limit", "1").err
    assert place.run(command, "--limit", "2").err == ""


def test_causes_beyond_the_largest_are_said(place: Place, ids: tuple[str, str]) -> None:
    """By `causes`, with what shows them, and by `status`, which has one line for them."""
    inbox = Inbox(place.variables["BRIDGE_DATABASE_URL"])
    id_, held = stored(inbox, "evt_many"), {"state": TriggerState.HELD, "reason": Reason.LOOP_GUARD}
    names = [f"route_{number}" for number in range(standing.MOST_LINES + 2)]
    many = [new_trigger(inbox, id_, route=name, dag_run_id=name, **held) for name in names]
    inbox.write(settle_routing, [Routing(id_, DeliveryState.ROUTED, None, None, None, many)], now=datetime.now(UTC))
    inbox.close()
    ended = place.run("causes", "--json")
    found = ended.json
    assert (len(found["causes"]), found["count"], found["left_out"], found["is_whole"]) == (200, 202, 2, True)
    assert ended.err == "2 smaller causes are not shown: narrow it down with --route, --dag, --reason or --since\n"
    needs = place.run("status", "--json").json["needs"]
    assert [need["count"] for need in needs if need["about"] == "smaller causes"] == [2]


def test_one_whole(place: Place, ids: tuple[str, str]) -> None:
    """With its body, its conf, and what belongs to it."""
    whole = place.run("deliveries", ids[0], "--json").json
    assert whole["triggers"][0]["id"] == ids[1]
    assert place.run("triggers", ids[1], "--json").json["attempt_log"] == []
    assert "evt_cli" in place.run("deliveries", ids[0]).out


@pytest.mark.parametrize("id_", ["dlv_0000000000000001", "trg_0000000000000001", "x"])
@pytest.mark.parametrize("command", ["deliveries", "triggers", "replay", "cancel", "orders"])
def test_what_is_not_there_is_1(place: Place, ids: tuple[str, str], command: str, id_: str) -> None:
    """Nothing on stdout, and stderr says so; to cancel a delivery is wrong usage, there or not."""
    ended = place.run(command, id_)
    assert (ended.code, ended.out) == (2 if command == "cancel" and id_.startswith("dlv_") else 1, "")
    assert ended.err.startswith("error: ")


def test_a_terminal_is_not_steered_by_a_sender(place: Place, ids: tuple[str, str]) -> None:
    """Control characters of a body are shown and not sent."""
    store = Store(place.folder / "bridge.db")
    store.rows("UPDATE deliveries SET body = ?, detail = ?", b"\x1b[2J\x07 {}", "\x1b]0;title\x07")
    store.close()
    out = place.run("deliveries", ids[0]).out
    assert "\x1b" not in out
    assert "\\x1b[2J" in out


def test_replay_asks_first(place: Place, ids: tuple[str, str]) -> None:
    """Without a terminal and without --yes nothing happens; with it the count and the outcomes are told."""
    Store(place.folder / "bridge.db").rows("UPDATE triggers SET state = 'failed', reason = 'expired'")
    ended = place.run("replay", "--state", "failed")
    assert (ended.code, ended.out) == (1, "")
    assert "1 match" in ended.err
    assert "--yes" in ended.err
    ended = place.run("replay", "--state", "failed", "--yes", "--json")
    assert (ended.code, ended.json) == (0, {"count": 1, "replayed": {"queued": 1}})
    assert place.run("replay", "--state", "failed", "--yes").code == 1


def test_replay_one_and_run_again(place: Place, ids: tuple[str, str]) -> None:
    """Ids need no --yes; a new run gets a new DAG run id."""
    assert place.run("replay", *ids, "--json").json["count"] == 2
    assert place.run("replay", ids[1], "--run-again", "--json").json["replayed"] == {"new_run": 1}
    runs = [item["dag_run_id"] for item in place.run("triggers", "--json").json]
    assert runs == [f"run-of-{ids[0]}__r1", f"run-of-{ids[0]}"]


def test_cancel_by_filter_and_by_id(place: Place, ids: tuple[str, str]) -> None:
    """It asks first, as replay does; what was cancelled has ended."""
    filtered = ("cancel", "--state", "pending", "--route", "orders")
    ended = place.run(*filtered)
    assert (ended.code, ended.out) == (1, "")
    assert "1 match" in ended.err
    ended = place.run(*filtered, "--yes", "--reason", "not today", "--json")
    assert (ended.code, ended.json) == (0, {"count": 1, "cancelled": {"cancelled": 1}})
    assert place.run("triggers", ids[1], "--json").json["reason"] == "by_operator"
    again = place.run("cancel", ids[1], "--json")
    assert (again.code, again.json["cancelled"]) == (1, {"ended": 1})


def test_a_cancel_that_cancels_nothing_is_exit_1(place: Place, ids: tuple[str, str]) -> None:
    """What was fired runs on: a script must not read that as cancelled, and stderr says where to read on."""
    store = Store(place.folder / "bridge.db")
    store.rows("UPDATE triggers SET state = 'fired'")
    ended = place.run("cancel", ids[1])
    assert (ended.code, ended.out) == (1, "1  ended\n")
    assert "not done: 1 ended: it was fired or cancelled before; `why ID` tells" in ended.err
    store.close()


def test_a_cancel_in_doubt_says_where_to_look(place: Place, ids: tuple[str, str]) -> None:
    """It is done, and the DAG run may be there all the same."""
    store = Store(place.folder / "bridge.db")
    store.rows("UPDATE triggers SET doubted_at = 1")
    store.close()
    ended = place.run("cancel", ids[1])
    assert (ended.code, ended.out) == (0, "1  in_doubt\n")
    assert "1 in_doubt: cancelled, but a call before may have started a DAG run; look for it in Airflow" in ended.err


def test_a_replay_that_leaves_something_as_it_is_is_exit_1(place: Place, ids: tuple[str, str]) -> None:
    """All of it, or a part; what was done is done."""
    store = Store(place.folder / "bridge.db")
    store.rows("UPDATE deliveries SET erased_at = 1")
    store.close()
    inbox = Inbox(place.variables["BRIDGE_DATABASE_URL"])
    other = stored(inbox, "evt_other", body=body(event="evt_other"))
    inbox.close()
    for words, outcomes in (((ids[1],), {"erased": 1}), ((ids[1], other), {"erased": 1, "routed_again": 1})):
        ended = place.run("replay", *words, "--json")
        assert (ended.code, ended.json["replayed"]) == (1, outcomes)
        assert "not done: 1 erased: its payload was erased" in ended.err
    assert place.run("replay", other).code == 0


@pytest.mark.parametrize("words", [("replay",), ("replay", "--dry-run"), ("cancel",)])
def test_a_reason_that_is_a_word_is_not_taken_for_talk(
    place: Place, ids: tuple[str, str], words: tuple[str, ...]
) -> None:
    """`causes --reason template` filters: who goes on so must not replay everything that failed."""
    Store(place.folder / "bridge.db").rows("UPDATE triggers SET state = 'failed', reason = 'expired'")
    order = (*words, "--state", "failed", "--yes")
    ended = place.run(*order, "--reason", "template")
    assert (ended.code, ended.out) == (2, "")
    assert "write --cause template" in ended.err
    assert place.run("orders").code == 1
    assert place.run("triggers", ids[1], "--json").json["state"] == "failed"
    assert place.run(*order, "--cause", "expired", "--reason", "expired").code == 0


@pytest.mark.parametrize("words", [("replay",), ("replay", "--run-again"), ("replay", "--dry-run"), ("cancel",)])
def test_filters_beside_ids_are_not_left_out(place: Place, ids: tuple[str, str], words: tuple[str, ...]) -> None:
    """`replay dlv_... --dag load_orders --run-again` would start every DAG of that delivery anew."""
    ended = place.run(*words, ids[1], "--dag", "load_orders")
    assert (ended.code, ended.out) == (2, "")
    assert "ids or filters, not both (dag_id)" in ended.err
    assert place.run("orders").code == 1


def test_a_command_that_is_repeated_under_its_key_runs_once(place: Place, ids: tuple[str, str]) -> None:
    """The answer is the same; stderr says that nothing new was begun."""
    words = ("replay", ids[1], "--run-again", "--key", "monday", "--json")
    first, second = (place.run(*words) for _ in range(2))
    assert first.json == second.json == {"count": 1, "replayed": {"new_run": 1}}
    assert "nothing new is begun" in second.err
    assert len(place.run("triggers", "--json").json) == 2


def test_orders_are_listed_shown_and_stopped(place: Place, ids: tuple[str, str]) -> None:
    """Exit 1 when there is none."""
    assert place.run("orders").code == 1
    place.run("replay", *ids, "--reason", "mended")
    (listed,) = place.run("orders", "--json").json
    assert (listed["state"], listed["done"], listed["count"], listed["reason"]) == ("done", 2, 2, "mended")
    assert listed["id"] in place.run("orders").out
    assert place.run("orders", listed["id"], "--stop", "--json").json == listed
    assert "routed_again" in place.run("orders", listed["id"]).out


# --- send and serve --------------------------------------------------------------------------------


def test_send(tmp_path: Path, payload: str, place: Place) -> None:
    """Signed as the sender does: 202, then 200; with --count each is an event of its own."""
    folder = tmp_path / "bridge"
    folder.mkdir()
    bridge = BridgeProcess(folder, airflow_url="http://127.0.0.1:1", mapping="routes: []\n")
    try:
        bridge.start()
        url = f"http://127.0.0.1:{bridge.port}/hooks/planasonix"
        first, second = (place.run("send", payload, "--url", url) for _ in range(2))
        assert (first.code, first.out.split()[:2]) == (0, ["202", "accepted"])
        assert (second.code, second.out.split()[:2]) == (0, ["200", "duplicate"])
        many = place.run("send", payload, "--url", url, "--count", "30", "--json")
        assert [item["http_status"] for item in many.json] == [200] + [202] * 29
        refused = place.run("send", payload, "--url", url, PLANASONIX_WEBHOOK_SECRET="another-secret-0123456789ab")
        assert (refused.code, refused.out.split()[:2]) == (1, ["401", "unauthorized"])
        assert "401 means" in refused.err
    finally:
        bridge.close()


def test_send_to_nobody(place: Place, payload: str) -> None:
    """Exit 1, and the cause is told."""
    ended = place.run("send", payload)
    assert ended.code == 1
    assert "ConnectionRefusedError" in ended.out


@pytest.mark.parametrize("url", ["ftp://x", "bridge:8080", "http://", "http://x:port", "http://[::1", "http://x:99999"])
def test_send_to_no_url_is_2(place: Place, payload: str, url: str) -> None:
    """Wrong usage."""
    ended = place.run("send", payload, "--url", url)
    assert (ended.code, ended.out) == (2, "")


@pytest.mark.parametrize("content", [b"not json", b"[]", b"\xff"])
def test_many_of_what_has_no_ids_is_2(place: Place, content: bytes) -> None:
    """Copies would be duplicates, so it says what --count needs."""
    (place.folder / "odd.json").write_bytes(content)
    ended = place.run("send", "odd.json", "--count", "2", "--url", "http://127.0.0.1:1")
    assert ended.code == 2
    assert "--count" in ended.err


def test_debug_shows_the_traceback(place: Place) -> None:
    """Only when asked for."""
    done = subprocess.run(
        [COMMAND, "--debug", "deliveries"],
        env=place.variables,
        cwd=place.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_call_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """After BRIDGE_SHUTDOWN_SECONDS the process ends with 0; the trigger is free for the next one."""
    with Standin() as airflow:

        def hang(_: object) -> None:
            wait_for(lambda: is_over, seconds=120, what="the test")

        is_over = False
        airflow.dags["refresh_sales_marts"] = {"is_paused": False}
        airflow.before = hang
        bridge = BridgeProcess(
            tmp_path,
            airflow_url=airflow.url,
            mapping="routes:\n  - pipeline: pl_8f2a9c1d4e\n    dag: refresh_sales_marts\n",
            more="    read_seconds: 90\n    deadline_seconds: 95",
            settings={"BRIDGE_SHUTDOWN_SECONDS": "1"},
        )
        try:
            bridge.start()
            bridge.send(body(event="evt_hanging"))
            wait_for(lambda: airflow.posts() == 1, seconds=20, what="the call")
            began = datetime.now(UTC)
            assert bridge.stop() == 0
            assert (datetime.now(UTC) - began).total_seconds() < 60
            database = bridge.database()
            assert database.execute("SELECT state, attempts FROM triggers").fetchall() == [("pending", 0)]
            database.close()
        finally:
            is_over = True
            bridge.close()


def test_what_is_logged_is_talk(place: Place, ids: tuple[str, str]) -> None:
    """A store that another program has locked: the log line goes to stderr, so that stdout is the answer alone."""
    store = Store(place.folder / "bridge.db")
    store.rows("BEGIN IMMEDIATE")
    ended = place.run("replay", ids[1], "--json")
    store.rows("ROLLBACK")
    store.close()
    assert (ended.code, ended.out) == (1, "")
    assert "store_failed" in ended.err
