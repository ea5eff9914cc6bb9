"""Check the data against their contracts before a network learns from them."""

from pydantic import BaseModel

from artifacts.errors import InvalidData
from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.datasets import Splits


class Validated(BaseModel, frozen=True):
    """Data without errors, and a reference to the `DataReport` on them, as JSON."""

    data: Splits
    report: Ref


@step("validate", shaped_by=("pandera", "pandas", "numpy"))
def validate(data: Splits, classes: int | None, store: Store) -> Validated:
    """Check shapes, labels and images. `classes` is the number of labels, if it is known.

    Raises InvalidData, whose report lists every problem and its images.
    """
    from tasks.data.schema import check_data

    report = check_data(
        train_images=store.get(data.train.images),
        train_labels=store.get(data.train.labels),
        test_images=store.get(data.test.images),
        test_labels=store.get(data.test.labels),
        classes=classes,
        class_names=data.class_names,
    )
    if report.errors:
        raise InvalidData("; ".join(problem.message for problem in report.errors), report.model_dump(mode="json"))
    return Validated(data=data, report=store.put_json(report.model_dump(mode="json")))
