"""The pages are true: what they list is what there is, and their examples are accepted."""

import re
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from bridge import __version__
from bridge.edges.metrics import Metrics, labels
from bridge.edges.settings import list_settings
from bridge.rules.mapping import read
from bridge.rules.mapping.schema import DefaultsForm, RouteForm
from bridge.rules.rendering.sandbox import build
from bridge.rules.signature import PRESETS
from bridge.words.model import EVENT_FIELDS
from bridge.words.reasons import Reason
from deploy.demo.airflow import REPOSITORY
from tests.docs.pages import DOCS, blocks, leaf_commands, page, pages, prose, unknown_words

MAPPING = page("mapping.md")
_COMMANDS = re.compile(r"(curl|docker|export|helm|install|kubectl|make|oc|pip|planasonix-bridge|sudo|systemctl)\b")
COMMAND = REPOSITORY / ".venv" / "bin" / "planasonix-bridge"


def yaml_examples() -> list[str]:
    """Return the examples of docs/mapping.md."""
    return [block for block in blocks(MAPPING, "yaml") if "routes:" in block]


def test_every_setting_is_listed_with_its_default() -> None:
    """The table of settings is the one that the code prints."""
    rows = [
        f"| `{item.name}` | {f'`{item.default}`' if item.default else 'none'} | {item.description} |"
        for item in list_settings()
    ]
    assert [row for row in rows if row not in page("reference/settings.md")] == []


def test_every_reason_is_listed_with_its_next_step() -> None:
    """The table of reasons is the one that the code prints."""
    rows = [f"| `{reason}` | {reason.why} | {reason.next_step} |" for reason in Reason]
    assert [row for row in rows if row not in page("reference/reasons.md")] == []


def test_every_refusal_and_every_end_of_a_connection_is_explained() -> None:
    """Words that are no reason of a delivery, but appear in metrics, have a row each."""
    listed = re.findall(r"(?m)^\| `(\w+)` \| ", page("reference/reasons.md"))
    words = ["unknown_source", *labels.BROKEN, *labels.LIMITS, *labels.CONNECTION_ENDS]
    assert sorted(listed) == sorted([*words, *map(str, Reason)])


