"""The history tells every change of the champion, whatever fails in between, and what one can go back to."""

import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from artifacts.errors import DigitflowError, UsageError
from tasks.registry.registry import Registry
from tasks.registry.versions import ChampionChanged
from tests.tasks.registry.conftest import break_record, champion


def test_rollback_skips_withdrawn_data(registry: Registry) -> None:
    """A rollback returns to no version that learned from a batch that was withdrawn."""
    for number, replaced in ((2, 1), (3, 2)):
        registry.promote(registry.find(number), "better", replaced, kind="forced")
    assert registry.predecessor("digits") == 2
    registry.mark_withdrawn(registry.find(2), "a.npz", "off by one")
    assert registry.predecessor("digits") == 1
    registry.mark_withdrawn(registry.find(1), "a.npz", "off by one")
    with pytest.raises(UsageError, match="no earlier champion"):
        registry.predecessor("digits")


def test_history(registry: Registry) -> None:
    """Each change is noted with the version that it replaced and why; a rollback returns to the champion before, and
    a second one to the champion before that."""
    for number, replaced in ((2, 1), (3, 2)):
        registry.promote(registry.find(number), f"reason {number}", replaced, kind="forced")
    assert champion(registry) == 3
    for back in (2, 1):
        assert registry.predecessor("digits") == back
        registry.promote(registry.find(back), "worse in use", champion(registry), kind="rollback")
        assert champion(registry) == back
    with pytest.raises(UsageError, match="no earlier champion"):
        registry.predecessor("digits")
    changes = [(c.version, c.replaced, c.kind) for c in registry.history("digits")]
    assert changes == [
        (1, None, "promotion"),
        (2, 1, "forced"),
        (3, 2, "forced"),
        (2, 3, "rollback"),
        (1, 2, "rollback"),
    ]
    assert all(c.took_effect and c.at <= datetime.now(UTC) for c in registry.history("digits"))


def test_stale_evidence_promotes_nobody(registry: Registry) -> None:
    """A model that was held against a former champion is not promoted."""
    registry.promote(registry.find(2), "first come", 1)
    with pytest.raises(ChampionChanged):
        registry.promote(registry.find(3), "too late", 1)
    assert champion(registry) == 2 and len(registry.history("digits")) == 2


RACE = """
import sys
from pathlib import Path
from tasks.registry.versions import ChampionChanged; from tasks.registry.registry import Registry
registry = Registry(Path(sys.argv[1]))
version = registry.find(int(sys.argv[2]))
print("ready", flush=True)
input()
try:
    registry.promote(version, "race", 1)
    print("won")
except ChampionChanged:
    print("lost")
"""


