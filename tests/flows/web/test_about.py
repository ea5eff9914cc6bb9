"""A model's report is served from its run's folder, and nothing else is."""

from pathlib import Path

import pytest

from flows.web.about import card_of
from tests.tasks.monitoring.conftest import version_of


@pytest.mark.parametrize("run", ["..", "../secret", "a/../../secret", "/etc", "linked", "none", ""])
def test_nothing_but_reports(run: str, tmp_path: Path) -> None:
    """Whatever a registry says that a run is called, only a report below the home's runs is served."""
    for folder in ("runs/good", "secret"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "report.html").touch()
    (tmp_path / "report.html").touch()
    (tmp_path / "runs" / "report.html").touch()
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "secret")
    assert card_of(version_of("good"), tmp_path) == tmp_path / "runs/good/report.html"
    assert card_of(version_of(run), tmp_path) is None
