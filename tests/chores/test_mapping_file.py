"""The mapping in use is the file's last good content, whatever happens to the file."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.chores.mapping_file import MappingFile
from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from tests.support.store import wait_for

GOOD = "routes:\n  - pipeline: pl_1\n    dag: load_orders\n"
OTHER = "routes:\n  - pipeline: pl_2\n    dag: load_orders\n  - pipeline: pl_3\n    dag: load_orders\n"
BAD = "routes:\n  - pipline: pl_1\n    dag: load_orders\n"
NAMES: dict[str, Any] = {"airflows": ["default"], "sources": ["planasonix"]}
START = datetime(2026, 8, 1, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A good mapping file."""
    path = tmp_path / "mapping.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def mapping(file: Path, inbox: Inbox, metrics: Metrics) -> MappingFile:
    """The file as the service sees it; a second passes at every look at the clock."""
    moments = (START + timedelta(seconds=second) for second in range(10**6))
    return MappingFile(file, inbox=inbox, metrics=metrics, clock=lambda: next(moments), **NAMES)


def sample(metrics: Metrics, name: str) -> float:
    """Return a gauge without labels."""
    lines = metrics.exposition().decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


def look_twice(mapping: MappingFile) -> bool:
    """What one look finds, the next one believes; returns whether that was news."""
    return mapping.compare() | mapping.compare()


def test_good_bad_good(file: Path, mapping: MappingFile, metrics: Metrics) -> None:
    """A broken file keeps the last good mapping and says where it is broken; a mended one is taken over."""
    first = mapping.current()
    file.write_text(BAD)
    assert look_twice(mapping)
    assert mapping.current() is first
    (problem, *_) = mapping.state.problems
    assert (problem.line, problem.column, problem.what[:11]) == (2, 5, "unknown key")
    assert mapping.state.loaded_at == START
    assert sample(metrics, "bridge_mapping_broken") == 1
    since = mapping.state.broken_since
    assert since is not None
    file.write_text(BAD + "# another mistake, and still one\n")
    look_twice(mapping)
    assert mapping.state.broken_since == since
    file.write_text(OTHER)
    assert look_twice(mapping)
    assert mapping.state.problems == ()
    assert mapping.state.broken_since is None
    assert len(mapping.current().routes) == 2
    assert mapping.state.loaded_at > START
    assert sample(metrics, "bridge_mapping_broken") == 0
    assert sample(metrics, "bridge_mapping_routes") == 2


def test_back_to_the_very_same_file(file: Path, mapping: MappingFile, metrics: Metrics) -> None:
    """Undoing the mistake is enough, even if the bytes are those in use."""
    file.write_text(BAD)
    look_twice(mapping)
    file.write_text(GOOD)
    assert look_twice(mapping)
    assert mapping.state.problems == ()
    assert sample(metrics, "bridge_mapping_broken") == 0


@pytest.mark.parametrize("half", [GOOD, BAD, "routes:\n  - {pipe"])
def test_a_file_that_is_being_written_is_not_used_before_it_is_whole(
    file: Path, mapping: MappingFile, half: str
) -> None:
    """Neither are the routes of its first half used, nor are mistakes shown that the other half mends."""
    before = mapping.state
    whole = half + "  # more\n" + OTHER.replace("routes:\n", "")
    for end in range(len(half), len(whole)):
        file.write_text(whole[:end])
        assert not mapping.compare()
        assert mapping.state is before
    file.write_text(OTHER)
    assert not mapping.compare()
    assert mapping.compare()
    assert len(mapping.current().routes) == 2


def test_the_mapping_that_was_replaced_for_a_moment_stays_in_use(file: Path, mapping: MappingFile) -> None:
    """A file that is gone, or another one, for one look only is no change."""
    before = mapping.state
    for content in (None, OTHER, BAD):
        file.unlink() if content is None else file.write_text(content)
        mapping.compare()
        file.write_text(GOOD)
        assert not look_twice(mapping)
        assert mapping.state is before


