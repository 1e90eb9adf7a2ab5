"""What is rotated, and where the new secret goes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bridge.edges.journal import Journal
from bridge.edges.planasonix.subscriptions import Subscriptions
from bridge.edges.secret_out import secret_out
from bridge.flows.rotating.evidence import Ask
from bridge.rules.sources import Source
from bridge.words.targets import KeyPlace, Secret


@dataclass(frozen=True, slots=True)
class SecretFile:
    """Where the new secret goes, and how it is spelled there. `hint`: what a person does with it, if anything."""

    path: Path
    spell: Callable[[str], str]
    read: Callable[[str], str]
    hint: str | None = None

    def secret(self) -> Secret | None:
        """Return the secret, None if there is none yet. OSError, ValueError for a file that is not like this."""
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return None
        return Secret(self.read(text)) if text.strip() else None

    def write(self, secret: Secret) -> None:
        """Write it, all of it or nothing. Raises OSError."""
        with secret_out(self.path, is_forced=self.path.exists()) as write:
            write(self.spell(secret.reveal()))


@dataclass(frozen=True, slots=True)
class Rotation:
    """What is rotated: to the key `place`, from the key `former`; `ask` answers as the admin API does."""

    source: Source
    api: Subscriptions
    journal: Journal
    place: KeyPlace
    former: KeyPlace
    file: SecretFile
    ask: Ask | None
    subscription_id: str | None = None
    wait_seconds: float = 1800.0
    overlap_seconds: float = 120.0
    quiet_seconds: float = 86_400.0
    is_tested: bool = True

    @property
    def is_ours(self) -> bool:
        """Whether the file of the new secret is the one that the bridge reads."""
        return self.place.file == str(self.file.path)