def test_two_promotions_race(registry: Registry, home: Path) -> None:
    """Of two processes that promote at once, one wins, and the other gets ChampionChanged."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(home), number], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in ("2", "3")
    ]
    for racer in racers:
        assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    said = [racer.communicate()[0].strip() for racer in racers]
    assert sorted(said) == ["lost", "won"]
    assert champion(registry) == (2, 3)[said.index("won")]
    assert [c.took_effect for c in registry.history("digits")] == [True, True]


KILLED = """
import os, signal, sys
from pathlib import Path
from mlflow import MlflowClient
from tasks.registry.registry import Registry
registry = Registry(Path(sys.argv[1]))
version = registry.find(2)
MlflowClient.set_registered_model_alias = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
registry.promote(version, "killed", 1)
"""


def test_killed_between_note_and_change(registry: Registry, home: Path) -> None:
    """kill -9 before the alias moves leaves the old champion and a note without effect; a later promotion works."""
    killed = subprocess.run([sys.executable, "-c", KILLED, str(home)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert champion(registry) == 1
    assert [c.took_effect for c in registry.history("digits")] == [True, False]
    registry.promote(registry.find(2), "again", 1)
    assert champion(registry) == 2 and registry.predecessor("digits") == 1
    assert [c.took_effect for c in registry.history("digits")] == [True, False, True]


def test_locked_database(registry: Registry, home: Path) -> None:
    """While another program locks the database, a promotion is one clear error and the champion stays; afterwards a
    promotion works."""
    version = registry.find(2)
    with sqlite3.connect(home / "mlflow" / "mlflow.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DigitflowError, match=r"the model registry .* cannot be used: .*locked"):
            registry.promote(version, "in vain", 1)
        other.rollback()
    assert champion(registry) == 1
    registry.promote(version, "now", 1)
    assert champion(registry) == 2


def test_damaged_database(registry: Registry, home: Path) -> None:
    """A database that is none is one clear error, which names the file and says what helps: to try again does not."""
    path = home / "mlflow" / "mlflow.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(DigitflowError, match=rf"cannot be used: .*; restore {path} from a backup") as refused:
        Registry(home).versions()
    assert "run again" not in str(refused.value)


def seen(registry: Registry) -> list[tuple[int | None, int | None, str]]:
    return [(change.version, change.replaced, change.kind) for change in registry.history("digits")]


def test_alias_moved_in_mlflow(registry: Registry) -> None:
    """A champion that was set in MLflow is the champion. The history tells it once, from when it was seen, and what was
    before stays as it was."""
    before = datetime.now(UTC)
    registry.tracking.client.set_registered_model_alias("digitflow-digits", "champion", "3")
    assert champion(registry) == 3
    assert seen(registry) == seen(registry) == [(1, None, "promotion"), (3, 1, "outside")]
    first, outside = registry.history("digits")
    assert first.took_effect and outside.took_effect and first.at < before < outside.at
    assert registry.predecessor("digits") == 1


def test_alias_moved_to_and_fro(registry: Registry) -> None:
    """Each change in MLflow that was seen stays in the history, also after it was taken back."""
    for number in ("2", "1"):
        registry.tracking.client.set_registered_model_alias("digitflow-digits", "champion", number)
        registry.observe("digits")
    assert seen(registry) == [(1, None, "promotion"), (2, 1, "outside"), (1, 2, "outside")]


@pytest.mark.parametrize("what", ["the alias", "the version"])
def test_champion_removed_in_mlflow(what: str, registry: Registry) -> None:
    """Without its alias or its version there is no champion. One can go back to it if it is still there, else to the
    one before."""
    registry.promote(registry.find(2), "better", 1)
    client, name = registry.tracking.client, "digitflow-digits"
    client.delete_registered_model_alias(name, "champion") if what == "the alias" else client.delete_model_version(
        name, "2"
    )
    assert registry.champion("digits") is None
    assert seen(registry)[-1] == (None, 2, "outside")
    back = registry.predecessor("digits")
    assert back == (2 if what == "the alias" else 1)
    registry.promote(registry.find(back), "back", None, kind="rollback")
    assert champion(registry) == back
    assert all(change.took_effect for change in registry.history("digits"))


def test_retire(registry: Registry) -> None:
    """A retired champion is no champion and nothing to go back to, until it is promoted again."""
    registry.promote(registry.find(2), "better", 1)
    registry.retire("digits", "reads sevens as ones")
    assert registry.champion("digits") is None
    assert seen(registry)[-1] == (None, 2, "retired")
    assert registry.predecessor("digits") == 1
    with pytest.raises(UsageError, match="no champion to retire"):
        registry.retire("digits", "again")
    for number, replaced in ((2, None), (3, 2)):
        registry.promote(registry.find(number), "it was right", replaced, kind="forced")
    assert registry.predecessor("digits") == 2


def test_retire_needs_no_readable_record(registry: Registry) -> None:
    """The only version can be retired although its record is unreadable: that is when it is needed."""
    break_record(registry, 1)
    registry.retire("digits", "made by other code")
    assert registry.champion("digits") is None


def test_damaged_history(registry: Registry) -> None:
    """A note of a promotion that cannot be read is one clear error."""
    client = registry.tracking.client
    client.set_registered_model_tag("digitflow-digits", "promotion.000002", "oops")
    with pytest.raises(DigitflowError, match="history of digits is damaged"):
        registry.history("digits")