def test_a_mapping_that_lost_more_than_half_of_its_routes_is_said(
    file: Path, mapping: MappingFile, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is used, since that may be meant; a warning says from how many routes to how many."""
    many = "routes:\n" + "".join(f"  - {{name: r{number}, pipeline: pl_1, dag: d}}\n" for number in range(5))
    said = []
    for text in (many, "\n".join(many.splitlines()[:4]), GOOD, many, "routes: []\n"):
        file.write_text(text)
        look_twice(mapping)
        said.append("mapping_shrank" in capsys.readouterr().out)
    assert said == [False, False, True, False, True]


def test_an_unchanged_file_is_not_read_again(file: Path, mapping: MappingFile) -> None:
    """Only other bytes count, whatever the file's time says."""
    before = mapping.state
    file.touch()
    assert not look_twice(mapping)
    assert mapping.state is before


def test_the_same_mistake_is_told_once(file: Path, mapping: MappingFile) -> None:
    """A file that stays broken in the same way is no news; in another way it is."""
    file.write_text(BAD)
    assert look_twice(mapping)
    file.write_text(BAD + "# still\n")
    assert not look_twice(mapping)
    file.write_text(BAD.replace("pipline", "pipelin"))
    assert look_twice(mapping)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "is not UTF-8"),
        (b"a: 1\n\xe9", ":2:1: is not UTF-8"),
        (b"x" * 1_048_577, "is larger than 1048576 bytes"),
        (b"", "is empty"),
        (b"[" * 2000, ""),
        (b"routes: &a [*a]\n", ""),
        (b"routes:\n  - {dag: x, dag: y}\n", "dag"),
    ],
)
def test_whatever_the_file_holds_the_last_good_one_stays(
    file: Path, mapping: MappingFile, content: bytes, message: str
) -> None:
    """Nothing that a file can hold is raised; all of it is told as a problem."""
    first = mapping.current()
    file.write_bytes(content)
    assert look_twice(mapping)
    assert mapping.current() is first
    assert mapping.state.problems
    assert message in str(mapping.state.problems[0])


def test_a_file_that_vanishes_and_returns(file: Path, mapping: MappingFile) -> None:
    """While it is gone the mapping stays in use, and when it returns everything is well again."""
    file.unlink()
    assert look_twice(mapping)
    assert "cannot be read: No such file" in str(mapping.state.problems[0])
    assert not look_twice(mapping)
    file.write_text(GOOD)
    assert look_twice(mapping)
    assert mapping.state.problems == ()