def test_every_metric_is_listed() -> None:
    """Every metric that the service exposes has a row with its type, labels and meaning, and no other has."""
    metrics = Metrics(keys_by_source={"planasonix": ["current"]}, airflows=["default"])
    metrics.expect_key_set("planasonix", "current")
    metrics.notifying.expect(["CHAT_URL"])
    metrics.observe_mapping(digest="x", routes=["orders"], loaded_at=datetime.now(UTC))
    rows = []
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        if family.name.startswith("bridge_"):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            meaning = family.documentation.removesuffix(" Of the store.")
            kind = family.type + (", store" if meaning != family.documentation else "")
            rows.append((name, kind, labels, meaning))
    text = page("reference/metrics.md")
    listed = re.findall(r"^\| `(bridge_\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    assert [(name, kind, set(re.findall(r"\w+", labels)), meaning) for name, kind, labels, meaning in listed] == rows


def test_every_preset_is_listed_with_its_source() -> None:
    """The table of presets has a row for each, with its source, and the shipped file names them all."""
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| [^|]+ \| ([^|]+) \|$", page("signatures.md"), re.MULTILINE)
    assert dict(rows[: len(PRESETS)]) == {preset.name: preset.source for preset in PRESETS.values()}
    shipped = (REPOSITORY / "config" / "bridge.yaml").read_text()
    assert [
        name for name in (*PRESETS, *PRESETS["custom"].options, *PRESETS["jwt"].options) if name not in shipped
    ] == []


def test_every_command_is_listed() -> None:
    """Every command has a row, and its --help works."""
    listed = set(re.findall(r"^\| `planasonix-bridge (\w+)", page("reference/cli.md"), re.MULTILINE))
    text = subprocess.run([COMMAND, "--help"], capture_output=True, text=True, check=True).stdout
    commands = set(re.findall(r"^  (\w+)  ", text.partition("Commands:")[2], re.MULTILINE))
    assert commands == listed != set()


_NO_STORE = {
    *("check", "completion", "infer", "init", "sample", "schema", "send", "serve", "test", "urls"),
    *("keys check", "keys generate", "keys show", "subscribe", "subscriptions", "unsubscribe"),
}


def test_every_verb_without_url_is_named_with_its_reason() -> None:
    """A verb that reads or steers asks a running bridge too; the head of the page says which ones cannot."""
    alone = {
        name
        for name, command in leaf_commands()
        if not any((getattr(it, "help", "") or "").startswith("Ask this running bridge") for it in command.params)
    }
    head = page("reference/cli.md").partition("no `--url`.")[2].partition("\n\n")[0]
    assert {name for name in alone - _NO_STORE if f"`{name}`" not in head} == set()
    assert alone >= _NO_STORE


def test_every_route_key_is_listed() -> None:
    """Every key of a route and of `defaults` is explained."""
    table = MAPPING.partition("| key of a route | meaning |")[2].partition("### Templates")[0]
    assert {key for key in RouteForm.model_fields if f"`{key}`" not in table} == set()
    defaults = table.partition("`defaults` takes")[2]
    assert {key for key in DefaultsForm.model_fields if f"`{key}`" not in defaults} == set()


def test_template_variables_and_filters_are_listed() -> None:
    """What templates see and may use is what docs/mapping.md says."""
    text = " ".join(MAPPING.partition("Templates see")[2].partition("### DAG run ids")[0].split())
    fields = text.partition("`event` (`")[2].partition("`)")[0]
    assert [name.strip() for name in fields.split(",")] == list(EVENT_FIELDS)
    filters = text.partition("the filters `")[2].partition("`")[0]
    assert sorted(name.strip() for name in filters.split(",")) == sorted(build().filters)


@pytest.mark.parametrize("path", [*DOCS.rglob("*.md"), REPOSITORY / "README.md"], ids=lambda path: path.stem)
def test_commands_that_a_page_shows_exist(path: Path) -> None:
    """Every command with its options, in the text and in the blocks to copy."""
    lines = [line for block in blocks(path.read_text()) for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", path.read_text())
    wrong = []
    for line in lines:
        shown = re.match(r"(?:\S*/)?planasonix-bridge ([^#|>;]*)", line)
        if shown and not shown[1].startswith(("COMMAND", "--debug")):
            wrong += unknown_words(shown[1].replace("[", "").replace("]", "").split())
    assert wrong == []


@pytest.mark.parametrize("path", [*DOCS.rglob("*.md"), REPOSITORY / "README.md"], ids=lambda path: path.stem)
def test_commands_that_a_page_shows_are_whole(path: Path) -> None:
    """A shell can read every block that begins with a command: no quote and no bracket is left open."""
    for block in blocks(path.read_text()):
        if _COMMANDS.match(block):
            done = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False, timeout=60)
            assert (done.returncode, done.stderr) == (0, ""), block


def test_a_replay_of_all_that_is_held_names_a_cause() -> None:
    """Without one it would also set free what waits for a person or for its ceiling."""
    shown = [
        line for path in DOCS.rglob("*.md") for line in re.findall(r"replay --state held[^`\n]*", path.read_text())
    ]
    assert shown
    assert [line for line in shown if "--cause" not in line] == []


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.stem)
def test_make_targets_that_a_page_shows_exist(path: Path) -> None:
    """No page names a target that the Makefile lacks; in a sentence they stand between backticks."""
    targets = set(re.findall(r"(?m)^([a-z0-9-]+):", (REPOSITORY / "Makefile").read_text()))
    lines = [line for block in blocks(path.read_text()) for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", prose(path.read_text()))
    assert {shown[1] for line in lines if (shown := re.match(r"make ([a-z0-9-]+)", line))} <= targets


def test_the_unit_of_systemd_fits_the_settings() -> None:
    """Its variables are settings, its command exists, and it waits for longer than a stop takes."""
    text = (REPOSITORY / "deploy" / "systemd" / "planasonix-bridge.service").read_text()
    settings = {item.name: item.default for item in list_settings()}
    variables = {name.removesuffix("_FILE") for name in re.findall(r"(?m)^Environment=(\w+)=", text)}
    assert variables <= set(settings)
    (command,) = re.findall(r"(?m)^ExecStart=\S+/planasonix-bridge (.+)$", text)
    assert unknown_words(command.split()) == []
    (patience,) = re.findall(r"(?m)^TimeoutStopSec=(\d+)$", text)
    assert int(patience) > float(settings["BRIDGE_DRAIN_SECONDS"]) + float(settings["BRIDGE_SHUTDOWN_SECONDS"])
    assert "RestartPreventExitStatus=2" in text


def test_the_changelog_knows_the_versions() -> None:
    """Its newest part is of this version, the one below of the release before, which the upgrade tests run."""
    (wheel,) = (REPOSITORY / "tests" / "data" / "releases").glob("*.whl")
    versions = re.findall(r"(?m)^## ([0-9.]+)", (REPOSITORY / "CHANGELOG.md").read_text())
    assert versions[:2] == [__version__, wheel.name.split("-")[1]]


def test_the_upgrade_notes_rename_what_the_release_before_had() -> None:
    """Each `part` of the errors that is said to have another name now is counted by the wheel of that release."""
    (wheel,) = (REPOSITORY / "tests" / "data" / "releases").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        modules = " ".join(archive.read(item).decode() for item in archive.namelist() if item.endswith(".py"))
    counted = set(re.findall(r"failures\.labels\(\"(\w+)\"\)", modules))
    notes = (REPOSITORY / "CHANGELOG.md").read_text().partition("{part}`")[2].partition("\n- ")[0]
    renamed = dict(re.findall(r"`(\w+)` is (?:now )?`(\w+)`", notes))
    assert renamed
    assert set(renamed) <= counted
    assert not counted - set(renamed) - {*labels.PARTS, "routing"}


@pytest.mark.parametrize(
    "file",
    ["docs/mapping.md", "docs/compose.md", "docs/runbook.md", "config/mapping.yaml", "deploy/compose/compose.yaml"],
)
def test_how_soon_an_edit_of_the_mapping_is_in_use(file: str) -> None:
    """Two seconds, wherever it is said: two looks and the time to read a large file (`bridge/chores/mapping_file`)."""
    text = (REPOSITORY / file).read_text()
    if file == "docs/runbook.md":  # its other headings tell of secrets
        text = text.partition("## BridgeMappingBroken")[2].partition("\n## ")[0]
    assert re.findall(r"within (\w+) seconds", text) == ["two"]


def test_there_are_eight_mapping_examples() -> None:
    """From simple to full, and one of a file of a team."""
    assert len(yaml_examples()) == 7 + 1


@pytest.mark.parametrize("example", yaml_examples())
def test_mapping_examples_are_accepted(example: str) -> None:
    """Each example is a mapping without a mistake."""
    assert read(example, file="mapping.md", airflows=["default"], sources=["planasonix"]).routes


def test_shipped_configuration_is_accepted(tmp_path: Path) -> None:
    """`check` is content with config/ as it is shipped, once the three variables are set."""
    environ = {
        "PATH": "/usr/bin:/bin",
        "PLANASONIX_WEBHOOK_SECRET": "whsec_01jq8secretxxxxxxxxxxxxxxxx",
        "AIRFLOW_USERNAME": "bridge",
        "AIRFLOW_PASSWORD": "bridge",
    }
    done = subprocess.run([COMMAND, "check"], cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert YAML(typ="safe").load(REPOSITORY / "config" / "mapping.yaml")["routes"][0]["dag"] == "refresh_sales_marts"
