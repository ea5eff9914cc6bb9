"""`digitflow explain-cache` shows for each step whether the cache answers, without running any."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.command import digitflow
from tests.flows.cli.conftest import Called


def test_empty_cache(call: Callable[..., Called], digits_folder: Path, home: Path) -> None:
    """In an empty home the first step is a miss and the steps that need it depend on it; nothing is stored."""
    findings = json.loads(call("explain-cache", "--dataset", digits_folder, "--json").stdout)
    assert [(row["name"], row["cache"]) for row in findings[:2]] == [("read", "miss"), ("validate", "depends")]
    head, *rows = call("explain-cache", "--dataset", digits_folder).stdout.splitlines()
    assert head.split() == ["STEP", "CACHE", "WHY"] and len(rows) == len(findings)
    assert not (home / "objects").exists()


def test_refreshed_cache(digits_folder: Path) -> None:
    """If Prefect is set to refresh the cache, that is the reason for the miss."""
    run = digitflow("explain-cache", "--dataset", digits_folder, "--json", PREFECT_TASKS_REFRESH_CACHE="true")
    first, *_ = json.loads(run.stdout)
    assert first["reasons"] == ["PREFECT_TASKS_REFRESH_CACHE is set"]
