"""The pages can be read by everyone: axe finds nothing to mend, and nothing is cut off on a telephone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.reporting.comparison_page import comparison_html
from tasks.reporting.page import report_html
from tests.browser import SCHEMES, WIDTHS, browser, show
from tests.tasks.reporting.test_comparison_page import variant
from tests.tasks.reporting.test_page import run

pytestmark = pytest.mark.browser
PAGES = {
    "report": lambda: report_html(*run(classes=10, errors=13)),
    "rejected without a champion": lambda: report_html(*run(champion=False, threshold=0.99)),
    "long names": lambda: report_html(*run(names=("a" * 200, "two words " * 9, "c"))),
    "many classes": lambda: report_html(*run(classes=100, errors=50)),
    "experiment": lambda: comparison_html(
        "an experiment", [variant("a", 0.9, (8,)), variant("b", 0.8, (9,)), variant("c", None)], "better than 'b'"
    ),
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(name: str, page: Any, tmp_path: Path) -> None:
    """Wide and narrow, light and dark, axe finds no broken rule, nothing is wider than the window, nothing fails."""
    from axe_core_python.selenium import Axe

    file = tmp_path / "page.html"
    file.write_text(PAGES[name]())
    for width in WIDTHS:
        for scheme in SCHEMES:
            show(page, width, scheme)
            page.get(file.as_uri())
            page.execute_script("for (const folded of document.querySelectorAll('details')) folded.open = true")
            broken = Axe().run(page)["violations"]
            assert not broken, [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in broken]
            assert page.execute_script("return document.documentElement.scrollWidth") == width
    assert page.get_log("browser") == []
