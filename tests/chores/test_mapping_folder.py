"""A folder of mapping files, one a team: each keeps its own last good content, over a restart too."""

from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from bridge.chores.mapping_file import MappingFile
from bridge.edges import logs
from bridge.edges.inbox import Inbox, mappings
from bridge.edges.metrics import Metrics

SALES = "owner: team-sales\nroutes:\n  - {name: orders, pipeline: pl_1, dag: load_orders}\n"
STOCK = "owner: team-stock\nroutes:\n  - {name: stock, pipeline: pl_2, dag: load_stock}\n"
MORE = STOCK + "  - {name: shelves, pipeline: pl_3, dag: load_shelves}\n"
BROKEN = SALES.replace("pipeline", "pipline")
Start = Callable[[], MappingFile]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of two teams."""
    item = tmp_path / "mapping"
    item.mkdir()
    (item / "sales.yaml").write_text(SALES)
    (item / "stock.yaml").write_text(STOCK)
    return item


@pytest.fixture
def start(folder: Path, inbox: Inbox, metrics: Metrics) -> Start:
    """Start over the folder and the store, as a service does."""
    return lambda: MappingFile(folder, airflows=["default"], sources=["planasonix"], inbox=inbox, metrics=metrics)


def look_twice(mapping: MappingFile) -> bool:
    """What one look finds, the next one believes; and what is in use is kept."""
    is_news = mapping.compare() | mapping.compare()
    mapping.step()
    return is_news


def routes(mapping: MappingFile) -> list[str]:
    """Return the names of the routes in use."""
    return [route.name for route in mapping.current().routes]


def problems(mapping: MappingFile) -> dict[str, list[str]]:
    """Return what is wrong, by the name of the file."""
    states = {Path(each.file).name: [str(item) for item in each.problems] for each in mapping.state.files}
    return {file: found for file, found in states.items() if found}


def test_every_file_is_read(folder: Path, start: Start) -> None:
    """In the order of their names; neither hidden ones, nor others, nor those of folders below."""
    for name in (".hidden.yaml", "README.md", "old.yaml.bak"):
        (folder / name).write_text("nonsense")
    (folder / "below").mkdir()
    (folder / "below" / "more.yaml").write_text("nonsense")
    mapping = start()
    assert routes(mapping) == ["orders", "stock"]
    assert [(Path(each.file).name, each.part and each.part.owner) for each in mapping.state.files] == [
        ("sales.yaml", "team-sales"),
        ("stock.yaml", "team-stock"),
    ]


def test_one_teams_broken_file_stops_no_other_teams_edit(folder: Path, start: Start) -> None:
    """In the same minute: the good edit is in use, the broken file keeps what was good, and a restart keeps both."""
    mapping = start()
    (folder / "sales.yaml").write_text(BROKEN)
    (folder / "stock.yaml").write_text(MORE)
    assert look_twice(mapping)
    for item in (mapping, start(), start()):
        assert routes(item) == ["orders", "stock", "shelves"]
        assert list(problems(item)) == ["sales.yaml"]
        assert problems(item)["sales.yaml"][0].startswith(f'{folder}/sales.yaml:3:20: unknown key "pipline"')
        assert [each.loaded_at for each in item.state.files] == [each.loaded_at for each in mapping.state.files]
    restarted = start()
    (folder / "sales.yaml").write_text(SALES)
    assert look_twice(restarted)
    assert problems(restarted) == {}


def test_a_name_that_another_file_has_is_the_mistake_of_the_file_that_changed_last(folder: Path, start: Start) -> None:
    """Also after a restart; and once the other file gives the name up, the edit is in use by itself."""
    mapping = start()
    (folder / "sales.yaml").write_text(SALES + "  - {name: stock, pipeline: pl_9, dag: load_stock}\n")
    assert look_twice(mapping)
    for item in (mapping, start()):
        assert routes(item) == ["orders", "stock"]
        assert problems(item) == {
            "sales.yaml": [f'{folder}/sales.yaml:4:6: the name "stock" is taken by the route of {folder}/stock.yaml:3']
        }
    (folder / "stock.yaml").write_text(STOCK.replace("name: stock", "name: goods"))
    assert look_twice(mapping)
    assert routes(mapping) == ["orders", "stock", "goods"]
    assert problems(mapping) == {}


def test_a_route_that_moves_in_one_swap_is_no_mistake(tmp_path: Path, inbox: Inbox, metrics: Metrics) -> None:
    """A ConfigMap with several keys changes all of them at once, by what `..data` points to."""
    folder = tmp_path / "map"
    versions = {"..v1": (SALES, STOCK), "..v2": ("routes: []\n", STOCK + SALES.partition("routes:\n")[2])}
    folder.mkdir()
    for version, texts in versions.items():
        (folder / version).mkdir()
        for name, text in zip(("sales.yaml", "stock.yaml"), texts, strict=True):
            (folder / version / name).write_text(text)
    (folder / "..data").symlink_to("..v1")
    for name in ("sales.yaml", "stock.yaml"):
        (folder / name).symlink_to(f"..data/{name}")
    mapping = MappingFile(folder, airflows=["default"], sources=["planasonix"], inbox=inbox, metrics=metrics)
    (folder / "..data_tmp").symlink_to("..v2")
    (folder / "..data_tmp").rename(folder / "..data")
    assert look_twice(mapping)
    assert routes(mapping) == ["stock", "orders"]
    assert problems(mapping) == {}


def test_a_file_that_is_gone_or_lost_most_routes_is_said(
    folder: Path, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name and owner; also if it went while the bridge was stopped."""
    mapping = start()
    look_twice(mapping)
    (folder / "sales.yaml").unlink()
    assert look_twice(mapping)
    assert routes(mapping) == ["stock"]
    said = capsys.readouterr().out
    assert "mapping_shrank" in said
    assert "sales.yaml" in said
    assert "team-sales" in said
    (folder / "other.yaml").write_text(SALES)
    (folder / "stock.yaml").unlink()
    again = start()
    assert routes(again) == ["orders"]
    assert "stock.yaml" in capsys.readouterr().out


