"""The page of an experiment ranks its rows."""

from artifacts.storage.store import Store
from tasks.experiments.compare import compare
from tests.tasks.experiments.test_comparison import row


def test_ranked_rows_become_the_page(store: Store) -> None:
    """Rows are ranked, with the means over their seeds; a failed row is last, with its reason instead of scores."""
    rows = [row("failed", None), row("good", 0.8, 0.8), row("best", 0.9, 0.92)]
    reported = compare.fn("title", store.put_json([row.model_dump(mode="json") for row in rows]), store)
    markdown = store.get_json(reported.markdown)["experiment"]
    assert [line.split(" | ")[:3] for line in markdown.splitlines()[4:]] == [
        ["| 1. best", "91.00% (78.29% to 100.00%)", "2"],
        ["| 2. good", "80.00% (80.00% to 80.00%)", "2"],
        ["| 3. failed", "too small", "1"],
    ]
    assert "Best on the held-out training images: best." in store.path(reported.html).read_text()