def test_a_configmap_is_swapped_by_a_symlink(tmp_path: Path, inbox: Inbox, metrics: Metrics) -> None:
    """Kubernetes changes what `..data` points to and never the file itself."""
    for name, text in (("..v1", GOOD), ("..v2", OTHER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mapping.yaml").write_text(text)
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "mapping.yaml").symlink_to("..data/mapping.yaml")
    mapping = MappingFile(tmp_path / "mapping.yaml", inbox=inbox, metrics=metrics, **NAMES)
    (tmp_path / "..data_tmp").symlink_to("..v2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    assert look_twice(mapping)
    assert len(mapping.current().routes) == 2


def test_notes_link_to_the_pages_after_a_change_too(file: Path, inbox: Inbox, metrics: Metrics) -> None:
    """Whatever the file says next, it is read under the same URL."""
    mapping = MappingFile(file, inbox=inbox, metrics=metrics, pages_url="https://bridge.example.com", **NAMES)
    file.write_text(file.read_text() + "# changed\n")
    before = mapping.current()
    assert look_twice(mapping)
    assert mapping.current() is not before
    assert all(route.note is not None for each in (before, mapping.current()) for route in each.routes)


def test_the_thread_sees_a_change_by_itself(file: Path, mapping: MappingFile) -> None:
    """Nobody has to ask for a reload."""
    mapping.loop.start()
    try:
        file.write_text(OTHER)
        wait_for(lambda: len(mapping.current().routes) == 2)
    finally:
        mapping.loop.stop(5)


@pytest.mark.parametrize("content", [None, BAD, ""])
def test_a_service_without_a_good_mapping_starts_and_lacks_one(
    tmp_path: Path, inbox: Inbox, metrics: Metrics, content: str | None
) -> None:
    """There is no last good one yet: it says what is wrong, has no route, and takes over the mended file."""
    path = tmp_path / "mapping.yaml"
    if content is not None:
        path.write_text(content)
    mapping = MappingFile(path, inbox=inbox, metrics=metrics, **NAMES)
    assert mapping.state.is_lacking
    assert "mapping.yaml" in str(mapping.state.problems[0])
    assert mapping.current().routes == ()
    assert sample(metrics, "bridge_mapping_broken") == 1
    path.write_text(BAD)
    look_twice(mapping)
    assert mapping.state.is_lacking
    path.write_text(GOOD)
    assert look_twice(mapping)
    assert (mapping.state.is_lacking, len(mapping.current().routes)) == (False, 1)
    assert sample(metrics, "bridge_mapping_broken") == 0
    path.write_text(BAD)
    look_twice(mapping)
    assert (mapping.state.is_lacking, len(mapping.current().routes)) == (False, 1)


LONG = OTHER + "  - pipeline: pl_4\n    dag: load_orders\n"
Begin = Callable[..., MappingFile]


@pytest.fixture
def begin(tmp_path: Path, inbox: Inbox, metrics: Metrics) -> Begin:
    """Start over a file with a content; `then`: what it holds at the second look, if the start takes one."""

    def start(content: str | None, *, then: str | None) -> MappingFile:
        path = tmp_path / "mapping.yaml"
        write(path, content)
        return MappingFile(path, inbox=inbox, metrics=metrics, wait=lambda _: write(path, then), **NAMES)

    return start


def write(path: Path, content: str | None) -> None:
    """Let the file hold this, or be gone."""
    path.unlink(missing_ok=True) if content is None else path.write_text(content)


def pipelines(mapping: MappingFile) -> list[str | None]:
    """Return the pipelines of the routes in use."""
    return [
        line.split()[-1]
        for part in mapping.state.files
        if part.part
        for line in part.part.text.splitlines()
        if "pipeline" in line
    ]


@pytest.mark.parametrize("half", [OTHER, BAD, "", None])
def test_a_start_amid_a_write_uses_what_was_kept(begin: Begin, half: str | None) -> None:
    """Half a file is never used, shown or kept; the whole one is in use after one more look that is equal."""
    begin(GOOD, then=GOOD).step()
    mapping = begin(half, then=LONG)
    assert pipelines(mapping) == ["pl_1"]
    assert (mapping.state.problems, mapping.state.is_lacking) == ((), False)
    mapping.step()
    assert pipelines(mapping) == ["pl_2", "pl_3", "pl_4"]


def test_a_write_that_goes_on_after_the_start_leaves_what_was_kept(begin: Begin, tmp_path: Path) -> None:
    """As long as looks differ; and the next start finds the same kept."""
    begin(GOOD, then=GOOD).step()
    mapping = begin(LONG[:70], then=LONG[:75])
    for end in range(80, len(LONG)):
        write(tmp_path / "mapping.yaml", LONG[:end])
        mapping.step()
        assert pipelines(mapping) == ["pl_1"]
    assert pipelines(begin(LONG[:70], then=LONG[:75])) == ["pl_1"]


def test_a_start_with_a_new_mapping_begins_with_the_new_one(begin: Begin) -> None:
    """A bridge that was stopped for the change routes nothing by the old one."""
    begin(GOOD, then=GOOD).step()
    assert pipelines(begin(LONG, then=LONG)) == ["pl_2", "pl_3", "pl_4"]


def test_a_start_with_what_was_in_use_takes_one_look(begin: Begin) -> None:
    """A restart waits for nothing: what comes after the look is an edit like any other."""
    begin(GOOD, then=GOOD).step()
    mapping = begin(GOOD, then=BAD)
    assert pipelines(mapping) == ["pl_1"]
    assert not look_twice(mapping)


def test_a_first_start_amid_a_write_lacks_a_mapping_until_it_is_whole(
    begin: Begin, capsys: pytest.CaptureFixture[str]
) -> None:
    """Webhooks wait rather than being routed by half of it; the log says why."""
    mapping = begin(OTHER, then=LONG)
    assert (mapping.state.is_lacking, mapping.current().routes) == (True, ())
    assert "mapping_unsettled" in capsys.readouterr().out
    assert mapping.compare()
    assert (mapping.state.is_lacking, pipelines(mapping)) == (False, ["pl_2", "pl_3", "pl_4"])


def test_a_file_that_was_away_for_one_look_of_the_start_is_no_problem(begin: Begin) -> None:
    """An editor that renames is met between two names; one that stays away is said, and the kept one is in use."""
    begin(GOOD, then=GOOD).step()
    for before, then in ((None, GOOD), (OTHER, None)):
        mapping = begin(before, then=then)
        assert (pipelines(mapping), mapping.state.problems) == (["pl_1"], ())
    mapping = begin(None, then=None)
    assert pipelines(mapping) == ["pl_1"]
    assert "cannot be read: No such file" in str(mapping.state.problems[0])
