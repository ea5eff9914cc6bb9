"""Set out for people how the variants of an experiment compare."""

from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.experiments.comparison import Row
from tasks.reporting.comparison_page import render_html, render_markdown
from tasks.reporting.report import Reported


@step("compare", shaped_by=("matplotlib", "jinja2", "scipy"))
def compare(title: str, rows: Ref, store: Store) -> Reported:
    """Compose the page of an experiment from its rows, a list of `Row` as JSON."""
    found = [Row.model_validate(row) for row in store.get_json(rows)]
    return Reported(
        html=store.put_bytes(render_html(title, found).encode(), "html"),
        markdown=store.put_json({"experiment": render_markdown(title, found)}),
    )
