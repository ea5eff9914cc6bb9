"""Set out for people how the variants of an experiment compare."""

from artifacts.comparison import Row, render_html, render_markdown
from artifacts.results import Reported
from artifacts.store import Ref, Store
from tasks.caching import step


@step("compare", shaped_by=("matplotlib", "jinja2", "scipy"))
def compare(title: str, rows: Ref, store: Store) -> Reported:
    """Compose the page of an experiment from its rows, a list of `Row` as JSON."""
    found = [Row.model_validate(row) for row in store.get_json(rows)]
    return Reported(
        html=store.put_bytes(render_html(title, found).encode(), "html"),
        markdown=store.put_json({"experiment": render_markdown(title, found)}),
    )
