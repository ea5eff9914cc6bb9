"""Show people how the variants of an experiment compare."""

from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.experiments.comparison import Row, describe_lead, ranked
from tasks.experiments.variants import AS_IS
from tasks.reporting.comparison_page import VariantSummary, comparison_html, comparison_markdown
from tasks.reporting.report import Reported


@step("compare", shaped_by=("jinja2", "scipy"))
def compare(title: str, rows: Ref, store: Store) -> Reported:
    """Compose the page of an experiment from its rows, a list of `Row` as JSON."""
    order = ranked([Row.model_validate(row) for row in store.get_json(rows)])
    variants = [_summary(row) for row in order]
    return Reported(
        html=store.put_bytes(comparison_html(title, variants, describe_lead(order, AS_IS)).encode(), "html"),
        markdown=store.put_json({"experiment": comparison_markdown(title, variants)}),
    )


def _summary(row: Row) -> VariantSummary:
    return VariantSummary(
        name=row.name,
        hyperparameters=row.hyperparameters.model_dump(mode="json"),
        seeds=len(row.trials),
        accuracies=tuple(row.accuracies),
        parameters=row.parameters,
        seconds=row.seconds,
        accuracy=None if row.failure else row.accuracy,
        interval=None if row.failure else row.interval,
        loss=None if row.failure else row.loss,
        failure=row.failure,
    )
