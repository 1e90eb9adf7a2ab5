"""The pages of installing can be followed word by word: their files are there, and none is among the program's own."""

import re
import shlex
from itertools import chain, pairwise

import pytest

from bridge.cli import starting
from bridge.cli.starting import AIRFLOWS, IMAGES, Answers, Place
from deploy.demo.airflow import REPOSITORY
from tests.docs.pages import blocks, page, pages

README = (REPOSITORY / "README.md").read_text()
PAGES = {Place.KUBERNETES: "kubernetes.md", Place.COMPOSE: "compose.md", Place.SYSTEMD: "plain-vm.md"}
FOLDER = "my-bridge"
OF_A_TEAM = "config/sales.yaml"  # which its people write


def lines(name: str) -> list[str]:
    """Return the lines of the commands of a page; one that goes on in the next is one."""
    return [line for block in blocks(page(name)) for line in block.replace("\\\n", " ").splitlines()]


def written(place: Place) -> set[str]:
    """Return the files that `init` writes for a place."""
    return {*starting.files(Answers(place, AIRFLOWS[place]))}


def test_init_is_never_shown_with_a_folder_of_the_repository() -> None:
    """Its files would be written among those of the program, since the pages say that one is in a checkout."""
    shown = {
        folder
        for path in pages()
        for folder in re.findall(r"init --(?:here|kubernetes|compose|systemd) (\w[\w-]*)", path.read_text())
    }
    assert shown == {FOLDER}


def test_helm_is_given_the_files_that_init_writes() -> None:
    """Every file of a helm command is one of those, or one of the checkout in which the page says that one is."""
    words = list(
        chain.from_iterable(shlex.split(line) for line in lines("kubernetes.md") if line.startswith("helm up"))
    )
    named = [word for option, word in pairwise(words) if option in {"-f", "--set-file"}]
    files = {word.rpartition("=")[2] for word in named}
    made = {f"{FOLDER}/{name}" for name in written(Place.KUBERNETES)}
    assert files >= {f"{FOLDER}/{name}" for name in ("values.yaml", "config/bridge.yaml", "config/mapping.yaml")}
    others = files - made - {f"{FOLDER}/{OF_A_TEAM}"}
    assert [file for file in others if not (REPOSITORY / file).is_file()] == []


@pytest.mark.parametrize("place", PAGES)
def test_a_page_names_the_files_that_init_writes(place: Place) -> None:
    """Below the folder that it had `init` make, no other file is named, in the text or in a command."""
    text = page(PAGES[place])
    made = written(place)
    below = set(re.findall(rf"{FOLDER}/([\w./-]+\w)", text)) - {OF_A_TEAM}
    assert below <= made
    inside = " ".join(block.partition(f"{FOLDER} && cd {FOLDER}\n")[2] for block in blocks(text))
    assert {word for word in inside.split() if re.fullmatch(r"config/\S+\.yaml|[\w-]+\.service", word)} <= made
    assert f"init --{place} {FOLDER}" in text


def test_compose_runs_the_image_that_the_page_builds() -> None:
    """Without TAG, it has the name that `init` writes and that the page runs. Docker is handed what buildah built."""
    shown = lines("compose.md")
    (built,) = [number for number, line in enumerate(shown) if line.startswith("make image ")]
    (pushed,) = [number for number, line in enumerate(shown) if line.startswith("buildah push ")]
    (run,) = [number for number, line in enumerate(shown) if line.startswith("docker run ")]
    assert built < pushed < run
    assert "TAG=" not in shown[built]
    image = IMAGES[Place.COMPOSE]
    assert shown[pushed].split()[2:] == [image, f"docker-daemon:{image}"]
    assert f" {image} init " in shown[run]


def test_the_unit_and_a_shell_read_the_same_files() -> None:
    """What the unit says of configuration, mapping and store is exported for commands, with the same values."""
    unit = (REPOSITORY / "deploy" / "systemd" / "planasonix-bridge.service").read_text()
    own = set(re.findall(r"(?m)^Environment=(BRIDGE_(?:CONFIG|MAPPING|DATABASE_URL)=\S+)$", unit))
    exported = {word for line in lines("plain-vm.md") if line.startswith("export ") for word in line.split()}
    assert len(own) == 3
    assert own <= exported


def test_kubectl_is_told_the_namespace() -> None:
    """Whatever makes or changes an object names it, a secret above all; only kustomize has it in a file."""
    commands = [
        shown
        for path in pages()
        for shown in re.findall(r"kubectl [^`\n]*\b(?:apply|patch|create)\b[^`\n]*", path.read_text())
        if "create namespace" not in shown and "apply -k" not in shown
    ]
    assert [shown for shown in commands if " -n " not in shown] == []
    assert any("secret.json" in shown for shown in commands)


def test_the_quick_start_leaves_airflow_its_port() -> None:
    """`init --here` offers an Airflow on this machine, on the port that the bridge would take."""
    (start,) = [block for block in blocks(README) if "init --here" in block]
    (port,) = re.findall(r"(?m)^export BRIDGE_PORT=(\d+)", start)
    assert not AIRFLOWS[Place.HERE].endswith(f":{port}")


def test_the_folder_of_a_secret_is_made_before_it_is_written() -> None:
    """`init` makes none, and a secret that is shown once has to go somewhere."""
    (block,) = re.findall(r"(?s)```\n([^`]*--secret-out config/[^`]*)```", page("register.md"))
    (path,) = re.findall(r"--secret-out (\S+)/\w+", block)
    assert f"install -d -m 0700 {path}\n" in block.partition("--secret-out")[0]