def test_a_folder_that_cannot_be_read_changes_nothing(folder: Path, start: Start, tmp_path: Path) -> None:
    """An empty mount is no wish of anybody's; a restart at that moment begins with what was in use."""
    mapping = start()
    look_twice(mapping)
    folder.rename(tmp_path / "away")
    folder.mkdir()
    assert look_twice(mapping)
    for item in (mapping, start()):
        assert routes(item) == ["orders", "stock"]
        assert [str(each) for each in item.state.problems] == [f"{folder}: is a folder without any *.yaml"]
        assert (item.state.unused, problems(item)) == (frozenset(), {})
    folder.rmdir()
    (tmp_path / "away").rename(folder)
    assert look_twice(mapping)
    assert problems(mapping) == {}


def test_a_start_amid_a_write_of_one_file_takes_the_others_over(
    folder: Path, start: Start, inbox: Inbox, metrics: Metrics
) -> None:
    """What two looks agree on is used; a file that is being written keeps what was good, or adds nothing yet."""
    look_twice(start())
    (folder / "stock.yaml").write_text(MORE)
    (folder / "sales.yaml").write_text("routes: []\n")
    (folder / "new.yaml").write_text("routes: []\n")

    def go_on(_: float) -> None:
        (folder / "sales.yaml").write_text(SALES + "  - {name: more, pipeline: pl_4, dag: load_orders}\n")
        (folder / "new.yaml").write_text("routes:\n  - {name: new, pipeline: pl_5, dag: load_new}\n")

    names = {"airflows": ["default"], "sources": ["planasonix"]}
    mapping = MappingFile(folder, inbox=inbox, metrics=metrics, wait=go_on, **names)
    assert routes(mapping) == ["orders", "stock", "shelves"]
    assert problems(mapping) == {}
    assert mapping.compare()
    assert routes(mapping) == ["new", "orders", "more", "stock", "shelves"]


def test_a_new_file_with_a_mistake_adds_nothing(folder: Path, start: Start) -> None:
    """The rest is in use, also after a restart and at a first start."""
    (folder / "new.yaml").write_text("routes:\n  - {dagg: x}\n")
    for item in (start(), start()):
        assert routes(item) == ["orders", "stock"]
        assert list(problems(item)) == ["new.yaml"]
        assert item.state.unused == {str(folder / "new.yaml")}


def test_what_is_used_of_a_broken_file_is_logged_as_it_is(
    folder: Path, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its last good content, or nothing of a file that was never good."""
    mapping = start()
    look_twice(mapping)
    capsys.readouterr()
    (folder / "new.yaml").write_text("routes:\n  - {dagg: x}\n")
    look_twice(mapping)
    said = capsys.readouterr().out
    assert "mend the file; nothing of it is in use" in said
    assert "last good" not in said
    (folder / "sales.yaml").write_text(BROKEN)
    look_twice(mapping)
    assert "mend the file; its last good content is in use" in capsys.readouterr().out


def test_where_no_file_can_be_used_the_service_lacks_a_mapping(folder: Path, start: Start) -> None:
    """Every mistake of every file is told; one that is mended is in use."""
    (folder / "sales.yaml").write_text(BROKEN)
    (folder / "stock.yaml").write_text("[")
    mapping = start()
    assert mapping.state.is_lacking
    assert set(problems(mapping)) == {"sales.yaml", "stock.yaml"}
    (folder / "stock.yaml").write_text(STOCK)
    look_twice(mapping)
    assert (mapping.state.is_lacking, routes(mapping)) == (False, ["stock"])


def test_the_store_keeps_what_is_in_use_and_nothing_else(folder: Path, start: Start, inbox: Inbox) -> None:
    """By the whole path; a file that is gone is forgotten."""
    look_twice(start())
    (folder / "sales.yaml").unlink()
    (folder / "stock.yaml").write_text(MORE)
    item = start()
    look_twice(item)
    assert [(each.file, each.content) for each in inbox.read(mappings.kept)] == [(str(folder / "stock.yaml"), MORE)]


def test_what_was_kept_is_not_believed_where_it_is_a_mistake_by_now(
    folder: Path, start: Start, inbox: Inbox, metrics: Metrics
) -> None:
    """A last good content that names an Airflow of another bridge.yaml adds nothing."""
    (folder / "sales.yaml").write_text(SALES.replace("dag:", "airflow: old, dag:"))
    names = {"airflows": ["default", "old"], "sources": ["planasonix"]}
    look_twice(MappingFile(folder, inbox=inbox, metrics=metrics, **names))
    (folder / "sales.yaml").write_text(BROKEN)
    assert routes(start()) == ["stock"]


def test_log_lines_of_a_route_name_its_owner(
    start: Start, standard_logging: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever part of the bridge says them; a line about no route, or a route that is gone, has none."""
    import sys

    logs.configure("info", "json", sys.stderr)
    logs.name_owners(start().owner_of)
    log = structlog.get_logger("bridge.test")
    log.info("one", route="orders")
    log.info("two", route="gone")
    log.info("three")
    lines = capsys.readouterr().err.splitlines()
    assert ["team-sales" in line for line in lines] == [True, False, False]
