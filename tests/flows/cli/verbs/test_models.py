"""The verb `models` lists every version, and says who was champion when; a broken champion can be replaced."""

import json
import shutil
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from artifacts.storage.store import Store
from tasks.registry.registry import Registry
from tests.command import assert_refused, digitflow
from tests.tasks.registry.conftest import break_record, register


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with versions 1 and 2 of `digits`; 2 replaced 1 as champion."""
    store = Store(tmp_path_factory.mktemp("models") / "home")
    first, second = register(store, 1), register(store, 2)
    registry = Registry(store.home)
    registry.promote(first, "the first", None)
    registry.promote(second, "better", 1)
    return store.home


@pytest.fixture
def registry(template: Path, home: Path) -> Registry:
    shutil.copytree(template, home)
    return Registry(home)


HISTORY = ("models", "history")


def test_history_at(registry: Registry) -> None:
    """`history --at` takes a date and time, UTC unless it has an offset, and answers with the champion of that time."""
    changes = json.loads(digitflow("models", "history", "--json").stdout)
    promoted = registry.history("digits")[1].at

    def champion(at: str) -> list[int]:
        return [change["version"] for change in json.loads(digitflow(*HISTORY, "--at", at, "--json").stdout)]

    assert [change["version"] for change in changes] == [1, 2]
    assert champion(changes[0]["at"]) == [1] and champion(changes[1]["at"]) == [2]
    assert champion(promoted.replace(tzinfo=None).isoformat()) == [2]
    assert champion(promoted.astimezone(timezone(timedelta(hours=5))).isoformat()) == [2]
    assert champion(promoted.replace(tzinfo=timezone(timedelta(hours=-5))).isoformat()) == [2]
    assert_refused(digitflow(*HISTORY, "--at", promoted.replace(tzinfo=timezone(timedelta(hours=5))).isoformat()), 2)
    assert champion("2099-01-01") == champion("2099-01-01T12:00") == [2]
    assert_refused(digitflow(*HISTORY, "--at", "2001-01-01T12:00"), 2, "no champion at 2001-01-01T12:00:00+00:00")
    assert_refused(digitflow(*HISTORY, "--at", "soon"), 2, "--at", "soon")


def test_list(registry: Registry) -> None:
    """Each version has a row that fits into 80 columns: its state, accuracy, recipe and age, the latest first."""
    head, second, first = digitflow("models").stdout.splitlines()
    assert head.split() == ["VERSION", "DATA", "SET", "STATE", "ACCURACY", "RECIPE", "AGE"]
    assert second.split()[:3] == ["2", "digits", "champion"] and first.split()[:3] == ["1", "digits", "passed"]
    assert "seed" in first and first.endswith(" s") and max(map(len, (head, second, first))) <= 80


def test_retired_champion_is_marked(registry: Registry) -> None:
    """The champion that was taken out of use is marked, until there is another."""
    registry.retire("digits", "wrong")
    assert [line.split()[2] for line in digitflow("models").stdout.splitlines()[1:]] == ["retired", "passed"]
    registry.promote(registry.find(1), "until then", None)
    assert [line.split()[2] for line in digitflow("models").stdout.splitlines()[1:]] == ["passed", "champion"]


def test_show(registry: Registry) -> None:
    """`show` prints what the gate held a version against, and how many models its test images have judged."""
    run = digitflow("models", "show", "1")
    assert run.returncode == 0 and "no champion yet" in run.stdout and "have judged: 2" in run.stdout
    version = json.loads(digitflow("models", "show", "1", "--json").stdout)
    assert version["opponent"]["decisions"] == 0 and version["aliases"] == []


def test_unreadable_version(registry: Registry) -> None:
    """A version whose record does not validate is listed as unreadable, with the reason; `show` gives the reason."""
    break_record(registry, 1)
    run = digitflow("models")
    assert run.returncode == 0 and "unreadable" in run.stdout and "hyperparameters.momentum" in run.stderr
    broken = json.loads(digitflow("models", "--json").stdout)[1]
    assert broken["version"] == 1 and "hyperparameters.momentum" in broken["unreadable"]
    assert_refused(digitflow("models", "show", "1"), 1, "version 1 of digits is unreadable", "momentum")


@pytest.mark.parametrize("arguments", [("rollback",), ("promote", "1", "--reason", "readable")])
def test_from_an_unreadable_champion(arguments: tuple[str, ...], registry: Registry) -> None:
    """`rollback` and `promote` replace a champion whose record is unreadable."""
    break_record(registry, 2)
    run = digitflow("models", *arguments, "--json")
    assert run.returncode == 0, run.stderr
    change = json.loads(run.stdout)
    assert (change["version"], change["replaced"]) == (1, 2) and registry.find().version == 1
