"""Secrets that change while running: all or nothing, never half of a file, and the last good ones otherwise."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.chores.secret_files import SecretFiles
from bridge.edges.metrics import Metrics
from bridge.words.errors import ConfigError, Problem


class Files:
    """Two files, and what was taken over of them."""

    def __init__(self, folder: Path, metrics: Metrics) -> None:
        """Write them and watch them."""
        self.one, self.two = folder / "one", folder / "two"
        self.one.write_text("first")
        self.two.write_text("second")
        self.taken: list[tuple[str, str]] = []
        self.rotating = SecretFiles(
            files=[self.one, self.two], read=self._read, take_over=self.taken.append, metrics=metrics
        )

    def _read(self) -> tuple[str, str]:
        try:
            found = self.one.read_text(), self.two.read_text()
        except OSError as error:
            raise ConfigError([Problem("bridge.yaml", 3, 5, str(error.strerror))]) from None
        if not all(found):
            raise ConfigError([Problem("bridge.yaml", 3, 5, "is empty")])
        return found

    def look_twice(self) -> None:
        """What one look finds, the next one believes."""
        self.rotating.compare()
        self.rotating.compare()


@pytest.fixture
def files(tmp_path: Path, metrics: Metrics) -> Files:
    """Two files with secrets."""
    return Files(tmp_path, metrics)


def _is_broken(metrics: Metrics) -> bool:
    return "bridge_secrets_broken 1.0" in metrics.exposition().decode()


def test_change_is_taken_over_once_it_is_whole(files: Files) -> None:
    """Not at the first look, when it may be half written; then once."""
    files.one.write_text("fir")
    assert not files.rotating.compare()
    files.one.write_text("third")
    assert not files.rotating.compare()
    assert files.rotating.compare()
    assert not files.rotating.compare()
    assert files.taken == [("third", "second")]


def _vanish(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_text("")


@pytest.mark.parametrize("breaks", [_vanish, _empty])
def test_broken_file_keeps_every_secret(files: Files, metrics: Metrics, breaks: Callable[[Path], None]) -> None:
    """Also those of the files that are well; told once, until it is mended."""
    files.one.write_text("third")
    breaks(files.two)
    files.look_twice()
    assert files.taken == []
    assert [problem.line for problem in files.rotating.state.problems] == [3]
    assert _is_broken(metrics)

    files.two.write_text("fourth")
    files.look_twice()
    assert files.taken == [("third", "fourth")]
    assert files.rotating.state.problems == ()
    assert not _is_broken(metrics)


def test_file_that_comes_back_as_it_was_is_well(files: Files, metrics: Metrics) -> None:
    """Taken away and put back: the same secrets, and nothing is broken any more."""
    files.two.unlink()
    files.look_twice()
    assert _is_broken(metrics)
    files.two.write_text("second")
    files.look_twice()
    assert not _is_broken(metrics)


def test_change_beside_a_file_that_cannot_be_read_is_applied_once_it_can(tmp_path: Path, metrics: Metrics) -> None:
    """Also if what could not be read is watched by nobody: a change is used up only when it was applied."""
    secret, unwatched = tmp_path / "secret", tmp_path / "authority.pem"
    secret.write_text("first")
    unwatched.mkdir()
    taken: list[str] = []

    def read() -> str:
        try:
            unwatched.read_bytes()
        except OSError as error:
            raise ConfigError([Problem("bridge.yaml", 7, 5, str(error.strerror))]) from None
        return secret.read_text()

    rotating = SecretFiles(files=[secret], read=read, take_over=taken.append, metrics=metrics)
    secret.write_text("second")
    assert [rotating.compare() for _ in range(5)] == [False] * 5
    assert [problem.line for problem in rotating.state.problems] == [7]

    unwatched.rmdir()
    unwatched.write_text("a certificate")

    assert rotating.compare()
    assert (taken, rotating.state.problems) == (["second"], ())
    assert not _is_broken(metrics)


def test_what_changes_while_it_is_read_is_read_again(tmp_path: Path, metrics: Metrics) -> None:
    """Else one half of what is used would be older than the other."""
    item, two = tmp_path / "one", tmp_path / "two"
    item.write_text("first")
    two.write_text("first")
    during = ["third"]
    taken: list[tuple[str, str]] = []

    def read() -> tuple[str, str]:
        found = item.read_text()
        if during:
            two.write_text(during.pop())
        return found, two.read_text()

    rotating = SecretFiles(files=[item, two], read=read, take_over=taken.append, metrics=metrics)
    item.write_text("second")
    assert [rotating.compare() for _ in range(2)] == [False, False]
    assert taken == []
    assert [rotating.compare() for _ in range(2)] == [False, True]
    assert taken == [("second", "third")]


def test_what_changed_between_the_start_and_the_first_look_is_applied(tmp_path: Path, metrics: Metrics) -> None:
    """The secrets that a service starts with were read a moment before their files are watched."""
    secret = tmp_path / "secret"
    secret.write_text("first")
    started_with = secret.read_text()
    taken: list[str] = []
    secret.write_text("second")
    rotating = SecretFiles(files=[secret], read=secret.read_text, take_over=taken.append, metrics=metrics)
    rotating.compare()
    assert (started_with, taken) == ("first", ["second"])
