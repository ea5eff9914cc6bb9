"""Hold the data against their contract before anything learns from them."""

from pydantic import BaseModel

from artifacts.errors import InvalidData
from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.datasets import Splits


class Validated(BaseModel, frozen=True):
    """Data that keep their contract, and the report that says so (a `contracts.DataReport` as JSON)."""

    data: Splits
    report: Ref


@step("validate", shaped_by=("pandera", "pandas", "numpy"))
def validate(data: Splits, classes: int | None, store: Store) -> Validated:
    """Check shapes, labels and images; `classes` is the promised number of labels, if one was promised.

    Raises InvalidData, whose report lists every problem and the images concerned.
    """
    from tasks.data.schema import check_data

    report = check_data(
        store.get(data.train.images),
        store.get(data.train.labels),
        store.get(data.test.images),
        store.get(data.test.labels),
        classes,
    )
    if report.errors:
        raise InvalidData("; ".join(problem.message for problem in report.errors), report.model_dump(mode="json"))
    return Validated(data=data, report=store.put_json(report.model_dump(mode="json")))
