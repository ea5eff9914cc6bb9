"""A server keeps the champion's classifier in memory, also while the registry cannot be read."""

from pathlib import Path

import pytest

from artifacts.errors import DigitflowError
from artifacts.storage.settings import Settings
from tasks.prediction.champion_follower import ChampionFollower
from tasks.registry.versions import Version


class FakeRegistry:
    """A registry whose champion is set by hand; an error in its place is raised."""

    def __init__(self) -> None:
        self.champion: int | DigitflowError = 1

    def find(self, number: int | None, dataset: str | None) -> Version:
        if isinstance(self.champion, DigitflowError):
            raise self.champion
        return Version.model_construct(version=number or self.champion, dataset=dataset or "digits")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    registry = FakeRegistry()
    monkeypatch.setattr("tasks.prediction.champion_follower.Registry", lambda _: registry)
    monkeypatch.setattr(ChampionFollower, "_load", lambda _, version: (version, f"classifier {version.version}"))
    return registry


def test_current_changes_as_one(registry: FakeRegistry, home: Path) -> None:
    """After a promotion, version and classifier are the new champion's; without one, the same objects stay."""
    follower = ChampionFollower(Settings.load(), None, None)
    before = follower.current
    follower.refresh()
    assert follower.current is before
    registry.champion = 2
    follower.refresh()
    assert (follower.current[0].version, follower.current[1]) == (2, "classifier 2")


def test_one_version_for_good(registry: FakeRegistry, home: Path) -> None:
    """With a number, that version stays in use."""
    follower = ChampionFollower(Settings.load(), None, 7)
    registry.champion = 2
    follower.refresh()
    assert follower.current[0].version == 7


def test_unreadable_registry(registry: FakeRegistry, home: Path) -> None:
    """While the registry cannot be read, the last model serves and `trouble` says why; later it is empty again."""
    follower = ChampionFollower(Settings.load(), None, None)
    registry.champion = DigitflowError("the registry is away")
    follower.refresh()
    assert (follower.current[0].version, follower.trouble) == (1, "the registry is away")
    registry.champion = 2
    follower.refresh()
    assert (follower.current[0].version, follower.trouble) == (2, "")
